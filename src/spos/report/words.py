"""Numbers and results in plain words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spos.cost.cost import find_cost, primary_cost
from spos.report.measure import Measure, measure

STAGES = {
    "train": "Supernet training",
    "search": "Search",
    "retrain": "Retraining",
    "compare": "Comparison",
}


def percent(share: float | None) -> str:
    """A share as a percentage; a dash where there is none.

    Example:
        >>> percent(0.9534), percent(None)
        ('95.3%', '–')
    """
    return "–" if share is None or not math.isfinite(share) else f"{share:.1%}"


def points(difference: float) -> str:
    """A difference of shares in percentage points.

    Example:
        >>> points(-0.0125)
        '-1.2 points'
    """
    return f"{difference * 100:.1f} points"


def cost(name: str, value: float | None) -> str:
    """A value of a cost in its unit; a dash where there is none.

    Example:
        >>> cost("latency", 4250000), cost("flops", None)
        ('4.25ms', '–')
    """
    return "–" if value is None else find_cost(name).format(value)


def duration(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> duration(33.14), duration(754), duration(7500), duration(200000)
        ('33.1 s', '12 min 34 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for larger, smaller, names in ((86400, 3600, "d h"), (3600, 60, "h min"), (60, 1, "min s")):
        if whole >= larger:
            first, second = names.split()
            return f"{whole // larger} {first} {whole % larger // smaller} {second}"
    return f"{whole} s"


def size(text: str) -> str:
    """A number of networks, however large.

    Args:
        text: the exact number in digits.

    Example:
        >>> size("16777216"), size("1099511627776")
        ('16,777,216', '1.10 × 10¹²')
    """
    if not text.isdigit() or len(text) <= 10:
        return f"{int(text):,}" if text.isdigit() else text
    power = str(len(text) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{int(text[:4]) / 1000:.2f} × 10{power}"


def searched_cost(result: Mapping[str, Any]) -> str:
    """The cost that the search is about, see :func:`spos.cost.cost.primary_cost`.

    Example:
        >>> searched_cost({"constraint": {"maximum": {"bitops": 10}, "minimum": {}}})
        'bitops'
    """
    constraint, search = result.get("constraint") or {}, result.get("search") or {}
    return primary_cost(
        constraint.get("maximum") or {},
        constraint.get("minimum") or {},
        search.get("pareto") or (),
        search.get("charged"),
    )


def front_costs(result: Mapping[str, Any]) -> list[str]:
    """The costs that the search minimised, where it was for a front."""
    return list((result.get("search") or {}).get("pareto") or [])


def shown_costs(result: Mapping[str, Any]) -> list[str]:
    """The costs that have a column in every table, multiply-adds and parameters first.

    Example:
        >>> shown_costs({"constraint": {"maximum": {"bitops": 10}}})
        ['flops', 'params', 'bitops']
    """
    constraint = result.get("constraint") or {}
    bounded = (*(constraint.get("maximum") or {}), *(constraint.get("minimum") or {}))
    costs = ["flops", "params", searched_cost(result), *front_costs(result), *bounded]
    if result.get("network") and not result.get("winner"):
        # Nothing was searched: all that is known of the network is told.
        costs += [cost for cost in result["network"] if cost != "name"]
    return list(dict.fromkeys(costs))


def limits(constraint: Mapping[str, Any] | None) -> str:
    """The bounds of the search.

    Example:
        >>> limits({"maximum": {"flops": 400000}, "minimum": {}})
        'at most 400.0K multiply-adds'
    """
    given = constraint or {}
    parts = [
        f"{words} {cost(name, value)} {find_cost(name).noun}"
        for words, bounds in (("at most", "maximum"), ("at least", "minimum"))
        for name, value in (given.get(bounds) or {}).items()
    ]
    return " and ".join(parts)


def headline(result: Mapping[str, Any]) -> str:
    """What was found, in a sentence."""
    winner = result.get("winner") or result.get("network")
    retrained = result.get("retrain")
    within = limits(result.get("constraint"))
    if not winner:
        asked = f" under a limit of {within}" if within else ""
        return f"The search{asked} has not finished; there is no network yet."
    costs = " and ".join(
        f"{cost(name, winner.get(name))} {find_cost(name).noun}" for name in ("flops", "params")
    )
    asked = f" – the search allowed {within}" if within else ""
    by = measure(result)
    if retrained and retrained.get("test_top1") is not None:
        score = by.show(retrained["test_top1"])
        what = f"that classifies {score} of the test images correctly, with"
        if not by.top1:
            what = f"with a test score of {score} ({by.name}),"
        return f"A network {what} {costs}{asked}."
    score = by.show(winner.get("one_shot_top1"))
    what = f"a one-shot accuracy of {score}"
    if not by.top1:
        what = f"a one-shot score of {score} ({by.name})"
    return f"A network with {what}, {costs}{asked}. It is not retrained yet."


@dataclass(frozen=True)
class Verdict:
    """How the found network compares with random ones.

    Args:
        scores: test scores of the random networks.
        found: test score of the found network; None where it is unknown.
        mean: of the scores.
        spread: their standard deviation; None for fewer than two.
        words: the comparison in plain words.
        short: its first sentence; empty where the found network is not tested.
        measure: what is compared.
    """

    scores: list[float]
    found: float | None
    mean: float
    spread: float | None
    words: str
    short: str = ""
    measure: Measure = field(default_factory=Measure)


def verdict(result: Mapping[str, Any]) -> Verdict | None:
    """Compare the found network with the random ones; None where there are none.

    Example:
        >>> networks = [{"test_top1": 0.93}, {"test_top1": 0.95}]
        >>> verdict({"comparison": {"networks": networks, "found_test_top1": 0.96}}).words
        'The found network is better than 2 of 2 random networks. It classifies 96.0% of the test \
images correctly, they 94.0% on average: a difference of 2.0 points, where the random networks \
spread by 1.4 points (standard deviation).'
    """
    comparison = result.get("comparison") or {}
    scores = [
        network["test_top1"]
        for network in comparison.get("networks") or []
        if network.get("test_top1") is not None
    ]
    if not scores:
        return None
    found = comparison.get("found_test_top1")
    mean = statistics.fmean(scores)
    deviation = statistics.stdev(scores) if len(scores) > 1 else None
    by = measure(result)
    if found is None:
        unknown = "The found network is not tested yet."
        return Verdict(scores, None, mean, deviation, unknown, measure=by)
    count = "network" if len(scores) == 1 else "networks"
    better = sum(found > score for score in scores)
    equal = sum(found == score for score in scores)
    ties = f" and equal to {equal}" if equal else ""
    average = " on average" if len(scores) > 1 else ""
    they, theirs = ("they", "theirs") if len(scores) > 1 else ("it", "its")
    short = f"The found network is better than {better} of {len(scores)} random {count}{ties}."
    said = f"It classifies {by.show(found)} of the test images correctly, {they}"
    if not by.top1:
        said = f"Its test score ({by.name}) is {by.show(found)}, {theirs}"
    words = (
        f"{short} {said} {by.show(mean)}{average}: a difference of {by.difference(found - mean)}"
    )
    if deviation is None:
        return Verdict(scores, found, mean, None, f"{words}. One network says little.", short, by)
    spread = by.difference(deviation)
    words += f", where the random networks spread by {spread} (standard deviation)."
    if found - mean < 0:
        words += " The search did not help here."
    elif found - mean < deviation:
        words += " That is within their spread: no clear advantage of the search."
    return Verdict(scores, found, mean, deviation, words, short, by)


def sampling_error(result: Mapping[str, Any]) -> str:
    """What the size of the test set does to the accuracy; empty where that is unknown."""
    count = (result.get("data") or {}).get("test")
    share = (result.get("retrain") or {}).get("test_top1")
    # Of other metrics the error depends on more than on their value.
    if not count or share is None or not measure(result).top1:
        return ""
    error = math.sqrt(max(share * (1 - share), 0.0) / count)
    return (
        f"Measured on {count:,} test images, {percent(share)} has a standard error of about "
        f"{points(error)}."
    )
