"""``spos spaces``, and limits on any cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from commands import SMALL, Ended

Cli = Callable[..., Ended]


def test_the_presets_of_a_space_are_listed(cli: Cli) -> None:
    rows = json.loads(cli("spaces", "shufflenetv2", "--json").out)
    assert [row["preset"] for row in rows] == ["imagenet", "cifar", "tiny"]
    assert rows[0]["size"] == 4**20
    least, largest = rows[0]["costs"]["flops"]
    assert least < 295_842_496 < 322_918_720 < largest
    assert "spos_block" in rows[0]["networks"]
    assert "270M–400M" in cli("spaces", "shufflenetv2").out


def test_an_unknown_space_is_one_line(cli: Cli) -> None:
    assert "did you mean 'shufflenetv2'" in cli("spaces", "shufflnetv2").mistake


def test_limits_on_any_cost(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    wrong = cli("run", "--out", out, *SMALL, "--max", "flop=1M").mistake
    assert "unknown cost 'flop': did you mean 'flops'?" in wrong
    assert "write COST=N" in cli("run", "--out", out, *SMALL, "--min", "flops").mistake
    twice = cli("run", "--out", out, *SMALL, "--max", "flops=1M", "--max-flops", "2M").mistake
    assert "the limit of flops is given twice" in twice
    assert "reachable are" in cli("run", "--out", out, *SMALL, "--max", "flops=1").mistake
