from __future__ import annotations

import copy
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spos.report import render, write_report

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Reader(HTMLParser):
    """The text of a page, its elements, and whether they close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_finished_run_shows_what_was_found(run: Any) -> None:
    page = Reader(render(*run.arguments))
    winner = run.result["winner"]
    for words in (
        "classifies 95.3% of the test images correctly",
        winner["architecture"],
        "at most 124.0K",
        f"{winner['one_shot_top1']:.1%}",
        "better than",
        "first_conv",
        "13 min 26 s",
        "2.13.0",
        "papers on architecture search call FLOPs",
    ):
        assert words in page.text, words
    for heading in ("The search", "The network found", "Against random networks", "Training"):
        assert heading in page.text
    assert page.text.count("call FLOPs") == 1


@pytest.mark.parametrize(
    ("missing", "heading"),
    [
        (("comparison",), "Against random networks"),
        (("comparison", "retrain"), "Against random networks"),
        (("comparison", "retrain", "winner", "search", "top"), "The network found"),
    ],
)
def test_an_unfinished_run_shows_what_there_is(
    run: Any, missing: tuple[str, ...], heading: str
) -> None:
    for name in missing:
        run.result[name] = [] if name == "top" else None
    page = Reader(render(*run.arguments))
    assert heading not in page.text
    assert "Data and settings" in page.text
    assert "None" not in page.text


def test_a_run_that_was_not_retrained_says_so(run: Any) -> None:
    run.result["retrain"] = None
    assert "It is not retrained yet." in render(*run.arguments)


def test_an_empty_result_is_a_page() -> None:
    assert "there is no network yet" in Reader(render({}, [], [])).text


def test_names_are_text_and_nothing_else(run: Any) -> None:
    hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{ 7*7 }}"
    run.result["data"]["classes"] = [hostile, "a & b"]
    run.result["data"]["source"] = f"folder:{hostile}"
    run.result["data"]["skipped"] = [hostile]
    run.result["winner"]["names"] = dict.fromkeys(run.result["winner"]["names"], hostile)
    run.result["winner"]["stages"][1]["choices"] = {hostile: hostile}
    run.result["top"][0]["origin"] = hostile
    run.result["comparison"]["networks"][0]["name"] = hostile
    run.candidates[0]["origin"] = hostile
    page = Reader(render(*run.arguments))
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert hostile in page.text
    assert "{{ 7*7 }}" in page.text


def test_a_file_name_that_is_no_text_does_not_stop_the_report(run: Any, tmp_path: Path) -> None:
    run.result["data"]["classes"] = ["caf\udce9", "tea"]
    write_report(tmp_path / "report.html", *run.arguments)
    assert "caf?, tea" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(run: Any) -> None:
    page = render(*run.arguments)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert not {name for name, _ in Reader(page).attributes} & {"src", "href"}


def test_the_same_input_gives_the_same_page_and_is_left_as_it_was(run: Any) -> None:
    before = copy.deepcopy(run.arguments)
    assert render(*run.arguments) == render(*run.arguments)
    assert run.arguments == before


def test_every_element_with_an_id_has_its_own(run: Any) -> None:
    ids = [value for name, value in Reader(render(*run.arguments)).attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 10


def test_every_chart_says_what_it_shows(run: Any) -> None:
    page = render(*run.arguments)
    charts = re.findall(r'<svg [^>]*class="chart">(.{0,30})', page)
    assert len(charts) == 10
    assert all(chart.startswith("<title id=") for chart in charts)
    assert page.count('class="chart"') == page.count("<desc ")


def test_no_candidates_leave_the_plot_out(run: Any) -> None:
    page = render(run.result, [], run.metrics)
    assert "The search</h2>" not in page
    assert "The network found" in page


def test_one_candidate_is_a_plot(make: Callable[..., Any]) -> None:
    run = make(depths=(1,), count=1, networks=1, scale=1)
    page = Reader(render(*run.arguments))
    assert "The search" in page.text
    assert "nan" not in page.text
    assert "One network says little." in page.text


def test_a_thousand_candidates_stay_small(make: Callable[..., Any]) -> None:
    run = make()
    page = render(*run.arguments)
    assert len(page.encode()) < 1_500_000
    # Every candidate is a dot, in the wide chart and in the one for phones.
    assert page.count('class="dot ') == 2 * 1000


def test_very_many_candidates_are_sampled_and_it_says_so(make: Callable[..., Any]) -> None:
    run = make(depths=(2,), count=6000, networks=0, scale=1)
    page = render(*run.arguments)
    assert "2,000 of 6,000 candidates shown." in page
    assert len(page.encode()) < 1_500_000


def test_metrics_that_are_no_numbers_are_left_out(run: Any) -> None:
    run.metrics.append({"stage": "train", "step": 4000, "loss": float("nan")})
    run.metrics.append({"stage": "train", "step": 4001})
    page = render(*run.arguments)
    assert "nan" not in Reader(page).text
    assert "in 3,000 steps" in page


def test_other_stages_are_not_drawn(run: Any) -> None:
    metrics = [m for m in run.metrics if m["stage"].startswith("compare")]
    assert metrics
    assert "<h2>Training</h2>" not in render(run.result, run.candidates, metrics)


def test_a_space_with_limits_on_parameters_only(run: Any) -> None:
    run.result["constraint"] = {"maximum": {"params": 4e6}, "minimum": {"flops": 1}}
    page = Reader(render(*run.arguments))
    assert "at most 4.000M parameters and at least 1 multiply-adds" in page.text


def test_writing_is_whole_or_not_at_all(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, *run.arguments)
    assert path.read_text(encoding="utf-8") == render(*run.arguments)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(OSError, match="missing"):
        write_report(tmp_path / "missing" / "report.html", *run.arguments)
