"""The search of a run whose supernet and architecture parameters are trained together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator, torch_seed
from spos.cost import Constraint, CostModel
from spos.cost.cost import find_cost
from spos.cost.expected import ExpectedCost
from spos.cost.units import TIME, format_quantity
from spos.data import ImageData, Images, check_batch, training_batches
from spos.data.split import split_targets
from spos.nn.supernet import Supernet
from spos.run.context import Context
from spos.run.costs import charged_cost
from spos.run.fit import fit
from spos.run.one_shot import one_shot_evaluator
from spos.run.outcome import candidate as candidate_row
from spos.run.theta_recorder import ThetaRecorder
from spos.search import Candidate, Feasible
from spos.search.derive import Distribution
from spos.space import Architecture
from spos.training.checkpoint import Checkpoints
from spos.training.loop import cross_entropy
from spos.training.methods.mixture import MixtureMethod, Schedule
from spos.training.methods.settings import DifferentiableSettings
from spos.training.methods.theta import Theta, has_theta, mix, readers

#: Of the units for the mean cost, the largest is taken of which the cheapest network has this many.
UNITS_AT_LEAST = 10


@dataclass(frozen=True)
class _Parts:
    """What the weights and theta learn from, each."""

    weights: Images
    theta: Images | None


def differentiable_stage(context: Context) -> dict[str, Any]:
    """Train the weights and theta, or go on where it stopped, and derive a network from theta.

    Raises:
        UserError: the space, the settings or the run directory do not fit the algorithm, or no
            network satisfies the constraint.
    """
    config = context.config
    settings, recipe = config.differentiable, config.supernet
    _check(context)
    data = context.data()
    supernet = context.supernet(data)
    readers(supernet)  # Refuses choices that are not between modules.
    table = context.costs(supernet)
    feasible = Feasible(supernet.space, table, config.bounds)
    feasible.draw(1, generator(config.run.seed, "reachable"))
    cost = charged_cost(config)
    expected, unit = _expected(table, settings, cost)
    parts = _split(context, data)
    supernet.to(context.fabric.device)
    theta = Theta(
        supernet, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = Schedule(
        config.search.algorithm,
        settings,
        recipe,
        max(1, len(parts.weights) // recipe.batch_size),
        unit,
        config.run.seed,
        _limit(config.bounds, settings, cost),
    )

    def theta_batches(start: int) -> Iterable[tuple[Tensor, Tensor]]:
        assert parts.theta is not None
        return context.laid_out(
            training_batches(
                data,
                parts.theta.to(context.fabric.device),
                batch_size=recipe.batch_size,
                seed=torch_seed(config.run.seed, "theta images"),
                start=start,
                steps=schedule.theta_steps(recipe.steps),
                augment=recipe.augment,
                device=context.fabric.device,
            )
        )

    method = MixtureMethod(
        supernet,
        theta,
        schedule,
        expected,
        theta_batches,
        context.task.loss or cross_entropy(recipe.label_smoothing),
        context.fabric,
        ThetaRecorder(context.directory),
    )
    try:
        _imagine_heaviest(supernet, config.search.algorithm)
        seconds = fit(
            context, data, parts.weights, supernet, "search", "supernet", recipe, method=method
        )
    finally:
        theta.clear()
    candidates = _derive(context, data, supernet, feasible, theta)
    outcome = _outcome(context, supernet, table, candidates, theta)
    loss = {} if expected is None else {"cost": cost, "unit": unit}
    return context.finish("search", {**outcome, **loss, "seconds": seconds})


def _check(context: Context) -> None:
    """Refuse what does not go with the algorithm."""
    config = context.config
    algorithm, settings = config.search.algorithm, config.differentiable
    stored = Checkpoints(context.directory.path / "supernet").load()
    single_paths = stored is not None and not has_theta(stored.tensors)
    if context.finished("train") is not None or single_paths:
        raise UserError(
            f"{context.directory.path} holds a supernet trained by single paths: --algorithm "
            f"{algorithm} trains one of its own, give another --out"
        )
    if context.devices > 1:
        raise UserError(
            f"--devices {context.devices}: --algorithm {algorithm} trains in one process, give "
            "--devices 1 (spos retrain takes more)"
        )
    if config.run.precision == "16-mixed":
        raise UserError(
            f"run.precision 16-mixed: not for --algorithm {algorithm}, the gradients of theta are "
            "too small for it; allowed: 32-true, bf16-mixed"
        )
    if config.search.pareto:
        raise UserError(
            f"search pareto {','.join(config.search.pareto)}: --algorithm {algorithm} finds one "
            "network, not a front; allowed with it are the algorithms nsga2 and random"
        )
    if config.constraint.storage:
        raise UserError(
            f"--storage {config.constraint.storage}: --algorithm {algorithm} keeps no evaluations, "
            "leave it out"
        )
    if algorithm == "proxylessnas" and settings.form == "joint":
        raise UserError(
            "differentiable.form joint: the gates of proxylessnas need steps of their own for "
            "theta; allowed: alternating"
        )


def _expected(
    table: CostModel, settings: DifferentiableSettings, cost: str
) -> tuple[ExpectedCost | None, float]:
    """The mean cost and its unit; none in the joint form, whose loss has no cost."""
    if settings.form == "joint":
        return None, 1.0
    expected = ExpectedCost(table, cost)
    least = table.range()[cost][0]
    largest = 1e3 if find_cost(cost).unit is TIME else 1e6
    units = [unit for unit in (1e6, 1e3, 1.0) if unit <= largest]
    unit = settings.unit or next((u for u in units if least >= UNITS_AT_LEAST * u), 1.0)
    if least <= unit:
        raise UserError(
            f"differentiable.unit {format_quantity(unit)}: the cheapest network has "
            f"{cost} {format_quantity(least)}, and the logarithm of its cost must be "
            f"above 0; nearest valid: {format_quantity(max(least * 0.9, 1e-9))}"
        )
    return expected, unit


def _limit(bounds: Constraint, settings: DifferentiableSettings, cost: str) -> float:
    """The mean cost that is not charged."""
    if settings.form == "joint" or settings.charge == "all":
        return 0.0
    if cost not in bounds.maximum:
        raise UserError(
            f"differentiable.charge {settings.charge}: the run allows any {cost}; give it a limit, "
            f"--max {cost}=N, or the charge all"
        )
    return bounds.maximum[cost]


def _split(context: Context, data: ImageData) -> _Parts:
    """The training images, part of them set apart for theta."""
    config = context.config
    settings = config.differentiable
    if settings.form == "joint":
        return _Parts(data.train, None)
    option = "differentiable.theta_images"
    rest, part = split_targets(
        data.train.labels,
        settings.theta_images,
        torch_seed(config.run.seed, "theta split"),
        option=option,
        classes=data.classes or (),
    )
    try:
        check_batch(config.supernet.batch_size, len(part))
    except UserError as error:
        raise UserError(f"{option} {settings.theta_images}: {error}") from None
    return _Parts(data.train.subset(rest), data.train.subset(part))


def _imagine_heaviest(supernet: Supernet, algorithm: str) -> None:
    """Mix as the heaviest step does, for the estimate of what memory the training takes."""
    for module, _ in readers(supernet):
        sizes = [sum(p.numel() for p in option.parameters()) for option in module.options]
        heaviest = sorted(range(len(sizes)), key=lambda index: -sizes[index])
        kept = heaviest[: 2 if algorithm == "proxylessnas" else None]
        mix(module, [(index, torch.tensor(1 / len(kept))) for index in kept])


def _derive(
    context: Context, data: ImageData, supernet: Supernet, feasible: Feasible, theta: Theta
) -> list[Candidate]:
    """Networks of the distribution with their one-shot scores, the most probable one first."""
    settings = context.config.differentiable
    shares = [column.double().cpu().numpy() for column in theta.probabilities()]
    distribution = Distribution(feasible, shares)
    origins = {distribution.most_probable(): "argmax"}
    if settings.derive == "sample":
        random = generator(context.config.run.seed, "derive")
        for architecture in distribution.sample(settings.samples, random):
            if len(origins) < settings.samples:
                origins.setdefault(architecture, "sampled")
    scores: dict[Architecture, float] = {}
    for architecture, score in _scored(context, data, supernet, list(origins)):
        scores[architecture] = score
        best = context.task.show(max(scores.values()))
        detail = f"{context.task.name} {context.task.show(score)}  best {best}"
        context.listener.progress("search", len(scores), len(origins), detail)
    return [
        Candidate(one, 0, position, origin, scores[one], feasible.table.cost(one))
        for position, (one, origin) in enumerate(origins.items())
    ]


def _scored(
    context: Context, data: ImageData, supernet: Supernet, architectures: list[Architecture]
) -> Iterator[tuple[Architecture, float]]:
    return one_shot_evaluator(context, data, supernet)(architectures)


def _outcome(
    context: Context,
    supernet: Supernet,
    table: CostModel,
    candidates: list[Candidate],
    theta: Theta,
) -> dict[str, Any]:
    best = sorted(candidates, key=lambda one: (-one.score, one.position))
    top = best[: context.config.search.parents]
    winner = top[0].architecture
    probabilities = {
        choice.name: dict(zip(choice.options, map(float, column), strict=True))
        for choice, column in zip(supernet.space.choices, theta.probabilities(), strict=True)
    }
    return {
        "evaluated": len(candidates),
        "exhausted": False,
        "winner": {
            **candidate_row(top[0]),
            "names": supernet.space.names(winner),
            "stages": table.stages(winner),
        },
        "top": [candidate_row(candidate) for candidate in top],
        "candidates": [candidate_row(candidate) for candidate in candidates],
        "probabilities": probabilities,
    }
