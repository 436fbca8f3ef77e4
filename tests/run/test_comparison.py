"""Random networks of about the winner's cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from spos import UserError
from spos._util.listener import Silent
from spos._util.records import to_plain
from spos.cost.latency import LatencyTable
from spos.cost.latency.plan import parts_of
from spos.cost.latency.record import PartLatency, Runtime
from spos.cost.outputs import output_of
from spos.report.result import read_result
from spos.report.verdict import verdict
from spos.run import run
from spos.spaces import family

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "resnet-bits", "preset": "tiny"},
    "layout": {"channels": [8], "depths": [2], "strides": [1], "bits": ["w1a2", "w4a4"]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 2, "iterations": 1, "parents": 1},
    "retrain": RECIPE,
}


def test_where_none_is_near_one_further_off_is_taken(tmp_path: Path) -> None:
    # Four networks, of which two have the same bit operations and the others are far off.
    given = {**GIVEN, "constraint": {"maximum": {"bitops": 1e9}}}
    compared = run(tmp_path / "run", given, compare=5).comparison
    assert len(compared.networks) == 3
    assert len({network.architecture for network in compared.networks}) == 3
    assert compared.networks[-1].within is None
    again = run(tmp_path / "run", given, compare=5).comparison
    assert again == compared


def test_networks_that_are_trained_for_fewer_steps_are_compared_with_the_winner_trained_alike(
    tmp_path: Path,
) -> None:
    out, given = tmp_path / "run", {**GIVEN, "network": {"compare_share": 0.5}}
    result = run(out, given, compare=1)
    compared = result.comparison
    assert compared is not None and result.retrain is not None
    assert compared.steps == 3 and result.retrain.steps == 6
    trained = {path.stem: json.loads(path.read_text()) for path in out.glob("compare-*.json")}
    assert {one["steps"] for one in trained.values()} == {3}
    found = trained["compare-found"]
    assert found["architecture"] == str(result.winner.architecture)
    assert compared.found_test_score == found["test_score"]
    assert "After 3 steps of training each, it classifies" in verdict(result).words
    # More of them leave the winner as it is.
    further = run(out, given, compare=2).comparison
    assert further.networks[0] == compared.networks[0] and len(further.networks) == 2
    assert json.loads((out / "compare-found.json").read_text()) == found
    stored = json.loads((out / "compare.json").read_text())
    stored["comparison"]["found_test_score"] += 0.125
    del stored["digest"]
    (out / "compare.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"compare.json disagrees with .*in compare-\*.json"):
        run(out, given, compare=2)


def test_a_winner_that_alone_is_within_the_limits_is_compared_with_none(tmp_path: Path) -> None:
    class Heard(Silent):
        def message(self, text: str) -> None:
            messages.append(text)

    messages: list[str] = []
    # The cheapest of the four networks is the one of the first option everywhere.
    every = {**GIVEN, "search": {"population": 4, "iterations": 1, "parents": 4}}
    (least,) = (
        one.costs["bitops"]
        for one in run(tmp_path / "free", every).top
        if str(one.architecture) == "0,0"
    )
    given = {"constraint": {"maximum": {"bitops": least}}}
    alone = run(tmp_path / "run", given, compare=2, reuse=tmp_path / "free", listener=Heard())
    assert str(alone.winner.architecture) == "0,0"
    assert alone.comparison is None
    assert alone.retrain.test_score is not None
    assert sum("none to compare it with" in text for text in messages) == 1


def test_the_result_is_there_before_networks_are_compared(tmp_path: Path) -> None:
    stopped = patch("spos.run.pipeline.compare_stage", side_effect=UserError("stopped"))
    with stopped, pytest.raises(UserError, match="stopped"):
        run(tmp_path / "run", GIVEN, compare=2)
    result = read_result(tmp_path / "run" / "result.json")
    assert 0 <= result.retrain.test_score <= 1
    assert (tmp_path / "run" / "report.html").exists()


def test_in_a_search_for_a_front_they_are_near_in_the_cost_that_it_minimises(
    tmp_path: Path,
) -> None:
    member = family("shufflenetv2")
    smaller = {"channels": (16, 24), "depths": (1, 2)}
    layout = replace(member.preset("tiny"), **smaller)
    supernet = member.build(layout, classes=10, image_channels=1)
    # Latencies that multiply-adds say nothing about.
    nanoseconds = {"shuffle3x3": 1000, "shuffle5x5": 9000, "shuffle7x7": 100, "xception3x3": 3000}
    table = LatencyTable(
        *("shufflenetv2", "tiny", to_plain(layout), supernet.input_shape),
        outputs=output_of(supernet).numel(),
        runtime=Runtime("torch", "cpu", "a phone", 1, 1, False),
        versions={},
        date="",
        parts={
            key: PartLatency(nanoseconds[key.options[0]] if key.options else 0, 0, 1)
            for key in parts_of(supernet)
        },
    )
    table.write(tmp_path / "phone.json")
    measured = {"latency_table": str(tmp_path / "phone.json"), "latency_device": "a phone"}
    given: dict[str, Any] = {
        **GIVEN,
        "space": {"preset": "tiny"},
        "layout": {name: list(value) for name, value in smaller.items()},
        "constraint": measured,
        "search": {"population": 4, "iterations": 1, "parents": 1, "pareto": "latency"},
    }
    result = run(tmp_path / "run", given, compare=2)
    latency = result.winner.costs["latency"]
    assert [network.within for network in result.comparison.networks] == [0.05] * 2
    for network in result.comparison.networks:
        assert abs(network.costs["latency"] - latency) <= 0.05 * latency


def test_a_uniform_network_within_the_bounds_is_compared_too(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        **GIVEN,
        "space": {"preset": "tiny"},
        "layout": {"channels": [16, 32], "depths": [1, 1]},
    }
    free = run(tmp_path / "free", given, compare=1)
    uniform = free.comparison.uniform
    options = set(uniform.architecture.split(","))
    assert len(options) == 1
    names = free.space.choices[0].options
    assert uniform.name == f"all {names[int(options.pop())]}"
    # The costliest of the uniform ones: a bound just below it leaves a cheaper one.
    bound = {"maximum": {"flops": uniform.costs["flops"] - 1}}
    bounded = run(
        tmp_path / "bounded", {**given, "constraint": bound}, compare=1, reuse=tmp_path / "free"
    )
    other = bounded.comparison.uniform
    assert other.costs["flops"] < uniform.costs["flops"]
    page = (tmp_path / "bounded" / "report.html").read_text()
    assert f"The network of {other.name}" in page


def test_a_space_without_a_common_option_has_no_uniform_network(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        **GIVEN,
        "space": {"name": "shufflenetv2-joint", "preset": "tiny"},
        "layout": {"channels": [16, 24], "depths": [1, 1], "scales": [0.5, 1.0]},
    }
    assert run(tmp_path / "run", given, compare=1).comparison.uniform is None
