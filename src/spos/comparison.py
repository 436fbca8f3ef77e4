"""The winner beside random networks of its cost: whether the search was worth it."""

from __future__ import annotations

import statistics
from typing import Any

from spos.context import Context
from spos.cost import Constraint, CostModel
from spos.errors import UserError
from spos.fit import retrain
from spos.one_shot import load_supernet, one_shot_evaluator
from spos.randomness import generator
from spos.search import Feasible
from spos.space import Architecture
from spos.units import format_quantity

#: How far a random network for comparison may be from the winner's cost.
NEAR = 0.05


def compare_stage(context: Context, count: int) -> dict[str, Any]:
    """Retrain random networks in the way of the winner.

    They are drawn under the same constraint, and within 5% of the winner's cost: of the first
    that is bounded, or of multiply-adds.

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
    one_shot = dict(one_shot_evaluator(context, data, supernet)(chosen))
    networks, seconds = [], 0.0
    for number, architecture in enumerate(chosen, 1):
        stage = f"compare-{number}"
        outcome = context.finished(stage)
        if outcome is None:
            outcome = context.launch(retrain, str(architecture), stage)
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
) -> list[Architecture]:
    """Random networks about as costly as the winner; the first of many are the first of few."""
    bounds = context.config.bounds
    # The cost that the search is about; without a bound, multiply-adds.
    cost = next(iter((*bounds.maximum, *bounds.minimum)), "flops")
    most = min(bounds.maximum.get(cost, float("inf")), winner[cost] * (1 + NEAR))
    least = max(bounds.minimum.get(cost, 0.0), winner[cost] * (1 - NEAR))
    near = Constraint({**bounds.maximum, cost: most}, {**bounds.minimum, cost: least})
    feasible = Feasible(table.space, table, near)
    taken = {table.space.parse(winner["architecture"])}
    chosen: list[Architecture] = []
    for number in range(count):
        random = generator(context.config.run.seed, "compare", number)
        chosen += feasible.draw(1, random, taken.union(chosen))
    if not chosen:
        raise UserError(
            f"no other network of the space is within {NEAR:.0%} of the winner's "
            f"{format_quantity(winner[cost])} {cost}: there is nothing to compare with"
        )
    return chosen
