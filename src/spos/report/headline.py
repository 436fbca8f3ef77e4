"""What was found, in a sentence, and which other networks are better."""

from __future__ import annotations

import math

from spos.cost.cost import find_cost, format_cost
from spos.report.result import KnownNetwork, Result
from spos.report.words import counted, limits


def headline(result: Result) -> str:
    """What was found, in a sentence."""
    network, measure = result.winner or result.network, result.metric
    within = limits(result.constraint)
    if network is None:
        asked = f" for {within}" if within else ""
        return f"There is no network yet: the search{asked} is not finished."
    costs = " and ".join(
        f"{format_cost(name, network.costs[name])} {find_cost(name).noun}"
        for name in ("flops", "params")
        if name in network.costs
    )
    asked = f" – the search allowed {within}" if within else ""
    if result.test_score is not None:
        score = measure.show(result.test_score)
        what = f"that classifies {score} of the test images correctly, with"
        if not measure.top1:
            what = f"with a test score of {score} ({measure.name}),"
        return " ".join(filter(None, (f"A network {what} {costs}{asked}.", surpassed(result))))
    what = "costs of"
    if result.winner:
        noun, score = result.show_one_shot(result.winner)
        what = f"a one-shot {noun} of {score},"
    return f"A network with {what} {costs}{asked}. It is not retrained yet."


def surpassed(result: Result) -> str:
    """Say which other networks are better than the one found; empty if none is."""
    return " ".join(filter(None, (_surpassed_by_uniform(result), _surpassed_by_known(result))))


def _surpassed_by_uniform(result: Result) -> str:
    compared, show = result.comparison, result.metric.show
    uniform, found = (compared.uniform, compared.found_test_score) if compared else (None, 0.0)
    if not compared or not uniform or uniform.test_score <= found:
        return ""
    cost = result.primary_cost
    spent = f"{format_cost(cost, uniform.costs[cost])} {find_cost(cost).noun}"
    chance = _within_error(result, found, uniform.test_score)
    words = f"{show(uniform.test_score)} with {spent}"
    if compared.steps is None:
        return f"The network of {uniform.name} is better: {words}{chance}."
    after = f"after {counted(compared.steps, 'step')} of each"
    return (
        f"The network of {uniform.name} is better {after}: {words}, against {show(found)}{chance}."
    )


def _within_error(result: Result, found: float, better: float) -> str:
    """Say that a better score may be chance; empty where it is clear, or that is unknown."""
    images = result.data.test
    errors = [result.metric.standard_error(score, images) for score in (found, better)]
    known = [error for error in errors if error is not None]
    difference = better - found
    if len(known) < len(errors) or difference > math.hypot(*known):
        return ""
    return f", within the error of {images:,} test images"


def _surpassed_by_known(result: Result) -> str:
    found, measure = result.test_score, result.metric
    better = [one for one in result.known if found is not None and one.test_score > found]
    told = []
    for one in sorted(better, key=lambda one: -one.test_score):
        flops = f"{format_cost('flops', one.costs['flops'])} {find_cost('flops').noun}"
        over = exceeded(result, one)
        beyond = f", over the limit of {' and '.join(over)}" if over else ""
        chance = _within_error(result, result.test_score or 0.0, one.test_score)
        told.append(f"{one.name} ({measure.show(one.test_score)} with {flops}{beyond}{chance})")
    if not told:
        return ""
    return f"Better {'is' if len(told) == 1 else 'are'} the known {'; '.join(told)}."


def exceeded(result: Result, network: KnownNetwork) -> list[str]:
    """Nouns of the costs in which a known network exceeds the limits."""
    limits = result.constraint.maximum.items()
    over = [name for name, most in limits if network.costs.get(name, 0) > most]
    return [find_cost(name).noun for name in over]
