"""ShuffleNetV2 units in which depth and kernels are searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from spos import CostTable, UserError
from spos.cost import count_network
from spos.run import run
from spos.spaces._stages import Place
from spos.spaces.shufflenetv2 import around, candidate_blocks
from spos.spaces.shufflenetv2_depth import BLOCKS, PRESETS, shufflenetv2_depth


@pytest.mark.parametrize("preset", PRESETS)
def test_every_unit_but_the_first_of_a_stage_may_be_skipped(preset: str) -> None:
    layout = PRESETS[preset]
    with torch.device("meta"):
        space = shufflenetv2_depth(layout, classes=10).space
    firsts = [choice.name for choice in space.choices if choice.options == BLOCKS]
    assert firsts == [f"stage{stage}.0" for stage in range(1, len(layout.depths) + 1)]
    others = {choice.options for choice in space.choices if choice.name not in firsts}
    assert others == {("skip", *BLOCKS)}


def test_the_network_with_4_8_and_4_units_of_kernel_3_is_shufflenet_v2() -> None:
    layout = PRESETS["small"]

    def unit(place: Place) -> nn.Module:
        return candidate_blocks(place, ["shuffle3x3"])["shuffle3x3"]

    with torch.device("meta"):
        supernet = shufflenetv2_depth(layout, classes=10)
        designed = around(replace(layout, depths=(4, 8, 4)), unit, classes=10, image_channels=3)
    table = CostTable(supernet, eager=False)
    names = {}
    for choice in supernet.space.choices:
        stage, number = map(int, choice.name.removeprefix("stage").split("."))
        names[choice.name] = "shuffle3x3" if number < (4, 8, 4)[stage - 1] else "skip"
    counted = table.cost(supernet.space.from_names(names))
    assert counted == count_network(designed, supernet.input_shape)
    assert 2.7e6 < counted["flops"] < 3e6


def test_channels_that_do_not_grow_are_refused() -> None:
    with pytest.raises(UserError, match="stage 2 has 24 channels after 24"):
        shufflenetv2_depth(replace(PRESETS["tiny"], channels=(24, 24)), classes=10)


def test_a_search_finds_a_network_within_its_bound(tmp_path: Path) -> None:
    recipe = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
    result = run(
        tmp_path / "run",
        {
            "space": {"name": "shufflenetv2-depth", "preset": "tiny"},
            "layout": {"image_size": 8, "channels": [12, 16], "depths": [2, 3]},
            "data": {"source": "digits", "validation": 64},
            "run": {"evaluation_batch": 64, "calibration": 64},
            "supernet": recipe,
            "retrain": recipe,
            "search": {"population": 6, "iterations": 2, "parents": 3},
            "constraint": {"maximum": {"flops": 60_000}},
        },
    )
    assert result.winner is not None and 0 < result.winner.costs["flops"] <= 60_000
    assert result.test_score is not None and (tmp_path / "run" / "report.html").exists()
