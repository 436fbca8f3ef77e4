"""The pictures of a search that learns the choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spos.report import render
from spos.report.curves import Decision, choice_figures, decisions, entropy_figure
from spos.report.facts import ChoiceFacts
from spos.report.network import option_colours

from .conftest import Run

CHOICES = (ChoiceFacts("stem", ("3x3", "5x5")), ChoiceFacts("<body>", ("3x3", "skip", "7x7")))


def line(step: int, share: float) -> dict[str, Any]:
    columns = [[share, 1 - share], [share, (1 - share) / 2, (1 - share) / 2]]
    return {"stage": "theta", "step": step, "probabilities": columns, "entropy": [0.0, 0.0]}


METRICS = [
    *(line(0, 0.5), line(10, 0.75), line(20, 1.0)),
    *({"stage": "train", "step": step, "loss": 2 - step / 10} for step in (5, 10)),
]


def learned(run: Run) -> Run:
    """A run that trained weights and choice together, and scored one candidate."""
    assert run.result.search
    search = replace(run.result.search, algorithm="fbnet", label="FBNet", method="fbnet")
    space = replace(run.result.space, choices=CHOICES)
    changed = run.change(search=search, space=space, winner=None, comparison=None, top=())
    return replace(changed, candidates=run.candidates[:1], metrics=METRICS)


def test_the_entropy_is_a_share_of_the_largest() -> None:
    steps, (stem, body) = decisions(CHOICES, METRICS)
    assert steps == [0, 10, 20]
    assert stem.entropies() == pytest.approx([1, 0.811278, 0])
    assert body.entropies()[0] == pytest.approx(1.039721 / 1.098612, abs=1e-5)


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        "0.5",
        [[0.5, 0.5]],
        [0.5, [0.2, 0.3, 0.5]],
        [[0.5, 0.5], [0.5, 0.5]],
        [[0.5, "a"], [0.2, 0.3, 0.5]],
        [[0.5, float("nan")], [0.2, 0.3, 0.5]],
        [[-5, 6], [0.2, 0.3, 0.5]],
    ],
)
def test_a_line_that_is_damaged_is_left_out(damaged: Any) -> None:
    other = {"stage": "theta", "step": 5, "probabilities": damaged}
    assert decisions(CHOICES, [*METRICS, other])[0] == [0, 10, 20]
    assert decisions(CHOICES, [*METRICS, {"stage": "theta", "step": 5}])[0] == [0, 10, 20]


def test_every_choice_has_a_curve_and_every_option_an_area() -> None:
    figure = entropy_figure(CHOICES, METRICS)
    assert figure is not None
    lines, mean, _ = (one["data"]["values"] for one in figure.spec["layer"])
    assert [row["choice"] for row in lines] == ["stem"] * 3 + ["<body>"] * 3
    assert mean[-1]["entropy"] == "0.0%"
    areas = [one.spec["layer"][0] for one in choice_figures(CHOICES, METRICS)]
    options = [area["encoding"]["color"]["scale"]["domain"] for area in areas]
    assert options == [["3x3", "5x5"], ["3x3", "skip", "7x7"]]
    assert areas[0]["data"]["values"][0]["probability"] == "from 50.0% to 100.0%"
    # One option has one colour in every choice.
    assert list(option_colours(CHOICES)) == ["3x3", "5x5", "skip", "7x7"]


def test_a_choice_without_alternatives_is_decided() -> None:
    assert Decision("stem", ("3x3",), np.array([[1.0]])).entropies().tolist() == [0]


@pytest.mark.parametrize("metrics", [[], [line(0, 0.5)]])
def test_without_two_records_there_is_nothing_to_draw(
    run: Run, metrics: list[dict[str, Any]]
) -> None:
    assert entropy_figure(CHOICES, metrics) is None
    assert not [*choice_figures(CHOICES, metrics)]
    result, candidates, _ = learned(run).arguments
    assert "How the choice was learned" not in render(result, candidates, metrics)


def test_the_page_says_how_the_choice_was_learned(run: Run) -> None:
    page = render(*learned(run).arguments)
    assert "How the choice was learned" in page
    assert "FBNet trained the weights and the choice among 256 architectures together" in page
    assert "1 was scored at the end" in page


@pytest.mark.parametrize("stage", ["train", "search"])
def test_the_training_of_weights_and_choice_is_drawn(run: Run, stage: str) -> None:
    result, candidates, metrics = learned(run).arguments
    # Former runs recorded it as the search.
    renamed = [{**m, "stage": stage} if m["stage"] == "train" else m for m in metrics]
    page = render(result, candidates, renamed)
    assert page.count("<h3>Supernet</h3>") == 1
    assert "mixed or sampled as the algorithm does" in page and "random paths" not in page
