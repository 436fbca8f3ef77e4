"""The pictures of a search that learns the choice."""

from __future__ import annotations

from typing import Any

import pytest

from spos.report import render
from spos.report.theta import choice_figures, decisions, entropy_figure, legend

CHOICES = [
    {"name": "stem", "options": ["3x3", "5x5"]},
    {"name": "<body>", "options": ["3x3", "skip", "7x7"]},
]
RESULT: dict[str, Any] = {"space": {"choices": CHOICES}, "search": {"algorithm": "fbnet"}}


def line(step: int, share: float) -> dict[str, Any]:
    columns = [[share, 1 - share], [share, (1 - share) / 2, (1 - share) / 2]]
    return {"stage": "theta", "step": step, "probabilities": columns, "entropy": [0.0, 0.0]}


METRICS = [line(0, 0.5), line(10, 0.75), line(20, 1.0), {"stage": "search", "step": 5, "loss": 1}]


def test_the_entropy_is_a_share_of_the_largest() -> None:
    steps, (stem, body) = decisions(RESULT, METRICS)
    assert steps == [0, 10, 20]
    assert [stem.undecided(record) for record in range(3)] == pytest.approx([1, 0.811278, 0])
    assert body.undecided(0) == pytest.approx(1.039721 / 1.098612, abs=1e-5)


def test_every_choice_has_a_curve_and_every_option_an_area() -> None:
    figure = entropy_figure(RESULT, METRICS, 860)
    assert figure is not None
    assert figure.count('class="line thin') == 2
    assert "mean 0.0%" in figure
    stem, body = choice_figures(RESULT, METRICS)
    assert stem.count("band-of") == 2
    assert body.count("band-of") == 3
    assert "3x3: from 50.0% to 100.0%" in stem
    assert "&lt;body&gt;" in body and "<body>" not in body
    # One option has one colour in every choice.
    assert [option for option, _ in legend(RESULT)] == ["3x3", "5x5", "skip", "7x7"]


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [line(0, 0.5)],
        [line(5, 0.5), line(5, 0.6)],
        [{"stage": "theta", "step": 0, "probabilities": [[1.0]]}] * 2,
        [{"stage": "theta", "step": None}, {"stage": "theta"}],
    ],
)
def test_without_two_records_that_fit_there_is_nothing_to_draw(metrics: Any) -> None:
    assert entropy_figure(RESULT, metrics, 380) is None
    assert choice_figures(RESULT, metrics) == []
    assert "How the choice was learned" not in render(RESULT, [], metrics)


def test_the_page_says_how_the_choice_was_learned() -> None:
    page = render({"spos": "0.1.0", **RESULT}, [], METRICS)
    assert "How the choice was learned" in page
    assert "FBNet trained the weights and the choice" in page
