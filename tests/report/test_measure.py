"""Scores of another metric than top-1 on the page and in the tables."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spos.report import render, result_tables
from spos.report.measure import Measure
from spos.report.result import Retrained

from .conftest import Run, compare
from .test_page import without_scripts

NEGATIVE = Measure("negative mean error", share=False)


@pytest.fixture
def regression(run: Run) -> Run:
    """A run with scores below 0, none of them a share."""
    result = run.result
    assert result.comparison and result.winner
    candidates = [replace(one, score=-30 * one.score) for one in run.candidates]
    scores = [-30 * network.test_score for network in result.comparison.networks]
    changed = run.change(
        metric=NEGATIVE,
        winner=replace(result.winner, score=-30 * result.winner.score),
        top=tuple(replace(one, score=-30 * one.score) for one in result.top),
        retrain=Retrained(-30 * 0.9526, 500),
        comparison=compare(-30 * 0.9526, scores, candidates),
    )
    metrics = [{k: v for k, v in line.items() if k != "top1"} for line in run.metrics]
    return replace(changed, candidates=candidates, metrics=metrics)


def test_the_page_names_the_metric_and_writes_no_percent(regression: Run) -> None:
    page = without_scripts(render(*regression.arguments))
    assert "a test score of -28.58 (negative mean error)" in page
    assert "one-shot negative mean error" in page and "test negative mean error" in page
    assert "A higher negative mean error is better." in page
    for word in ("accuracy", "top-1", "classifies", "points", "standard error"):
        assert word not in page.lower(), word


def test_the_tables_name_the_metric(regression: Run) -> None:
    file = io.StringIO()
    for table in result_tables(regression.result):
        Console(file=file, width=100).print(table)
    text = file.getvalue()
    assert "test negative mean error" in text and "-28.58" in text
    assert "%" not in text and "top-1" not in text


def test_the_best_network_is_first_also_below_zero(regression: Run) -> None:
    compared = compare(-2.0, [-3.0, -1.0], regression.candidates)
    page = render(*regression.change(comparison=compared).arguments)
    table = page[page.index("By test negative mean error") :]
    names = [table.index(f">{name}<") for name in ("random 2", "found", "random 1")]
    assert names == sorted(names)


def test_a_share_of_another_name_is_written_in_percent(run: Run) -> None:
    page = render(*run.change(metric=Measure("all labels right", share=True)).arguments)
    assert "a test score of 95.3% (all labels right)" in page
    assert "accuracy" not in without_scripts(page).lower().replace("training accuracy", "")


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5))
def test_an_axis_of_scores_has_an_extent(scores: list[float]) -> None:
    axis = Measure("error", share=False).axis("error", scores)
    assert axis.lower < min(scores) <= max(scores) < axis.upper


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.9996, "99.96%"), (0.99949, "99.9%"), (1.0, "100.0%"), (0.0004, "0.04%"), (0.0, "0.0%")],
)
def test_no_score_is_rounded_to_all_or_none(run: Run, score: float, shown: str):
    assert Measure().show(score) == shown
    page = render(*run.change(retrain=Retrained(score, 500)).arguments)
    assert shown in without_scripts(page)


@given(share=st.floats(0, 1))
def test_only_all_and_none_are_shown_as_such(share: float):
    shown = float(Measure().show(share)[:-1])
    # No test set has a million images.
    assert shown not in (0, 100) or min(share, 1 - share) < 1e-6
