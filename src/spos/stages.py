"""The stages of a run: each a function of the configuration and of what is on disk."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from spos.checkpoint import Checkpoints
from spos.context import Context
from spos.cost import Constraint, CostTable
from spos.data import ImageData, Images, evaluation_batches, training_batches
from spos.errors import UserError
from spos.evaluation import Loader, OneShotEvaluator, score
from spos.interrupt import deferred_interrupt
from spos.memory import check_memory
from spos.observer import Recorder
from spos.randomness import generator
from spos.recipe import Recipe
from spos.search import Candidate, Feasible, SearchResult, open_study, search
from spos.space import Architecture
from spos.supernet import Supernet
from spos.training import load_model, train

#: How far a random network for comparison may be from the winner's multiply-adds.
NEAR = 0.05


def train_stage(context: Context) -> dict[str, Any]:
    """Train the supernet, or go on where it stopped."""
    done = context.finished("train")
    if done is not None:
        return done
    seconds = context.launch(_train_supernet)
    return context.finish("train", {"steps": context.config.supernet.steps, "seconds": seconds})


def _train_supernet(context: Context) -> float:
    data = context.data()
    supernet = context.supernet(data)
    context.config.bounds.check(CostTable(supernet))
    return _fit(context, data, data.train, supernet, "train", "supernet", context.config.supernet)


def _fit(
    context: Context,
    data: ImageData,
    images: Images,
    model: nn.Module,
    stage: str,
    folder: str,
    recipe: Recipe,
) -> float:
    """Train a model with checkpoints in a folder of the run, and return the seconds it took."""
    fabric = context.fabric
    shape = (data.channels, data.image_size, data.image_size)
    check_memory(model, shape, recipe.batch_size // fabric.world_size, fabric.device)
    images = images.to(fabric.device)
    seed = context.config.run.seed
    if context.config.run.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        return context.laid_out(
            training_batches(
                data,
                images,
                batch_size=recipe.batch_size,
                seed=seed,
                start=start,
                steps=recipe.steps,
                augment=recipe.augment,
                device=fabric.device,
                rank=fabric.global_rank,
                world_size=fabric.world_size,
            )
        )

    outcome = train(
        fabric,
        model,
        batches,
        recipe,
        Checkpoints(context.directory.path / folder),
        seed=seed,
        observer=Recorder(context.directory, stage, context.listener),
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.seconds


def load_supernet(context: Context, data: ImageData) -> Supernet:
    """The trained supernet of the run.

    Raises:
        UserError: it is not trained, or its checkpoint is damaged.
    """
    loaded = Checkpoints(context.directory.path / "supernet").load()
    supernet = context.supernet(data)
    if loaded is None or loaded.step < context.config.supernet.steps:
        trained = 0 if loaded is None else loaded.step
        lost = f" ({'; '.join(loaded.damaged)})" if loaded and loaded.damaged else ""
        raise UserError(
            f"{context.directory.path} holds no trained supernet: {trained} of "
            f"{context.config.supernet.steps} steps are there{lost}; run spos train first"
        )
    load_model(supernet, loaded.tensors)
    if context.config.run.channels_last:
        supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return supernet.to(context.fabric.device)


def search_stage(context: Context) -> dict[str, Any]:
    """Search the trained supernet, or go on where it stopped."""
    done = context.finished("search")
    if done is not None:
        return done
    config, directory = context.config, context.directory
    data = context.data()
    supernet = load_supernet(context, data)
    table = CostTable(supernet)
    name = f"spos-{context.evaluation_fingerprint(data, supernet)}"
    storage = config.constraint.storage or str(directory.study_path)
    study = open_study(storage, name, supernet.space)
    before = context.clock("search")
    began = time.monotonic()
    with deferred_interrupt() as interrupt:

        def told(candidate: Candidate, count: int, total: int) -> None:
            context.set_clock("search", before + time.monotonic() - began)
            best = max(evaluated.values(), default=candidate.accuracy)
            context.listener.progress(
                "search", count, total, f"top-1 {candidate.accuracy:.1%}  best {best:.1%}"
            )

        evaluated: dict[Architecture, float] = {}
        evaluator = OneShotEvaluator(
            supernet,
            _calibration(context, data),
            _loader(context, data, data.validation),
            autocast=context.fabric.autocast,
        )

        def evaluate(architectures: Iterable[Architecture]) -> Iterator[tuple[Architecture, float]]:
            for architecture, accuracy in evaluator(list(architectures)):
                evaluated[architecture] = accuracy
                yield architecture, accuracy
                if interrupt.requested:
                    raise KeyboardInterrupt

        result = search(
            supernet.space,
            table,
            config.bounds,
            evaluate,
            study,
            config.search,
            on_evaluated=told,
        )
    seconds = before + time.monotonic() - began
    return context.finish("search", _search_outcome(result, supernet, table, seconds))


def _search_outcome(
    result: SearchResult, supernet: Supernet, table: CostTable, seconds: float
) -> dict[str, Any]:
    winner = result.top[0]
    return {
        "evaluated": result.evaluated,
        "exhausted": result.exhausted,
        "winner": {
            **_candidate(winner),
            "names": supernet.space.names(winner.architecture),
            "stages": [
                {"name": name, **costs} for name, costs in table.per_stage(winner.architecture)
            ],
        },
        "top": [_candidate(candidate) for candidate in result.top],
        "candidates": [_candidate(candidate) for candidate in result.candidates],
        "seconds": seconds,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "architecture": str(candidate.architecture),
        "one_shot_top1": candidate.accuracy,
        **candidate.costs,
        "iteration": candidate.iteration,
        "origin": candidate.origin,
    }


def _loader(context: Context, data: ImageData, images: Images) -> Loader:
    images = images.to(context.fabric.device)
    batch_size = context.config.run.evaluation_batch
    device = context.fabric.device
    return lambda: context.laid_out(
        evaluation_batches(data, images, batch_size=batch_size, device=device)
    )


def _calibration(context: Context, data: ImageData) -> Loader:
    settings = context.config.run
    count = min(settings.calibration, len(data.train))
    # The mean over batches is the mean over images only where all batches are full.
    whole = max(count - count % settings.evaluation_batch, min(count, settings.evaluation_batch))
    chosen = generator(settings.seed, "calibration").permutation(len(data.train))[:whole]
    return _loader(context, data, data.train.subset(sorted(chosen.tolist())))


def retrain_stage(context: Context) -> dict[str, Any]:
    """Train the winner from scratch on all training images, then read the test images once."""
    done = context.finished("retrain")
    if done is not None:
        return done
    found = context.finished("search")
    if found is None:
        raise UserError(f"{context.directory.path} has no search result: run spos search first")
    outcome = context.launch(_retrain, found["winner"]["architecture"], "retrain")
    return context.finish("retrain", outcome)


def _retrain(context: Context, text: str, stage: str) -> dict[str, Any]:
    data = context.data()
    supernet = context.supernet(data, "retrain")
    network = supernet.subnet(supernet.space.parse(text))
    recipe = context.config.retrain
    images = data.train.join(data.validation)
    seconds = _fit(context, data, images, network, stage, stage, recipe)
    top1 = None
    if context.fabric.is_global_zero:
        with context.fabric.autocast():
            top1 = score(network, _loader(context, data, data.test()))
    return {"architecture": text, "test_top1": top1, "steps": recipe.steps, "seconds": seconds}


def compare_stage(context: Context) -> dict[str, Any] | None:
    """Retrain random networks of the winner's multiply-adds, all in the same way.

    They are drawn under the same constraint, and within 5% of the winner's multiply-adds.
    """
    count = context.config.run.compare
    if not count:
        return None
    done = context.finished("compare")
    if done is not None:
        return done
    found, winner = context.finished("search"), context.finished("retrain")
    assert found is not None and winner is not None
    data = context.data()
    supernet = load_supernet(context, data)
    table = CostTable(supernet)
    networks = []
    chosen = _random_like(context, supernet, table, found["winner"], count)
    evaluator = OneShotEvaluator(
        supernet,
        _calibration(context, data),
        _loader(context, data, data.validation),
        autocast=context.fabric.autocast,
    )
    one_shot = dict(evaluator(chosen))
    for number, architecture in enumerate(chosen, 1):
        stage = f"compare-{number}"
        outcome = context.finished(stage)
        if outcome is None:
            outcome = context.launch(_retrain, str(architecture), stage)
            context.finish(stage, outcome)
        networks.append(
            {
                "name": f"random {number}",
                "architecture": str(architecture),
                **table.cost(architecture),
                "one_shot_top1": one_shot[architecture],
                "test_top1": outcome["test_top1"],
                "seconds": outcome["seconds"],
            }
        )
    scores = [network["test_top1"] for network in networks]
    return context.finish(
        "compare",
        {
            "networks": networks,
            "random_mean": statistics.fmean(scores),
            "random_std": statistics.stdev(scores) if count > 1 else None,
            "found_test_top1": winner["test_top1"],
            "seconds": sum(network.pop("seconds") for network in networks),
        },
    )


def _random_like(
    context: Context, supernet: Supernet, table: CostTable, winner: dict[str, Any], count: int
) -> list[Architecture]:
    bounds = context.config.bounds
    flops = winner["flops"]
    near = Constraint(
        maximum={
            **bounds.maximum,
            "flops": min(bounds.maximum.get("flops", float("inf")), flops * (1 + NEAR)),
        },
        minimum={
            **bounds.minimum,
            "flops": max(bounds.minimum.get("flops", 0.0), flops * (1 - NEAR)),
        },
    )
    feasible = Feasible(supernet.space, table, near)
    random = generator(context.config.run.seed, "compare")
    exclude = {supernet.space.parse(winner["architecture"])}
    return feasible.draw(count, random, exclude)


__all__ = [
    "compare_stage",
    "load_supernet",
    "retrain_stage",
    "search_stage",
    "train_stage",
]
