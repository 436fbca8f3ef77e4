"""A run on each kind of device, small; those that are marked ``gpu`` need one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from spos._util.files import read_json
from spos._util.listener import Silent
from spos.cost.latency import measure_latency
from spos.export import export_run
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.run import run

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
SETTINGS: dict[str, Any] = {
    "space": {"name": "mobile", "preset": "tiny"},
    "layout": {"image_size": 8, "channels": [8, 16], "depths": [1, 2], "strides": [1, 2]},
    "data": {"source": "digits", "validation": 100},
    "supernet": {"steps": 12, "warmup_steps": 0},
    "search": {"population": 6, "iterations": 1, "parents": 2},
    "retrain": {"steps": 12, "warmup_steps": 0},
    "run": {"calibration": 64},
}


def given(**settings: Any) -> dict[str, Any]:
    return {**SETTINGS, "run": {**SETTINGS["run"], **settings}}


@pytest.mark.parametrize(
    ("device", "precision", "channels_last"),
    [
        ("cpu", "bf16-mixed", True),
        *(
            pytest.param("cuda", precision, channels_last, marks=GPU)
            for precision in ("bf16-mixed", "16-mixed")
            for channels_last in (True, False)
        ),
    ],
)
def test_a_run_of_lower_precision_finds_a_network(
    tmp_path: Path, device: str, precision: str, channels_last: bool
) -> None:
    settings = given(precision=precision, channels_last=channels_last)
    result = run(tmp_path / "run", settings, accelerator=device)
    assert result.device.startswith(device) and result.winner is not None
    assert result.test_score is not None and 0 <= result.test_score <= 1
    (weights,) = (tmp_path / "run" / "retrain").glob("*.safetensors")
    assert all(tensor.isfinite().all() for tensor in load_file(weights).values())


class _Interrupting(Silent):
    """Interrupts a stage after a number of its steps."""

    def __init__(self, stage: str, steps: int) -> None:
        self._stage, self._steps = stage, steps

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        if stage == self._stage and done >= self._steps:
            raise KeyboardInterrupt


@pytest.mark.parametrize("device", DEVICES)
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path, device: str) -> None:
    settings = given(save_every=0.0)
    run(tmp_path / "whole", settings, accelerator=device)
    for stage in ("train", "retrain"):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", settings, accelerator=device, listener=_Interrupting(stage, 5))
    run(tmp_path / "cut", settings, accelerator=device)
    for folder in ("supernet", "retrain"):
        last = [max((tmp_path / one / folder).glob("step-*")) for one in ("whole", "cut")]
        one, two = map(load_file, last)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("device", DEVICES)
def test_candidates_score_as_on_the_cpu(tmp_path: Path, device: str) -> None:
    run(tmp_path / "supernet", given(), ("train",), accelerator=device)
    scores = []
    for kind in (device, "cpu"):
        out = tmp_path / f"search{len(scores)}"
        run(out, given(), ("search",), accelerator=kind, reuse=tmp_path / "supernet")
        candidates = read_json(out / "search.json")["candidates"]
        scores.append({one["architecture"]: one["score"] for one in candidates})
    one, two = scores
    # One iteration draws at random, whatever the scores.
    assert one.keys() == two.keys()
    assert all(two[name] == pytest.approx(one[name], abs=1e-3) for name in one)


@pytest.mark.parametrize("device", DEVICES)
def test_what_computes_more_takes_longer(device: str) -> None:
    layer = OneOf({str(n): nn.Conv2d(32, n, 3) for n in (8, 2048)})
    supernet = Supernet(nn.Sequential(layer, nn.AdaptiveAvgPool2d(1)), (32, 64, 64))
    table = measure_latency(supernet, rounds=3, accelerator=device)
    assert table.runtime.accelerator == device
    few, many = (
        next(part.median for key, part in table.parts.items() if key.options == (option,))
        for option in ("8", "2048")
    )
    assert many > few > 0


@pytest.mark.parametrize("device", DEVICES)
def test_a_network_that_was_trained_there_is_exported(tmp_path: Path, device: str) -> None:
    run(tmp_path / "run", given(), accelerator=device)
    check = export_run(tmp_path / "run", "torch-export")["check"]
    # Beside the network of the run, on test images.
    assert check["images"] > 0 and check["beyond_tolerance"] == 0
