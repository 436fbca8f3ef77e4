"""The stages of a run: each a function of the configuration and of what is on disk."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from optuna.exceptions import StorageInternalError
from torch import Tensor, nn

from spos.checkpoint import Checkpoints
from spos.context import Context
from spos.cost import Constraint, CostTable, format_quantity
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
    _check_reachable(context, CostTable(supernet))
    return _fit(context, data, data.train, supernet, "train", "supernet", context.config.supernet)


def _check_reachable(context: Context, table: CostTable) -> None:
    """Refuse a constraint that no network of the space satisfies."""
    feasible = Feasible(table.space, table, context.config.bounds)
    feasible.draw(1, generator(context.config.run.seed, "reachable"))


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

    batches(recipe.steps)  # Refuses a batch that the images or the processes do not make.
    context.begin()
    outcome = train(
        fabric,
        model,
        batches,
        recipe,
        Checkpoints(context.directory.path / folder),
        seed=seed,
        observer=Recorder(context.directory, stage, context.listener),
        save_every=context.config.run.save_every,
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.seconds


def load_supernet(context: Context) -> Supernet:
    """The trained supernet of the run.

    Raises:
        UserError: it is not trained, its checkpoint is damaged, or it is of other classes.
    """
    path, steps = context.directory.path, context.config.supernet.steps
    trained = context.finished("train")
    if trained is None:
        raise UserError(f"{path} holds no trained supernet: run spos train first")
    data = context.data()
    classes = trained.get("classes", len(data.classes))
    if classes != len(data.classes):
        raise UserError(
            f"the supernet of {path} tells {classes} classes apart, {data.source} has "
            f"{len(data.classes)}: give the images that it was trained on"
        )
    loaded = Checkpoints(path / "supernet").load()
    if loaded is None or loaded.step < steps:
        there = 0 if loaded is None else loaded.step
        damaged = "; ".join(loaded.damaged) if loaded else ""
        raise UserError(
            f"{path} holds no trained supernet any more: {there} of {steps} steps are there"
            f"{damaged and f' ({damaged})'}; restore the checkpoint, or delete train.json and run "
            "spos train to train the rest again"
        )
    supernet = context.supernet(data)
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
    supernet = load_supernet(context)
    data = context.data()
    table = CostTable(supernet)
    _check_reachable(context, table)
    before = context.clock("search")
    if before and not config.constraint.storage and not directory.study_path.exists():
        raise UserError(
            f"{directory.study_path} is missing although the search has begun: restore it, or "
            f"delete {context.clock_path('search')} to search anew"
        )
    context.begin()
    name = f"spos-{context.evaluation_fingerprint(data, supernet)}"
    storage = config.constraint.storage or str(directory.study_path)
    study = open_study(storage, name, supernet.space)
    began = time.monotonic()
    with deferred_interrupt() as interrupt:

        def told(candidate: Candidate, count: int, total: int) -> None:
            context.set_clock("search", before + time.monotonic() - began)
            best = max(evaluated.values(), default=candidate.accuracy)
            context.listener.progress(
                "search", count, total, f"top-1 {candidate.accuracy:.1%}  best {best:.1%}"
            )

        evaluated: dict[Architecture, float] = {}
        evaluator = _evaluator(context, data, supernet)

        def evaluate(architectures: Iterable[Architecture]) -> Iterator[tuple[Architecture, float]]:
            for architecture, accuracy in evaluator(list(architectures)):
                evaluated[architecture] = accuracy
                yield architecture, accuracy
                if interrupt.requested:
                    raise KeyboardInterrupt

        try:
            result = search(
                supernet.space,
                table,
                config.bounds,
                evaluate,
                study,
                config.search,
                on_evaluated=told,
            )
        except StorageInternalError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise UserError(f"{storage} cannot be written: {reason}") from error
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


def _evaluator(context: Context, data: ImageData, supernet: Supernet) -> OneShotEvaluator:
    return OneShotEvaluator(
        supernet,
        _calibration(context, data),
        _loader(context, data, data.validation),
        autocast=context.fabric.autocast,
    )


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
    outcome = {"architecture": text, "steps": recipe.steps, "seconds": seconds}
    if context.fabric.is_global_zero:
        test = data.test()
        with context.fabric.autocast():
            outcome["test_top1"] = score(network, _loader(context, data, test))
        outcome["test_images"] = len(test)
    return outcome


def compare_stage(context: Context, count: int) -> dict[str, Any]:
    """Retrain random networks in the way of the winner.

    They are drawn under the same constraint, and within 5% of the winner's multiply-adds.

    Args:
        context: of a run whose winner is retrained.
        count: how many; those compared before are kept.
    """
    done = context.finished("compare")
    if done is not None and len(done["networks"]) >= count:
        return done
    found, winner = context.finished("search"), context.finished("retrain")
    if found is None or winner is None:
        raise UserError(f"{context.directory.path} has no retrained winner to compare with")
    supernet = load_supernet(context)
    data = context.data()
    table = CostTable(supernet)
    chosen = _random_like(context, table, found["winner"], count)
    one_shot = dict(_evaluator(context, data, supernet)(chosen))
    networks, seconds = [], 0.0
    for number, architecture in enumerate(chosen, 1):
        stage = f"compare-{number}"
        outcome = context.finished(stage)
        if outcome is None:
            outcome = context.launch(_retrain, str(architecture), stage)
            context.finish(stage, outcome)
        seconds += outcome["seconds"]
        networks.append(
            {
                "name": f"random {number}",
                "architecture": str(architecture),
                **table.cost(architecture),
                "one_shot_top1": one_shot[architecture],
                "test_top1": outcome["test_top1"],
            }
        )
    scores = [network["test_top1"] for network in networks]
    return context.finish(
        "compare",
        {
            "networks": networks,
            "random_mean": statistics.fmean(scores),
            "random_std": statistics.stdev(scores) if len(scores) > 1 else None,
            "found_test_top1": winner["test_top1"],
            "seconds": seconds,
        },
    )


def _random_like(
    context: Context, table: CostTable, winner: dict[str, Any], count: int
) -> list[Architecture]:
    """Random networks about as costly as the winner; the first of many are the first of few."""
    bounds, flops = context.config.bounds, winner["flops"]
    most = min(bounds.maximum.get("flops", float("inf")), flops * (1 + NEAR))
    least = max(bounds.minimum.get("flops", 0.0), flops * (1 - NEAR))
    near = Constraint({**bounds.maximum, "flops": most}, {**bounds.minimum, "flops": least})
    feasible = Feasible(table.space, table, near)
    taken = {table.space.parse(winner["architecture"])}
    chosen: list[Architecture] = []
    for number in range(count):
        random = generator(context.config.run.seed, "compare", number)
        chosen += feasible.draw(1, random, taken.union(chosen))
    if not chosen:
        raise UserError(
            f"no other network of the space is within {NEAR:.0%} of the winner's "
            f"{format_quantity(flops)} multiply-adds: there is nothing to compare with"
        )
    return chosen


__all__ = [
    "compare_stage",
    "load_supernet",
    "retrain_stage",
    "search_stage",
    "train_stage",
]
