"""Paths and numbers that are given in Python, where no command line has read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spos import Supernet, UserError
from spos.cost.latency import LatencyTable, measure_latency, validate
from spos.export import export_run, open_classifier
from spos.report.result import read_result
from spos.run import RunDirectory, doctor, run
from spos.run.config import make_config

RECIPE = {"steps": 2, "batch_size": 8, "warmup_steps": 0}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "layout": {"layers": 2, "filters": [4]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 2, "iterations": 1, "parents": 1},
    "retrain": RECIPE,
}


def test_a_path_may_be_a_text_and_a_number_one_of_numpy(tmp_path: Path) -> None:
    out = f"{tmp_path}/run"
    result = run(out, GIVEN, compare=np.int64(1), devices=np.int64(1))
    assert result.comparison is not None and result.comparison.asked == 1
    assert read_result(f"{out}/result.json") == result
    reused = run(f"{tmp_path}/reused", {"search": {"iterations": 2}}, ("search",), reuse=out)
    assert reused.winner is not None
    diagnosis = doctor(out, GIVEN, networks=np.int64(2), seeds=np.uint8(2))
    assert len(diagnosis.networks) == 2
    facts = export_run(out, "state-dict", f"{out}/weights.safetensors")
    assert facts["file"] == "weights.safetensors"


@pytest.mark.parametrize("given", [1, np.int64(1)])
def test_a_table_is_measured_into_a_path_that_is_a_text(
    given: int, supernet_of: Callable[[str], Supernet], tmp_path: Path
) -> None:
    path, supernet = f"{tmp_path}/table.json", supernet_of("shared")
    table = measure_latency(supernet, path, threads=given, batch=given, rounds=given)
    assert LatencyTable.read(path) == table
    table.write(path)
    judged = validate(table, supernet, f"{tmp_path}/v.json", networks=4 * given, rounds=2 * given)
    assert json.loads((tmp_path / "v.json").read_text())["networks"][0]["measured"] > 0
    assert judged.before.networks == 4


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: run(None, GIVEN), "run directory None: must be a path"),
        (lambda: run("a", GIVEN, "train"), "stages 'train': must be a tuple of train, search, re"),
        (lambda: run("a", GIVEN, ("trian",)), r"stages \('trian',\): must be a tuple of train"),
        (lambda: make_config({"search": {"population": 10**5000}}), "of hundreds of digits: must"),
        (lambda: run("", GIVEN), "run directory '': must not be empty"),
        (lambda: run("run", None), "settings None: must be a mapping of sections"),
        (lambda: run("run", GIVEN, compare=-1), "compare -1: must be a whole number from 0"),
        (lambda: run("run", GIVEN, devices=0), "devices 0: must be a whole number from 1"),
        (lambda: run("run", GIVEN, compare=1.5), "compare 1.5: must be a whole number"),
        (lambda: doctor("run", GIVEN, networks="2"), "--networks '2': must be a whole number"),
        (
            lambda: doctor("run", GIVEN, networks=10**30),
            "0: must be a whole number from 0 to",
        ),
        (lambda: RunDirectory(5), "run directory 5: must be a path"),
        (lambda: open_classifier("missing.onnx"), "missing.onnx: no such file"),
        (lambda: LatencyTable.read("missing.json"), "latency table missing.json: No such file"),
    ],
)
def test_what_is_neither_is_refused(
    call: Callable[[], Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        call()
    assert not list(tmp_path.iterdir())
