"""The winner beside random networks of its cost: whether the search was worth it."""

from __future__ import annotations

import statistics
from typing import Any

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost import Constraint, CostModel
from spos.run.context import Context
from spos.run.costs import searched_cost
from spos.run.fit import retrain
from spos.run.one_shot import load_supernet, one_shot_evaluator
from spos.search import Feasible
from spos.space import Architecture

#: How far a random network for comparison may be from the winner's cost, as a share of it: the
#: first for which there is one. None is any distance.
NEAR = (0.05, 0.1, 0.2, 0.4, None)


def compare_stage(context: Context, count: int) -> dict[str, Any]:
    """Retrain random networks in the way of the winner.

    They are drawn under the same constraint, and within 5% of the winner's primary cost
    (:func:`spos.cost.cost.primary_cost`), or further off where there are none.

    Args:
        context: of a run whose winner is retrained.
        count: how many; those compared before are kept.
    """
    done = context.finished("compare")
    # There may be fewer networks than were asked for.
    if done is not None and done.get("asked", len(done["networks"])) >= count:
        return done
    found, winner = context.finished("search"), context.finished("retrain")
    if found is None or winner is None:
        raise UserError(f"{context.directory.path} has no retrained winner to compare with")
    supernet = load_supernet(context)
    data = context.data()
    table = context.costs(supernet)
    chosen = _random_like(context, table, found["winner"], count)
    one_shot = dict(one_shot_evaluator(context, data, supernet)(list(chosen)))
    networks, seconds = [], 0.0
    for number, (architecture, near) in enumerate(chosen.items(), 1):
        stage = f"compare-{number}"
        outcome = context.finished(stage)
        if outcome is None:
            outcome = context.launch(retrain, str(architecture), stage)
            context.finish(stage, outcome)
        elif outcome["architecture"] != str(architecture):
            raise UserError(
                f"{context.directory.path}: {stage} is of a network that would not be drawn for "
                f"this comparison any more; give another --out and --reuse {context.directory.path}"
            )
        seconds += outcome["seconds"]
        networks.append(
            {
                "name": f"random {number}",
                "architecture": str(architecture),
                **table.cost(architecture),
                "within": near,
                "one_shot_top1": one_shot[architecture],
                "test_top1": outcome["test_top1"],
            }
        )
    scores = [network["test_top1"] for network in networks]
    return context.finish(
        "compare",
        {
            "asked": count,
            "networks": networks,
            "random_mean": statistics.fmean(scores),
            "random_std": statistics.stdev(scores) if len(scores) > 1 else None,
            "found_test_top1": winner["test_top1"],
            "seconds": seconds,
        },
    )


def _random_like(
    context: Context, table: CostModel, winner: dict[str, Any], count: int
) -> dict[Architecture, float | None]:
    """Random networks about as costly as the winner, and within which share of its cost each is.

    The first of many are the first of few. Where no other network is near, one further off is
    taken, in the end any within the constraint.
    """
    bounds = context.config.bounds
    cost = searched_cost(context.config)
    levels: dict[float | None, Feasible] = {}
    chosen: dict[Architecture, float | None] = {}
    winning = table.space.parse(winner["architecture"])
    for number in range(count):
        taken = {winning, *chosen}
        for near in NEAR:
            if near not in levels:
                levels[near] = Feasible(table.space, table, _near(bounds, cost, winner[cost], near))
            random = generator(context.config.run.seed, "compare", number)
            drawn = levels[near].draw(1, random, taken)
            if drawn:
                chosen[drawn[0]] = near
                break
    if not chosen:
        raise UserError(
            "no other network of the space satisfies the constraint: there is nothing to compare "
            "the winner with"
        )
    return chosen


def _near(bounds: Constraint, cost: str, value: float, near: float | None) -> Constraint:
    if near is None:
        return bounds
    most = min(bounds.maximum.get(cost, float("inf")), value * (1 + near))
    least = max(bounds.minimum.get(cost, 0.0), value * (1 - near))
    return Constraint({**bounds.maximum, cost: most}, {**bounds.minimum, cost: least})
