"""How the network found compares with random ones, in words."""

from __future__ import annotations

from dataclasses import dataclass

from spos.cost.cost import find_cost, format_cost
from spos.report.result import Comparison, Result
from spos.report.words import counted, sampling_error

#: Chance that a random network is as good, up to which an advantage is clear, and above which it is
#: none.
CLEAR, WEAK = 0.05, 0.25
#: Deviation from the cost of the network found, as a share of it, up to which one is nearly equal.
NEAR = 0.1
NEARLY = "at nearly the same cost"


@dataclass(frozen=True)
class Verdict:
    """How the network found compares with random ones."""

    short: str
    words: str


def verdict(result: Result) -> Verdict | None:
    """Compare the network found with the random ones.

    Returns:
        The comparison in words; None where there is none.
    """
    compared, measure = result.comparison, result.metric
    if compared is None:
        return None
    short, words = (_with_one if len(compared.networks) == 1 else _with_several)(result, compared)
    if compared.uniform:
        score, cost = compared.uniform.test_score, result.primary_cost
        spent = f"{format_cost(cost, compared.uniform.costs[cost])} {find_cost(cost).noun}"
        words += (
            f" The network of {compared.uniform.name}, with {spent}, has {measure.show(score)}."
        )
    return Verdict(short, f"{short} {words}")


def drawn_at(result: Result) -> str:
    """At what cost the random networks were drawn, in words; empty where there are none."""
    if result.comparison is None:
        return ""
    deviations = [one.within for one in result.comparison.networks]
    known = [one for one in deviations if one is not None]
    if len(known) < len(deviations):
        return "at any cost, because no network of a similar cost was left"
    furthest = max(known, default=0.0)
    if furthest > NEAR:
        return f"at a cost within {furthest:.0%} of that of the network found"
    return NEARLY


def trained_for(result: Result) -> str:
    """For how many steps all were trained to be compared; empty for those of the retraining."""
    compared = result.comparison
    if compared is None or compared.steps is None:
        return ""
    return f", each trained for {counted(compared.steps, 'step')}"


def uncompared(result: Result) -> str:
    """Say that nothing was compared, and how sure the score is; empty where something was."""
    if result.test_score is None or result.comparison:
        return ""
    said = "It was not compared with random networks of its cost." if result.winner else ""
    return " ".join(filter(None, (said, sampling_error(result))))


def _with_one(result: Result, compared: Comparison) -> tuple[str, str]:
    measure, found, other = result.metric, compared.found_test_score, compared.random_mean
    judged = "better than" if found > other else "worse than" if found < other else "as good as"
    short = f"The network found is {judged} the one random network that was trained as well."
    theirs = "the random network" if measure.top1 else "that of the random network is"
    words = f"{_said(result, compared)}, {theirs} {measure.show(other)}"
    if found != other:
        words += f": a difference of {measure.difference(abs(found - other))}"
    return short, f"{words}. One random network says little about the search."


def _with_several(result: Result, compared: Comparison) -> tuple[str, str]:
    measure, found, mean = result.metric, compared.found_test_score, compared.random_mean
    scores = [network.test_score for network in compared.networks]
    deviation = compared.random_std or 0.0
    equal = sum(found == score for score in scores)
    short = (
        f"The network found is better than {sum(found > score for score in scores)} of "
        f"{counted(len(scores), 'random network')}{f' and equal to {equal}' if equal else ''}."
    )
    theirs = "they" if measure.top1 else "theirs"
    words = (
        f"{_said(result, compared)}, {theirs} {measure.show(mean)} on average: a difference of "
        f"{measure.difference(found - mean)}; the standard deviation of the random networks is "
        f"{measure.difference(deviation)}. "
    )
    rank = 1 + sum(score >= found for score in scores)
    chance = _chance(rank, 1 + len(scores))
    return short, words + ("The search did not help here." if found < mean else chance)


def _said(result: Result, compared: Comparison) -> str:
    measure, score = result.metric, result.metric.show(compared.found_test_score)
    words = f"its test score ({measure.name}) is {score}"
    if measure.top1:
        words = f"it classifies {score} of the test images correctly"
    if compared.steps is not None:
        return f"After {counted(compared.steps, 'step')} of training each, {words}"
    return words[0].upper() + words[1:]


def _chance(rank: int, networks: int) -> str:
    """How often a network drawn at random would rank so high among all of them.

    Each rank is equally likely for it, however the scores are distributed.
    """
    words = f"A network drawn at random would rank this high in {rank} of {networks} cases"
    if rank / networks > WEAK:
        return f"{words}: no clear advantage of the search."
    if rank / networks > CLEAR:
        return f"{words}; more random networks would say more."
    return f"{words}: a clear advantage of the search."
