"""The search of a run whose training decided: networks that follow from theta, and their scores."""

from __future__ import annotations

import time
from typing import Any

from spos._util.randomness import generator
from spos.cost import CostModel
from spos.data import ImageData
from spos.nn.supernet import Supernet
from spos.run.context import Context
from spos.run.differentiable import charged_cost, unit_of
from spos.run.one_shot import load_checkpoint, one_shot_evaluator
from spos.run.outcome import candidate as candidate_row
from spos.search import Candidate, Feasible
from spos.search.derive import Distribution
from spos.space import Architecture
from spos.training.theta import Theta


def derive_stage(context: Context) -> dict[str, Any]:
    """Derive networks from the theta of the trained supernet, and score them.

    Raises:
        UserError: there is no supernet trained with theta, or no network satisfies the constraint.
    """
    config = context.config
    settings = config.differentiable
    supernet, tensors = load_checkpoint(context)
    theta = Theta(
        supernet, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    theta.load(tensors)
    data = context.data()
    table = context.costs(supernet)
    context.begin()
    began = time.monotonic()
    candidates = _derive(
        context, data, supernet, Feasible(table.space, table, config.bounds), theta
    )
    outcome = _outcome(context, supernet, table, candidates, theta)
    cost = charged_cost(config)
    loss = {} if cost is None else {"cost": cost, "unit": unit_of(table, settings, cost)}
    return context.finish("search", {**outcome, **loss, "seconds": time.monotonic() - began})


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
    evaluate = one_shot_evaluator(context, data, supernet)
    for architecture, score in evaluate(list(origins)):
        scores[architecture] = score
        best = context.task.show(max(scores.values()))
        detail = f"{context.task.name} {context.task.show(score)}  best {best}"
        context.listener.progress("search", len(scores), len(origins), detail)
    return [
        Candidate(one, scores[one], feasible.table.cost(one), 0, position, origin)
        for position, (one, origin) in enumerate(origins.items())
    ]


def _outcome(
    context: Context,
    supernet: Supernet,
    table: CostModel,
    candidates: list[Candidate],
    theta: Theta,
) -> dict[str, Any]:
    best = sorted(candidates, key=lambda one: (-one.accuracy, one.position))
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
