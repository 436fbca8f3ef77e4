"""The page of a run."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spos.report import render, write_report
from spos.report.candidates import candidate_table
from spos.report.curves import iterations_figure
from spos.report.facts import ConstraintFacts
from spos.report.measure import Measure
from spos.report.result import StageCosts

from .conftest import Run, compare, make_candidate

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
        if self.open and self.open[-1] != "script":
            self.text += data


def without_scripts(page: str) -> str:
    """A page without the scripts that it runs; their digests are tested elsewhere."""
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def rows_of(page: str) -> list[str]:
    """The architectures of the candidates' table."""
    found = re.search(r'id="candidates">(.*?)</script>', page)
    assert found
    (column,) = (one for one in json.loads(found[1])["columns"] if one["name"] == "architecture")
    values: list[str] = column["values"]
    return values


def test_a_finished_run_shows_what_was_found(run: Run) -> None:
    page = Reader(render(*run.arguments))
    winner = run.result.winner
    assert winner
    for words in (
        "classifies 95.3% of the test images correctly",
        str(winner.architecture),
        "at most 124.0K",
        f"{winner.score:.1%}",
        "better than",
        "first_conv",
        "13 min 26 s",
        "2.13.0",
        "FLOPs are multiply-adds",
    ):
        assert words in page.text, words
    for heading in ("The search", "The network found", "Against random networks", "Training"):
        assert heading in page.text
    assert page.text.count("FLOPs are") == 1


@pytest.mark.parametrize(
    ("missing", "heading"),
    [
        (("comparison",), "Against random networks"),
        (("comparison", "retrain"), "Against random networks"),
        (("comparison", "retrain", "winner", "search", "top"), "The network found"),
    ],
)
def test_an_unfinished_run_shows_what_there_is(
    run: Run, missing: tuple[str, ...], heading: str
) -> None:
    unfinished = run.change(**{name: () if name == "top" else None for name in missing})
    page = Reader(render(*unfinished.arguments))
    assert heading not in page.text
    assert "Data and settings" in page.text
    assert "None" not in page.text


def test_a_run_that_was_not_retrained_says_so(run: Run) -> None:
    assert "It is not retrained yet." in render(*run.change(retrain=None).arguments)


def test_a_search_that_has_not_finished_says_so(run: Run) -> None:
    started = run.change(winner=None, search=None, top=(), retrain=None, comparison=None)
    page = Reader(render(started.result, [], []))
    assert "There is no network yet: the search for at most 124.0K" in page.text
    assert page.tags.count("svg") == 0 and "data-chart" not in dict(page.attributes)


def test_names_are_text_and_nothing_else(run: Run) -> None:
    harmless = run
    hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{ 7*7 }}"
    result, (first, *others) = run.result, run.candidates
    assert result.winner and result.comparison
    choice, *choices = result.space.choices
    stages = (StageCosts(hostile, {hostile: hostile}, {"flops": 1}), *result.winner.stages)
    network, *networks = result.comparison.networks
    run = run.change(
        data=replace(
            result.data,
            classes=(hostile, "a & b"),
            outputs=2,
            source=f"folder:{hostile}",
            skipped=(hostile,),
        ),
        space=replace(
            result.space,
            choices=(replace(choice, options=(*choice.options, hostile)), *choices),
        ),
        winner=replace(result.winner, stages=stages),
        top=(replace(result.top[0], origin=hostile), *result.top[1:]),
        comparison=replace(result.comparison, networks=(replace(network, name=hostile), *networks)),
    )
    run = replace(run, candidates=[replace(first, origin=hostile), *others])
    page = Reader(render(*run.arguments))
    assert "img" not in page.tags
    assert page.tags.count("script") == Reader(render(*harmless.arguments)).tags.count("script")
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert hostile in page.text
    assert "{{ 7*7 }}" in page.text


def test_a_file_name_that_is_not_text_does_not_stop_the_report(run: Run, tmp_path: Path) -> None:
    run = run.change(data=replace(run.result.data, classes=("caf\udce9", "tea"), outputs=2))
    write_report(tmp_path / "report.html", *run.arguments)
    assert "caf?, tea" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(run: Run) -> None:
    page = without_scripts(render(*run.arguments))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert not {name for name, _ in Reader(page).attributes} & {"src", "href"}


def test_the_same_input_gives_the_same_page_and_is_left_as_it_was(run: Run) -> None:
    before = copy.deepcopy(run.arguments)
    assert render(*run.arguments) == render(*run.arguments)
    assert run.arguments == before


def test_every_element_with_an_id_has_its_own(run: Run) -> None:
    ids = [value for name, value in Reader(render(*run.arguments)).attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 10


def test_every_chart_says_what_it_shows(run: Run) -> None:
    page = render(*run.arguments)
    described = re.findall(r'<div class="chart" id="([^"]+)" data-description="[^"]{40,}"', page)
    assert described == re.findall(r'data-chart="([^"]+)">', page)
    assert len(described) == 8
    assert page.count("The chart itself needs JavaScript.</p></noscript>") == 8


def test_no_candidates_leave_the_plot_out(run: Run) -> None:
    page = render(run.result, [], run.metrics)
    assert "The search</h2>" not in page
    assert "The network found" in page


def test_one_candidate_is_a_plot(make: Callable[..., Run]) -> None:
    run = make(depths=(1,), count=1, networks=1, scale=1)
    page = Reader(render(*run.arguments))
    assert "The search" in page.text
    assert "nan" not in page.text
    assert "One random network says little" in page.text


def test_a_random_network_as_good_as_the_winner_is_said(run: Run) -> None:
    page = Reader(render(*run.change(comparison=compare(0.9, [0.9, 0.8])).arguments))
    assert "better than 1 of 2 random networks and equal to 1." in page.text


def test_a_search_that_ended_early_says_so(run: Run) -> None:
    assert run.result.search
    ended = run.change(search=replace(run.result.search, exhausted=True))
    assert "No other architecture is within the limits" in render(*ended.arguments)
    assert "No other architecture is within the limits" not in render(*run.arguments)


def test_a_thousand_candidates_stay_small(make: Callable[..., Run]) -> None:
    run = make()
    page = render(*run.arguments)
    assert len(page.encode()) < 1_500_000
    assert len(rows_of(page)) == 1000


@pytest.mark.parametrize(
    ("measure", "scores", "says"),
    [
        (Measure("loss", share=False, negated=True), (-0.254, -0.248), "falls from 0.254 to 0.248"),
        (Measure("loss", share=False, negated=True), (-2.094, -2.0939), "stays at 2.094"),
        (Measure(), (0.5, 0.6), "rises from 50.0% to 60.0%"),
    ],
)
def test_the_best_so_far_goes_the_way_of_the_metric(
    measure: Measure, scores: tuple[float, float], says: str
) -> None:
    candidates = [
        replace(make_candidate("0,1", score), iteration=iteration)
        for iteration, score in enumerate(scores)
    ]
    figure = iterations_figure(measure, candidates)
    assert figure is not None and f"The best so far {says}, the mean" in figure.description
    dots = figure.spec["layer"][-1]
    told = [one["field"] for one in dots["encoding"]["tooltip"]]
    rows = dots["data"]["values"]
    assert told == ["iteration", "score"] and all(row.keys() >= {*told} for row in rows)
    assert {row["score"].rpartition(" ")[0] for row in rows} == {row["kind"] for row in rows}


def test_candidates_that_were_dropped_in_a_race_are_told_from_others(run: Run) -> None:
    assert "were dropped before" not in render(*run.arguments)
    result, candidates, metrics = run.arguments
    best = max(one.score for one in candidates)
    # By few images it may look better than any.
    number = Counter(one.architecture for one in candidates)
    alone = next(one for one in candidates if number[one.architecture] == 1)
    estimate = replace(alone, score=best + 1, dropped_after=512)
    candidates = [estimate if one is alone else one for one in candidates]
    page = render(result, candidates, metrics)
    assert f"1 of {len(candidates)} candidates were dropped before they were scored on all" in page
    table = candidate_table(result, candidates, None)
    columns = {column.name: column for column in table.columns}
    assert columns["dropped"].cells[-1] == "512 images"
    assert set(columns["dropped"].cells[:-1]) == {"all images"}
    assert columns["rank"].values == sorted(columns["rank"].values)
    curve = iterations_figure(result.one_shot, candidates)
    assert curve is not None and result.one_shot.show(best + 1) not in curve.description


def test_very_many_candidates_are_sampled_and_it_says_so(make: Callable[..., Run]) -> None:
    run = make(depths=(2,), count=6000, networks=0, scale=1)
    page = render(*run.arguments)
    kept = rows_of(page)
    assert 2000 <= len(kept) <= 2010
    assert f"{len(kept):,} of 6,000 candidates are shown." in page
    # The best ones are always among them.
    assert {str(one.architecture) for one in run.result.top} <= set(kept)
    assert len(page.encode()) < 2_000_000


def test_metrics_that_are_not_numbers_are_left_out(run: Run) -> None:
    run.metrics.append({"stage": "train", "step": 4000, "loss": float("nan")})
    run.metrics.append({"stage": "train", "step": 4001})
    page = render(*run.arguments)
    assert "nan" not in Reader(page).text
    assert "in 3,000 steps" in page


def test_other_stages_are_not_drawn(run: Run) -> None:
    metrics = [m for m in run.metrics if m["stage"].startswith("compare")]
    assert metrics
    assert "<h2>Training</h2>" not in render(run.result, run.candidates, metrics)


def test_a_space_with_limits_on_parameters_only(run: Run) -> None:
    constraint = ConstraintFacts(maximum={"params": 4e6}, minimum={"flops": 1})
    page = Reader(render(*run.change(constraint=constraint).arguments))
    assert "at most 4.000M parameters, and at least 1 multiply-adds" in page.text


def test_writing_is_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, *run.arguments)
    assert path.read_text(encoding="utf-8") == render(*run.arguments)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(OSError, match="missing"):
        write_report(tmp_path / "missing" / "report.html", *run.arguments)
