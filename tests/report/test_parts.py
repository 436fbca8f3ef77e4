"""Charts, drawings and sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spos.report import render
from spos.report.chart import Axis, Names, layer, make_chart, padded_range
from spos.report.facts import ChoiceFacts, ConstraintFacts
from spos.report.headline import headline
from spos.report.measure import Measure
from spos.report.network import network_blocks
from spos.report.result import Result, Retrained, StageCosts
from spos.report.terminal import result_tables
from spos.report.verdict import uncompared, verdict
from spos.report.words import sampling_error

from .conftest import Run, compare


@given(st.lists(st.floats(0, 1), min_size=1))
def test_a_range_is_never_empty(values: list[float]) -> None:
    lower, upper = padded_range(values, 0.02)
    assert lower < min(values) <= max(values) < upper


def stage(name: str, flops: int = 10, **choices: str) -> StageCosts:
    return StageCosts(name, choices, {"flops": flops, "params": 1})


def test_a_block_has_the_name_of_its_choice_and_all_options_chosen_in_it() -> None:
    drawn = network_blocks([stage("a"), stage("b", 5, kernel="x", width="0.4")])
    assert [(b.name, b.option, b.flops) for b in drawn] == [("a", "", 10), ("kernel", "x 0.4", 5)]


def test_many_choices_of_one_stage_come_without_costs() -> None:
    drawn = network_blocks([stage("whole", a="1", b="2", c="3", d="4")])
    assert [(b.name, b.option, b.flops) for b in drawn] == [
        ("whole", "", 10),
        *((name, option, None) for name, option in zip("abcd", "1234", strict=True)),
    ]


def test_a_choice_that_stages_share_is_shown_once() -> None:
    drawn = network_blocks([stage("a", width="8"), stage("b", width="8", kernel="3x3")])
    assert [(b.name, b.option) for b in drawn] == [("width", "8"), ("kernel", "3x3")]


def drawing_of(run: Run, stages: Sequence[StageCosts], choices: Sequence[ChoiceFacts]) -> str:
    """The drawing of a network on the page of a run that found it."""
    assert run.result.winner
    winner = replace(run.result.winner, stages=tuple(stages))
    changed = run.change(winner=winner, space=replace(run.result.space, choices=tuple(choices)))
    return render(changed.result, [], []).split("The network found</h2>")[1].split("</section>")[0]


def printed(result: Result) -> str:
    """A result as it is printed on a terminal, in one line."""
    console = Console(file=StringIO(), width=100)
    console.print(*result_tables(result))
    assert isinstance(console.file, StringIO)
    return " ".join(console.file.getvalue().split())


def test_options_beyond_the_colours_are_drawn(run: Run) -> None:
    choices = [ChoiceFacts(f"c{n}", (f"width {n} of many",)) for n in range(20)]
    named = {choice.name: choice.options[0] for choice in choices}
    drawing = drawing_of(run, [StageCosts("", named, {})], choices)
    assert re.findall("<h3>(.*?)</h3>", drawing) == ["fixed", "choices"]
    assert drawing.count("× 1</li>") == 20


def test_costs_of_nothing_are_not_an_error(run: Run) -> None:
    drawing = drawing_of(run, [stage("a", 0, a="x")], [ChoiceFacts("a", ("x",))])
    assert re.findall("<h3>(.*?)</h3>", drawing) == ["choices"]


@pytest.mark.parametrize(
    ("found", "scores", "says"),
    [
        (0.96, [0.93, 0.95], "better than 2 of 2 random networks."),
        (0.95, [0.93, 0.95], "better than 1 of 2 random networks and equal to 1."),
        (0.90, [0.93, 0.95], "The search did not help here."),
        (0.945, [0.93, 0.95], "would rank this high in 2 of 3 cases: no clear"),
        (0.96, [0.93, 0.95, 0.2, 0.3, 0.4], "this high in 1 of 6 cases; more random networks"),
        (0.96, [0.93] * 19, "this high in 1 of 20 cases: a clear advantage"),
        (0.96, [0.93, 0.95], "the standard deviation of the random networks is 1.4 points."),
        (0.95, [0.93], "better than the one random network that was trained as well. It classif"),
        (0.93, [0.95], "is worse than the one random network that"),
        (
            0.93,
            [0.95],
            "93.0% of the test images correctly, the random network 95.0%: a differ",
        ),
        (0.93, [0.95], "a difference of 2.0 points. One random network says little"),
        (0.93, [0.93], "as good as the one random network that was trained as well."),
    ],
)
def test_the_comparison_is_honest(
    result: Result, found: float, scores: list[float], says: str
) -> None:
    judged = verdict(replace(result, comparison=compare(found, scores)))
    assert judged is not None
    assert says in judged.words


@pytest.mark.parametrize(
    ("within", "says"),
    [
        (0.1, "at nearly the same cost, and"),
        (0.4, "at a cost within 40% of that of the network found, and"),
        (None, "at any cost, because no network of a similar cost was left, and"),
    ],
)
def test_random_networks_of_another_cost_are_not_said_to_have_the_same(
    result: Result, within: float | None, says: str
) -> None:
    compared = compare(0.5, [0.4, 0.45])
    first, second = compared.networks
    networks = (first, replace(second, within=within, architecture="1,1"))
    page = render(replace(result, comparison=replace(compared, networks=networks)), [], [])
    assert f"drawn within the same limits {says}" in page
    assert ("Random networks cost nearly what" in page) == (within == 0.1)


def test_nothing_to_compare_is_not_a_comparison(result: Result) -> None:
    alone = replace(result, comparison=None)
    assert verdict(alone) is None
    assert uncompared(alone).startswith("It was not compared with random networks of its cost. Mea")
    assert uncompared(result) == uncompared(replace(alone, retrain=None)) == ""
    for text in (render(alone, [], []), printed(alone)):
        assert text.count("not compared with random networks") == 1
        assert text.count("Measured on 359 test images") == 1


@pytest.mark.parametrize("better", [True, False])
def test_a_uniform_network_that_is_better_is_in_the_headline(result: Result, better: bool) -> None:
    compared = compare(0.5, [0.4, 0.45])
    score = 0.6 if better else 0.5
    uniform = replace(compared.networks[0], name="all conv3", test_score=score)
    other = replace(
        result, comparison=replace(compared, uniform=uniform), retrain=Retrained(0.5, steps=1)
    )
    said = "The network of all conv3 is better: 60.0% with 1.000K multiply-adds"
    assert (f"{said}." in headline(other)) == better
    few = replace(other, data=replace(other.data, test=40))
    assert (f"{said}, within the error of 40 test images." in headline(few)) == better


def test_an_accuracy_carries_the_error_of_its_test_set(result: Result) -> None:
    tested = replace(result, data=replace(result.data, test=400), retrain=Retrained(0.9, steps=1))
    error = f"{100 * math.sqrt(0.9 * 0.1 / 400):.1f} points"
    assert error in sampling_error(tested)
    assert sampling_error(replace(tested, data=replace(result.data, test=None))) == ""
    assert sampling_error(replace(tested, retrain=None)) == ""


def test_a_latency_is_said_to_come_from_a_table(result: Result) -> None:
    assert result.winner
    winner = replace(result.winner, costs={**result.winner.costs, "latency": 2_094_000})
    limit = ConstraintFacts(maximum={"latency": 8e6})
    # Only the winner is printed here: no other candidate has a latency.
    text = printed(replace(result, winner=winner, constraint=limit, top=(), comparison=None))
    assert "latency (by the measured table) 2.094ms" in text


def test_what_scores_are_called_is_explained_once(result: Result) -> None:
    fitness = Measure("z-score with NASWOT and patterns", share=False)
    for one, told in ((result, 0), (replace(result, fitness=fitness), 1)):
        for text in (render(one, [], []).replace("&#39;", "'"), printed(one)):
            assert text.count("One-shot scores use the weights of the supernet, before the ") == 1
            assert text.count("NASWOT adds to them how well the untrained network tells") == told
            assert text.count("The z-score is the output for the class of an image, in ") == told
            assert text.count("Patterns add how many different responses to images") == told


def test_no_limit_is_not_spoken_of(result: Result) -> None:
    assert "allowed" in headline(result)
    assert "allowed" not in headline(replace(result, constraint=ConstraintFacts()))


def test_shorter_trainings_of_a_comparison_are_said(result: Result) -> None:
    compared = replace(compare(0.5, [0.4, 0.45]), steps=190)
    uniform = replace(compared.networks[0], name="all conv3", test_score=0.6)
    short = replace(result, comparison=replace(compared, uniform=uniform))
    said = "The network of all conv3 is better after 190 steps of each: 60.0% with"
    for text in (render(short, [], []), printed(short)):
        words = " ".join(text.split())
        assert ", each trained for 190 steps" in words and said in words
        assert "After 190 steps of training each, it classifies 50.0%" in words
    assert "each trained for" not in printed(result)


def test_a_limit_below_that_of_the_user_is_explained(result: Result) -> None:
    reason = "at most 500.0K multiply-adds (below your 60.00M): what the time allows"
    for maximum, told in (
        ({"flops": 5e5}, reason),
        ({"params": 3e4, "flops": 5e5}, f"multiply-adds; {reason}"),
    ):
        limited = replace(result, constraint=ConstraintFacts(maximum=maximum, reason=reason))
        for text in (render(limited, [], []), printed(limited)):
            assert told in " ".join(text.split())


def test_all_layers_of_a_chart_share_its_axes() -> None:
    rows = [{"x": 1, "y": "a"}]
    limit = layer("rule", rows, y=None)
    chart = make_chart("c", "", "", Axis("step", 0, 9), Names(["a"]), layer("point", rows), limit)
    point, rule = (one["encoding"] for one in chart.spec["layer"])
    assert point["x"] == rule["x"]
    assert point["x"]["scale"]["domain"] == [0, 9]
    assert point["y"]["scale"]["domain"] == ["a"] and "y" not in rule
    # Names are not magnified.
    (zoom,) = chart.spec["layer"][0]["params"]
    assert zoom["select"]["encodings"] == ["x"]
