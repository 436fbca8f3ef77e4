"""How far the one-shot score can be trusted, in numbers and words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from spos.report import render
from spos.report.diagnosis import Diagnosis, SampledNetwork
from spos.report.measure import Measure
from spos.report.result import Finalist, Rung
from spos.report.trust import (
    TrainedNetwork,
    finalists_figure,
    rank_correlation,
    retrained_networks,
    trust_figure,
    trust_words,
)

from .conftest import Run, compare


def networks(scores: list[tuple[float, float]]) -> list[TrainedNetwork]:
    return [
        TrainedNetwork("random", f"random {place}", str(place), one_shot, trained)
        for place, (one_shot, trained) in enumerate(scores)
    ]


def test_the_correlation_is_that_of_scipy_with_ties_as_well() -> None:
    draw = np.random.default_rng(1)
    for count in (5, 8, 20):
        first = draw.integers(0, 6, count).astype(float)
        second = first + draw.integers(0, 6, count)
        ranked = rank_correlation(first.tolist(), second.tolist())
        assert ranked.tau == pytest.approx(kendalltau(first, second).statistic)
        assert ranked.lower <= ranked.tau <= ranked.upper


def test_the_interval_is_narrower_with_more_networks() -> None:
    draw = np.random.default_rng(0)
    widths = []
    for count in (8, 80):
        first = draw.normal(size=count)
        second = first + draw.normal(size=count)
        ranked = rank_correlation(first.tolist(), second.tolist())
        widths.append(ranked.upper - ranked.lower)
    assert widths[1] < widths[0] / 2


def test_equal_scores_have_no_order() -> None:
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]).tau)


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([(0.1, 0.5), (0.2, 0.6), (0.3, 0.7), (0.4, 0.8)], "4 networks are too few"),
        ([(n / 20, n / 20) for n in range(12)], "tau of the one-shot score and the test accuracy"),
        ([(n / 20, n / 20) for n in range(12)], "the better one in about 100% of cases"),
        ([(n / 20, -n / 20) for n in range(12)], "the wrong way round"),
        ([(n / 20, (7 * n % 12) / 20) for n in range(12)], "The interval includes 0"),
        ([(n / 20, n / 20) for n in range(6)], "fewer than 10 networks the interval itself"),
        ([(0.5, n / 20) for n in range(6)], "nothing can be said about their order"),
    ],
)
def test_the_words_say_no_more_than_the_networks_show(
    scores: list[tuple[float, float]], says: str
) -> None:
    assert says in trust_words(networks(scores), "test accuracy")


def test_a_network_that_has_two_roles_is_one_dot(run: Run) -> None:
    winner = run.result.winner
    assert winner
    compared = compare(0.9, [0.7, 0.8], run.candidates)
    same = replace(compared.networks[0], name="all 3x3", architecture=str(winner.architecture))
    known = retrained_networks(run.change(comparison=replace(compared, uniform=same)).result)
    assert sorted(one.kind for one in known) == ["found", "random", "random"]


def test_finalists_are_compared_after_the_rung_that_all_reached(run: Run) -> None:
    finalists = tuple(
        Finalist(**vars(one), rungs=(Rung(10, -1.0, 0.5 + place / 100), Rung(20, -0.5, 0.9)))
        for place, one in enumerate(run.result.top[:3])
    )
    figure = finalists_figure(run.change(finalists=finalists).result)
    assert figure and "3 networks are too few" in figure.description
    assert figure.spec["layer"][1]["data"]["values"][2][
        "validation accuracy after 10 steps"
    ].startswith("52.0% ± ")
    assert finalists_figure(run.result) is None
    assert trust_figure(run.change(comparison=None).result) is None


def test_repeated_trainings_are_shown(run: Run) -> None:
    sampled = tuple(
        SampledNetwork(f"{number},0", {"flops": 100 + number}, (0.8 + number / 100, 0.81))
        for number in range(3)
    )
    diagnosis = Diagnosis("flops", (100.0, 110.0), 50, Measure(), sampled)
    page = render(*run.arguments, diagnosis=diagnosis)
    assert "How much a seed changes" in page and 'data-chart="seeds"' in page
    assert diagnosis.conclusions()[0] in page
    assert "How much a seed changes" not in render(*run.arguments)
