"""Comparison of the winner with random networks of about the same cost."""

from __future__ import annotations

import statistics
from functools import cache
from itertools import compress
from typing import NamedTuple

import numpy as np

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost import CostModel
from spos.report.result import ComparedNetwork, Comparison, Winner
from spos.run.config import Config
from spos.run.context import Context
from spos.run.costs import find_primary_cost, narrow
from spos.run.finalists import read_found
from spos.run.fit import is_short, recipe_of, retrain_all
from spos.run.network import load_checkpoint
from spos.run.outcome import CompareOutcome, RetrainOutcome
from spos.run.recorder import timed
from spos.run.scoring import Scorer
from spos.search import Feasible
from spos.space import Architecture

#: Stages of the trainings of the uniform network, and of the winner where it is trained once more.
UNIFORM, FOUND = "compare-uniform", "compare-found"
#: Largest relative deviations from the winner's cost of a random network; the first for which a
#: network is found applies. None allows any deviation.
COST_TOLERANCES = (0.05, 0.1, 0.2, 0.4, None)
#: Draws of architectures of networks that are known already, before a deviation is given up.
SAME = 100


class Compared(NamedTuple):
    """The networks of a comparison.

    Args:
        random (dict): allowed deviation from the winner's cost of each random network.
        uniform (tuple | None): option of the uniform network, and the network, if there is one.
        stages (dict): name of the stage of the training of each network, the winner's first.
    """

    random: dict[Architecture, float | None]
    uniform: tuple[str, Architecture] | None
    stages: dict[Architecture, str]


def choose_networks(context: Context, table: CostModel, winner: Winner, count: int) -> Compared:
    """Choose the networks that the winner is compared with, and name their trainings.

    Args:
        context (Context): the run.
        table (CostModel): costs of its networks.
        winner (Winner): the network found.
        count (int): number of random networks, at least 1; a small space has fewer.
    """
    random = _random_like(context, table, winner, count)
    uniform = find_uniform(Feasible(table.space, table, context.config.bounds), context.config)
    shorter = context.config.network.compare_share < 1
    stages = {winner.architecture: FOUND if shorter else RetrainOutcome.stage}
    if uniform:
        # The costliest one first, so that no process trains it while all others are done.
        stages.setdefault(uniform[1], UNIFORM)
    for number, architecture in enumerate(random, 1):
        stages[architecture] = f"compare-{number}"
    return Compared(random, uniform, stages)


def compare_stage(context: Context, count: int) -> CompareOutcome | None:
    """Train random networks, and a uniform one, with the recipe of the winner.

    Random networks are drawn under the same constraint, within 5% of the winner's primary cost
    (:func:`spos.cost.cost.primary_cost`) or, if no such network is found, within a larger
    deviation. Where they are trained for fewer steps than the winner was, so is the winner, once
    more.

    Args:
        context (Context): run whose winner is retrained.
        count (int): number of networks, at least 1; networks that are already retrained count.

    Returns:
        The comparison; None where no network but the winner is within the bounds, which the
        listener is told.

    Raises:
        UserError: the run has no retrained winner.
    """
    directory = context.directory
    done = directory.outcome(CompareOutcome)
    # Compared with the requested number, because a small space has fewer networks.
    if done is not None and done.comparison.asked >= count:
        return done
    found, winner = read_found(directory), directory.outcome(RetrainOutcome)
    if found is None or winner is None or winner.test_score is None:
        raise UserError(f"{directory.path} has no retrained winner to compare with")
    supernet, _ = load_checkpoint(context)
    table = context.costs(supernet)
    chosen, uniform, stages = choose_networks(context, table, found.winner, count)
    if not chosen:
        # No error: the winner is trained and tested, and nothing that was asked of it is missing.
        context.listener.message(
            "no network of the space but the winner satisfies the limits: there is none to compare "
            "it with"
        )
        return None
    scored = [*chosen, *([uniform[1]] if uniform else [])]
    one_shot = dict(Scorer(context, supernet)(scored))
    networks = {stage: str(architecture) for architecture, stage in stages.items()}
    with timed(directory, CompareOutcome.stage) as watch:
        outcomes = retrain_all(context, networks, "compare")
    for stage, outcome in outcomes.items():
        if outcome.architecture != networks[stage]:
            raise UserError(
                f"{directory.path}: {stage} is a network that is no longer drawn for this "
                f"comparison; give another --out and --reuse {directory.path}"
            )

    def tested(architecture: Architecture) -> float:
        score = outcomes[stages[architecture]].test_score
        assert score is not None, "the first process tests the network"
        return score

    def compared(name: str, architecture: Architecture, near: float | None) -> ComparedNetwork:
        return ComparedNetwork(
            name=name,
            architecture=str(architecture),
            costs=table.cost(architecture),
            within=near,
            score=one_shot[architecture],
            test_score=tested(architecture),
        )

    random = [
        compared(f"random {number}", architecture, near)
        for number, (architecture, near) in enumerate(chosen.items(), 1)
    ]
    scores = [network.test_score for network in random]
    comparison = Comparison(
        asked=count,
        networks=tuple(random),
        random_mean=statistics.fmean(scores),
        random_std=statistics.stdev(scores) if len(scores) > 1 else None,
        found_test_score=tested(found.winner.architecture),
        uniform=compared(f"all {uniform[0]}", uniform[1], None) if uniform else None,
        steps=recipe_of(context, FOUND).steps if is_short(context, FOUND) else None,
    )
    return directory.finish(CompareOutcome(seconds=watch.seconds, comparison=comparison))


def find_uniform(feasible: Feasible, config: Config) -> tuple[str, Architecture] | None:
    """Find the costliest network within the bounds that has the same option everywhere.

    Args:
        feasible (Feasible): architectures within the bounds.
        config (Config): configuration of the run; it determines the primary cost.

    Returns:
        The option, and the architecture; None if no option that all choices have is within them.

    Source: the uniform baselines are those of Guo et al., Table 3.
    """
    choices = feasible.space.choices
    common = [name for name in choices[0].options if all(name in one.options for one in choices)]
    networks = [Architecture([choice.options.index(name) for choice in choices]) for name in common]
    cost = find_primary_cost(config)
    within = compress(zip(common, networks, strict=True), feasible.satisfied(networks))
    # The first of equals.
    return max(within, key=lambda one: feasible.table.cost(one[1])[cost], default=None)


def _random_like(
    context: Context, table: CostModel, winner: Winner, count: int
) -> dict[Architecture, float | None]:
    """Draw random networks about as costly as the winner.

    The first networks do not depend on their number. If no other network is near, the allowed
    deviation grows until the constraint alone applies.

    Returns:
        The deviation that applied, as a share of the winner's cost, by architecture; empty where
        the winner alone satisfies the constraint.
    """
    config = context.config
    cost = find_primary_cost(config)
    value = winner.costs[cost]

    @cache
    def level(near: float | None) -> Feasible:
        bounds = config.bounds
        if near is not None:
            bounds = narrow(bounds, cost, value * (1 - near), value * (1 + near))
        return Feasible(table.space, table, bounds)

    chosen: dict[Architecture, float | None] = {}
    canonical = table.space.canonical
    known = {winner.architecture: canonical(winner.architecture)}

    def draw(feasible: Feasible, random: np.random.Generator) -> Architecture | None:
        for _ in range(SAME):
            drawn = feasible.draw(1, random, {*known})
            if not drawn:
                break
            before = {*known.values()}
            known[drawn[0]] = canonical(drawn[0])
            if known[drawn[0]] not in before:
                return drawn[0]
        return None

    for number in range(count):
        for near in COST_TOLERANCES:
            one = draw(level(near), generator(config.run.seed, "compare", number))
            if one is not None:
                chosen[one] = near
                break
    return chosen
