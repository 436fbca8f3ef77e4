from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos.report.chart import cost_labels, element, nice_ticks, percent_labels, spread
from spos.report.network import blocks, draw
from spos.report.words import headline, sampling_error, verdict


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9))
def test_ticks_lie_within_the_range_and_are_few(lower: float, extent: float) -> None:
    ticks = nice_ticks(lower, lower + extent, 5)
    assert len(ticks) <= 9
    air = 1e-6 * max(abs(lower), extent)
    assert all(lower - air <= tick <= lower + extent + air for tick in ticks)
    assert ticks == sorted(set(ticks))


@given(st.lists(st.floats(0, 1), min_size=1))
def test_a_range_is_never_empty(values: list[float]) -> None:
    lower, upper = spread(values, 0.02)
    assert lower < min(values) <= max(values) < upper


def test_ticks_are_told_apart() -> None:
    assert cost_labels("flops")([0, 500, 1000, 1500]) == ["0", "0.5K", "1.0K", "1.5K"]
    assert percent_labels([0.942, 0.944]) == ["94.2%", "94.4%"]


def test_text_and_attributes_are_escaped() -> None:
    assert element("text", "<&", title='"><') == ('<text title="&#34;&gt;&lt;">&lt;&amp;</text>')


def stage(name: str, flops: int = 10, **choices: str) -> dict[str, object]:
    return {"name": name, "choices": choices, "flops": flops, "params": 1}


def test_a_part_has_the_name_of_its_choice_and_all_options_chosen_in_it() -> None:
    parts = blocks({"stages": [stage("a"), stage("b", 5, kernel="x", width="0.4")]})
    assert [(p.name, p.option, p.flops) for p in parts] == [("a", "", 10), ("kernel", "x 0.4", 5)]


def test_many_choices_of_one_part_come_without_costs() -> None:
    parts = blocks({"stages": [stage("whole", a="1", b="2", c="3", d="4")]})
    assert [(p.name, p.option, p.flops) for p in parts] == [
        ("whole", "", 10),
        *((name, option, None) for name, option in zip("abcd", "1234", strict=True)),
    ]


def test_a_choice_that_stages_share_is_shown_once() -> None:
    parts = blocks({"stages": [stage("a", width="8"), stage("b", width="8", kernel="3x3")]})
    assert [(p.name, p.option) for p in parts] == [("width", "8"), ("kernel", "3x3")]


def test_options_beyond_the_colours_and_a_network_without_stages_are_drawn() -> None:
    options = [f"width {number} of many" for number in range(20)]
    choices = {f"c{n}": o for n, o in enumerate(options)}
    drawing = draw({"stages": [{"name": "", "choices": choices}]}, options)
    assert [name for name, _ in drawing.rows] == ["fixed", "choices"]
    assert len(drawing.legend) == 20


def test_costs_of_nothing_are_no_error() -> None:
    assert draw({"stages": [stage("a", 0, a="x")]}, ["x"]).rows


@pytest.mark.parametrize(
    ("found", "scores", "says"),
    [
        (0.96, [0.93, 0.95], "better than 2 of 2 random networks."),
        (0.95, [0.93, 0.95], "better than 1 of 2 random networks and equal to 1."),
        (0.90, [0.93, 0.95], "The search did not help here."),
        (0.945, [0.93, 0.95], "no clear advantage"),
        (0.95, [0.93], "better than 1 of 1 random network."),
        (None, [0.93], "not tested yet"),
    ],
)
def test_the_comparison_is_honest(found: float | None, scores: list[float], says: str) -> None:
    networks = [{"test_top1": score} for score in scores]
    judged = verdict({"comparison": {"networks": networks, "found_test_top1": found}})
    assert judged is not None
    assert says in judged.words


def test_nothing_to_compare_is_no_comparison() -> None:
    assert verdict({"comparison": None}) is None
    assert verdict({"comparison": {"networks": [{"test_top1": None}]}}) is None


def test_an_accuracy_carries_the_error_of_its_test_set() -> None:
    said = sampling_error({"data": {"test": 400}, "retrain": {"test_top1": 0.9}})
    assert f"{100 * math.sqrt(0.9 * 0.1 / 400):.1f} points" in said
    assert sampling_error({"data": {}, "retrain": {"test_top1": 0.9}}) == ""


def test_no_limit_is_not_spoken_of() -> None:
    said = headline({"winner": {"flops": 1e6, "params": 1e3, "one_shot_top1": 0.5}})
    assert "allowed" not in said
