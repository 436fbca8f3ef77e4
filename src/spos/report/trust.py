"""Retrained networks: the one found among others, and how far to trust the one-shot score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spos.report.chart import (
    ACCENT,
    SOFT,
    WARM,
    Chart,
    Names,
    Spec,
    coloured,
    dots,
    layer,
    make_chart,
)
from spos.report.result import Result
from spos.report.verdict import verdict

#: Colours of the networks that were retrained.
COLOURS = {"found": ACCENT, "random": SOFT, "uniform": WARM}


def comparison_figure(result: Result) -> Chart | None:
    """The network found, random ones and the uniform one as dots over the test score."""
    compared, judged, measure = result.comparison, verdict(result), result.metric
    if compared is None or judged is None:
        return None
    noun = f"test {measure.noun}"
    shown = [("found", "found", compared.found_test_score)]
    shown += [(kind, one.name, one.test_score) for kind, one in compared.others]
    rows = [{"x": x, "y": kind, "network": name, noun: measure.show(x)} for kind, name, x in shown]
    values = [score for *_, score in shown]
    mean, deviation = compared.random_mean, compared.random_std
    words = f"mean {measure.show(mean)}"
    spread: list[Spec] = []
    if deviation is not None:
        low, high = mean - deviation, mean + deviation
        band = {"x": low, "x2": high, "y": "random"}
        words += f", standard deviation {measure.difference(deviation)}"
        values += [low, high]
        wide = {"x2": {"field": "x2"}}
        spread = [layer("bar", [band], encoding=wide, color=SOFT, opacity=0.25, height=26)]
    average = [{"x": mean, "y": "random", "random networks": words}]
    return make_chart(
        "comparison",
        f"Test {measure.noun} of the network found and of random ones",
        judged.words,
        measure.axis(noun, values),
        Names(list(dict.fromkeys(kind for kind, *_ in shown))),
        dots(rows, 130, opacity=0.85, encoding=coloured("y", COLOURS, legend=False)),
        *spread,
        layer("tick", average, tooltip=True, color=SOFT, thickness=3),
        height=150,
    )


#: Fewest networks of which a rank correlation is reported.
FEWEST = 5
#: Networks below which the interval of a bootstrap is rough.
SEVERAL = 10
#: Samples of the bootstrap, and the level of its interval.
SAMPLES, LEVEL = 2000, 0.95


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with both scores.

    Args:
        kind (str): ``found``, ``random``, ``uniform`` or ``finalist``.
        name (str): its name in the report.
        architecture (str): its architecture.
        one_shot (float): score with the weights of the supernet, by the fitness of the search.
        trained (float): score by the metric of the run, after its own training.
    """

    kind: str
    name: str
    architecture: str
    one_shot: float
    trained: float


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau-b of two scores, and its interval; NaN where all scores are equal."""

    tau: float
    lower: float
    upper: float


def retrained_networks(result: Result) -> list[TrainedNetwork]:
    """The networks of a run that were retrained and tested, each once."""
    winner, compared = result.winner, result.comparison
    if winner is None or compared is None:
        return []
    scores = winner.score, compared.found_test_score
    networks = [TrainedNetwork("found", "found", str(winner.architecture), *scores)]
    for kind, one in compared.others:
        scores = one.score, one.test_score
        networks.append(TrainedNetwork(kind, one.name, one.architecture, *scores))
    # The uniform network may be the one found, or one of the random ones.
    return list({one.architecture: one for one in reversed(networks)}.values())[::-1]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation:
    """Kendall's tau-b, with the percentile interval of a bootstrap over the networks.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, Chapter 13.

    Example:
        >>> rank_correlation([1, 2, 3, 4], [1, 2, 4, 3]).tau
        0.6666666666666666
    """
    count = len(first)
    # The same networks give the same page.
    drawn = np.random.default_rng(0).integers(count, size=(SAMPLES, count))
    orders = [np.sign(np.subtract.outer(values, values)) for values in (first, second)]
    everything = np.arange(count)[None]
    (tau,) = _tau(orders[0], orders[1], everything)
    samples = _tau(orders[0], orders[1], drawn)
    known = samples[np.isfinite(samples)]
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(known, [tail, 1 - tail]) if known.size else (math.nan, math.nan)
    return RankCorrelation(float(tau), float(lower), float(upper))


def _tau(
    first: NDArray[np.float64], second: NDArray[np.float64], drawn: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Tau-b of each sample of places, from the signs of all differences."""
    rows, columns = drawn[:, :, None], drawn[:, None, :]
    x, y = first[rows, columns], second[rows, columns]
    pairs = np.sqrt((x != 0).sum((1, 2)) * (y != 0).sum((1, 2)))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum((1, 2)) / pairs)


def trust_words(networks: Sequence[TrainedNetwork], trained: str) -> str:
    """What trained networks say about the one-shot score, in sentences.

    Args:
        networks (Sequence[TrainedNetwork]): the networks.
        trained (str): what their scores after training are called.
    """
    count = len(networks)
    if count < FEWEST:
        return (
            f"{count} networks are too few to say how well the one-shot score tells which has the "
            f"better {trained}."
        )
    ranked = rank_correlation([one.one_shot for one in networks], [one.trained for one in networks])
    if math.isnan(ranked.tau):
        return "All of these networks have the same score: nothing can be said about their order."
    said = (
        f"Kendall's tau of the one-shot score and the {trained} of these {count} networks is "
        f"{ranked.tau:.2f} (95% interval {ranked.lower:.2f} to {ranked.upper:.2f}; 1 is the same "
        "order, 0 no relation)."
    )
    if ranked.lower > 0:
        said += (
            " Of two of them, the one with the better one-shot score was the better one in about "
            f"{(1 + ranked.tau) / 2:.0%} of cases."
        )
    elif ranked.upper < 0:
        said += " It ranked these networks the wrong way round: do not trust it here."
    else:
        said += (
            " The interval includes 0: so few networks do not show whether the one-shot score "
            "ranks networks of this cost at all."
        )
    if count < SEVERAL:
        said += f" With fewer than {SEVERAL} networks the interval itself is rough."
    return said


def trust_figure(result: Result) -> Chart | None:
    """Test scores over one-shot scores of the retrained networks; None for fewer than two."""
    networks, metric = retrained_networks(result), result.metric
    return _figure(result, "trust", networks, f"test {metric.noun}", result.data.test)


def finalists_figure(result: Result) -> Chart | None:
    """Scores of the finalists after the first rung over their one-shot scores, likewise."""
    if not result.finalists:
        return None
    finalists, steps = [], result.finalists[0].rungs[0].steps
    for place, one in enumerate(result.finalists, 1):
        named, score = (f"finalist {place}", str(one.architecture)), one.rungs[0].metric_score
        finalists.append(TrainedNetwork("finalist", *named, one.score, score))
    trained = f"validation {result.metric.noun} after {steps:,} steps"
    return _figure(result, "finalists", finalists, trained, result.data.validation)


def _figure(
    result: Result, key: str, networks: Sequence[TrainedNetwork], trained: str, images: int | None
) -> Chart | None:
    if len(networks) < 2:
        return None
    metric, one_shot = result.metric, result.one_shot
    rows, bars, heights = [], [], []
    for one in networks:
        error = metric.standard_error(one.trained, images) or 0.0
        low, high = one.trained - error, one.trained + error
        heights += [low, high]
        place = {"x": one.one_shot, "kind": one.kind}
        bars.append({**place, "y": low, "y2": high})
        named = {"network": one.name, "architecture": one.architecture}
        scores = {
            f"one-shot {one_shot.noun}": one_shot.show(one.one_shot),
            trained: metric.show(one.trained) + (f" ± {metric.difference(error)}" if error else ""),
        }
        rows.append({**place, "y": one.trained, **named, **scores})
    colours = coloured("kind", {one.kind: COLOURS.get(one.kind, ACCENT) for one in networks})
    return make_chart(
        key,
        f"{trained} over one-shot {one_shot.noun}",
        trust_words(networks, trained),
        one_shot.axis(f"one-shot {one_shot.noun}", [one.one_shot for one in networks], 0.08),
        metric.axis(trained, heights, 0.08),
        layer("rule", bars, encoding=colours | {"y2": {"field": "y2"}}, opacity=0.5),
        dots(rows, 110, encoding=colours),
        height=260,
    )
