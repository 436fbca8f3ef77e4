"""``spos retrain --network``: a network that no search found, trained with the same recipes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import FEW, Ended

Cli = Callable[..., Ended]


@pytest.mark.parametrize("name", ["1,0,3", "resnet18_w2a2"])
def test_a_network_is_trained_and_tested(name: str, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # Of the large network two steps, since a checkpoint of it takes longer than a step.
    few = ("--set", "retrain.steps=2", "--set", "retrain.warmup_steps=0") if "_" in name else ()
    ended = cli("retrain", *FEW, *few, "--network", name, "--out", out)
    assert ended.status == 0
    result = json.loads((out / "result.json").read_text())
    assert result["winner"] is None
    assert result["network"]["name"] == name
    assert result["network"]["costs"]["flops"] > 0
    assert ("bitops" in result["network"]["costs"]) == name.startswith("resnet18")
    assert 0 <= result["retrain"]["test_score"] <= 1
    assert "Network trained" in ended.out
    assert name in cli("show", out).out
    before = (out / "retrain.json").read_bytes()
    assert cli("retrain", "--out", out).status == 0
    assert (out / "retrain.json").read_bytes() == before


def test_a_published_network_is_scaled(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    few = ("--set", "retrain.steps=2", "--set", "retrain.warmup_steps=0")
    width = ("--set", "network.width=0.25")
    assert cli("retrain", *FEW, *few, *width, "--network", "mobilenet_v2", "--out", out).status == 0
    network = json.loads((out / "result.json").read_text())["network"]
    assert network["width"] == 0.25 and network["costs"]["params"] < 200_000
    assert "width" in cli("show", out).out


def test_a_network_is_shown_with_the_cost_that_is_bounded(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    few = ("--set", "retrain.steps=2", "--set", "retrain.warmup_steps=0")
    few += ("--set", "network.width=0.25", "--max", "memory=2MB")
    assert cli("retrain", *FEW, *few, "--network", "mobilenet_v2", "--out", out).status == 0
    shown = cli("show", out)
    assert shown.status == 0 and "memory" in shown.out
    # As former versions wrote it.
    result = json.loads((out / "result.json").read_text())
    del result["network"]["costs"]["memory"], result["digest"]
    (out / "result.json").write_text(json.dumps(result))
    assert "mobilenet_v2" in cli("show", out).out


def test_a_network_beyond_the_limits_is_trained_and_said_to_be(cli: Cli, tmp_path: Path) -> None:
    given = ("--network", "1,0,3", "--max-flops", "1K", "--min-params", "1M")
    ended = cli("retrain", *FEW, *given, "--out", tmp_path / "run")
    assert ended.status == 0
    assert "1,0,3 is trained although it has flops" in ended.err
    assert "above the max of 1.000K" in ended.err and "below the min of 1.000M" in ended.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "1,0,3",
            "'1,0,3' is a network of the space shufflenetv2, whose width is layout.width",
        ),
        (
            "resnet18_w2a2",
            "network.width 0.25: 'resnet18_w2a2' has one width; those with more are ",
        ),
    ],
)
def test_a_network_of_one_width_is_not_scaled(
    name: str, told: str, cli: Cli, tmp_path: Path
) -> None:
    given = ("--network", name, "--set", "network.width=0.25", "--out", tmp_path / "run")
    assert told in cli("retrain", *FEW, *given).mistake
    assert not list(tmp_path.glob("run/*.json"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet18_w2a22", "unknown network 'resnet18_w2a22': did you mean 'resnet18_w2a2'?"),
        ("1,0", "architecture 1,0 has 2 options, this space has 3 choices"),
    ],
)
def test_an_unknown_network_is_one_line(name: str, told: str, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert told in cli("retrain", *FEW, "--network", name, "--out", out).mistake
    assert not list(out.glob("*.json"))


def test_there_is_nothing_to_compare_it_with(cli: Cli, tmp_path: Path) -> None:
    told = cli(
        "retrain", *FEW, "--network", "1,0,3", "--compare", "2", "--out", tmp_path / "run"
    ).mistake
    assert "--network 1,0,3 and --compare 2: random networks are compared" in told
    assert not list(tmp_path.glob("run/*.json"))


def test_it_is_not_mixed_with_a_search(cli: Cli, tmp_path: Path, finished_run: Path) -> None:
    told = cli("run", *FEW, "--network", "1,0,3", "--out", tmp_path / "run").mistake
    assert "--network 1,0,3: a network by name is trained alone; use spos retrain" in told
    out = tmp_path / "searched"
    shutil.copytree(finished_run, out)
    for name in ("retrain.json", "compare.json"):
        (out / name).unlink(missing_ok=True)
    before = (out / "result.json").read_bytes()
    assert cli("retrain", "--network", "1,0,3", "--out", out).status == 2
    assert (out / "result.json").read_bytes() == before


def test_limits_that_exclude_each_other_are_found_at_once(cli: Cli, tmp_path: Path) -> None:
    limits = ("--max", "flops=1M", "--min", "flops=2M")
    told = cli("retrain", *FEW, "--network", "1,0,3", *limits, "--out", tmp_path / "run")
    assert "flops" in told.mistake
    assert not list(tmp_path.glob("run/*.json"))
