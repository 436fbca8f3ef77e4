"""Scores of another metric than top-1 on the page and in the tables."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spos.report import render, result_tables
from spos.report.measure import Measure

NEGATIVE = {"name": "negative mean error", "share": False}


def negated(value: Any) -> Any:
    """The same result with scores below 0, none of them a share."""
    if isinstance(value, dict):
        return {
            key: -30 * held if "top1" in key and held is not None else negated(held)
            for key, held in value.items()
        }
    return [negated(held) for held in value] if isinstance(value, list) else value


@pytest.fixture
def regression(run: Any) -> Any:
    run.result = {**negated(run.result), "metric": NEGATIVE}
    run.candidates = negated(run.candidates)
    run.metrics = [{k: v for k, v in line.items() if k != "top1"} for line in run.metrics]
    return run


def test_the_page_names_the_metric_and_writes_no_percent(regression: Any) -> None:
    page = render(*regression.arguments)
    assert "a test score of -28.58 (negative mean error)" in page
    assert "one-shot negative mean error" in page and "test negative mean error" in page
    assert "A higher negative mean error is better." in page
    for word in ("accuracy", "top-1", "classifies", "points", "standard error"):
        assert word not in page.lower(), word


def test_the_tables_name_the_metric(regression: Any) -> None:
    console = Console(file=io.StringIO(), width=100)
    for table in result_tables(regression.result):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "test negative mean error" in text and "-28.58" in text
    assert "%" not in text and "top-1" not in text


def test_the_best_network_is_first_also_below_zero_and_one_without_a_score_last(
    regression: Any,
) -> None:
    networks = regression.result["comparison"]["networks"]
    for network, score in zip(networks, (-3.0, -1.0, None), strict=True):
        network["test_top1"] = score
    regression.result["comparison"]["found_test_top1"] = -2.0
    page = render(*regression.arguments)
    table = page[page.index("By test negative mean error") :]
    names = [table.index(f">{name}<") for name in ("random 2", "found", "random 1", "random 3")]
    assert names == sorted(names)


def test_a_share_of_another_name_is_written_in_percent(run: Any) -> None:
    run.result["metric"] = {"name": "all labels right", "share": True}
    page = render(*run.arguments)
    assert "a test score of 95.3% (all labels right)" in page
    assert "accuracy" not in page.lower().replace("training accuracy", "")


def test_a_result_without_a_metric_is_one_of_classification(run: Any) -> None:
    named = copy.deepcopy(run)
    named.result["metric"] = {"name": "top-1", "share": True}
    assert render(*run.arguments) == render(*named.arguments)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5))
def test_an_axis_of_scores_has_an_extent(values: list[float]) -> None:
    assert Measure("error", share=False).least(values) > 0
