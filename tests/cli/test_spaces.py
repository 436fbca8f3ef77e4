"""``spos spaces``, and limits on any cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import SMALL, Ended

Cli = Callable[..., Ended]


def test_the_presets_of_a_space_are_listed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads(cli("spaces", "shufflenetv2", "--json").out)
    assert [row["preset"] for row in rows] == ["imagenet", "cifar", "small", "tiny"]
    assert rows[0]["size"] == 4**20
    least, largest = rows[0]["costs"]["flops"]
    assert least < 295_842_496 < 322_918_720 < largest
    assert "spos_block" in rows[0]["networks"]
    # Counted once: the table shows the same rows.
    monkeypatch.setattr("spos._cli.costs.list_spaces", lambda name: rows)
    shown = cli("spaces", "shufflenetv2").out
    assert "270M–400M" in shown and "bitops" not in shown


def test_what_bits_cost_is_listed_where_nothing_else_varies(cli: Cli) -> None:
    shown = cli("spaces", "resnet-bits").out
    assert "bitops" in shown and "3.4G–27G" in shown


def test_an_architecture_is_shown_in_the_notation_of_its_paper(cli: Cli) -> None:
    text = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    arguments = ("profile", "nasbench201", "--preset", "tiny", "--classes", "10")
    facts = json.loads(cli(*arguments, "--architecture", "0,1,2,3,4,0", "--json").out)
    assert facts["notation"] == text
    assert json.loads(cli(*arguments, "--architecture", text, "--json").out) == facts
    assert text in cli(*arguments, "--architecture", text).out
    told = cli(*arguments, "--architecture", "none~0|+|none~0|none~1|").mistake
    assert "has 2 nodes, not 3: write |OP~0|" in told
    assert "notation" not in json.loads(
        cli(
            "profile", "plain", "--preset", "tiny", "--architecture", ",".join("0" * 12), "--json"
        ).out
    )


def test_a_profile_without_a_preset_is_of_the_first(cli: Cli) -> None:
    given = ("profile", "nasbenchmacro", "--architecture", "20112002", "--json")
    facts = json.loads(cli(*given).out)
    assert facts == json.loads(cli(*given, "--preset", "cifar", "--classes", "10").out)
    assert facts["preset"] == "cifar"
    usual = ("profile", "fbnet", "--architecture", "fbnet_b", "--json")
    assert cli(*usual).out == cli(*usual, "--preset", "imagenet", "--classes", "1000").out


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
