"""Environment variables and limits that a library does not take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spos._util.errors import UserError, explain


@pytest.mark.parametrize(
    "setting",
    [
        "TORCH_LOGS=nosuch",
        "TORCH_DISTRIBUTED_DEBUG=zz",
        "TORCHDYNAMO_REPRO_LEVEL=x",
        "TORCHINDUCTOR_CACHE_DIR=/dev/null",
    ],
)
def test_a_variable_that_torch_refuses_is_named_in_one_line(setting: str, tmp_path: Path) -> None:
    name, value = setting.split("=")
    ended = subprocess.run(
        [sys.executable, "-m", "spos", "doctor", "--preset", "tiny", "--out", tmp_path / "run"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and len(line) < 500
    assert line.startswith(f"spos: error: torch refuses the environment variable {setting} (")
    assert not (tmp_path / "run").exists()


def test_a_variable_that_is_not_to_blame_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_LOGS", "dynamo")
    assert explain(UserError("--recipe 'dynamo'")) == "--recipe 'dynamo'"
    assert explain(KeyError("TORCH_LOGS")) is None


def test_libraries_report_nothing_unless_asked_to(tmp_path: Path) -> None:
    names = ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED")
    script = f"import os, spos; print([os.environ[name] for name in {names}])"
    kept = {name: value for name, value in os.environ.items() if name not in names}
    for asked, told in (({}, "['1', '0']"), ({names[0]: "0"}, "['0', '0']")):
        ended = subprocess.run(
            [sys.executable, "-c", script], env={**kept, **asked}, capture_output=True, text=True
        )
        assert ended.stdout.strip() == told


def test_running_a_network_leaves_nothing_of_its_library(tmp_path: Path) -> None:
    """The one that runs ONNX files keeps the name of a device where it may send anything."""
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    script = "import spos, onnxruntime; onnxruntime.SessionOptions()"
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **home}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
