"""The folder for a machine without internet, whose script is run here on the CPU."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest


def wheel(names: Sequence[str], python: str, folder: Path) -> None:
    """In place of what is downloaded: one wheel, with a module that tells who was asked for."""
    with zipfile.ZipFile(folder / "asked-1-py3-none-any.whl", "w") as archive:
        archive.writestr("asked.py", f"NAMES, PYTHON = {list(names)!r}, {python!r}\n")
        archive.writestr(
            "asked-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: asked\nVersion: 1\n"
        )
        archive.writestr(
            "asked-1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("asked-1.dist-info/RECORD", "")


def test_the_script_of_a_bundle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_bundle

    if shutil.which("git") is None or not (gpu_bundle.ROOT / ".git").exists():
        pytest.skip("not in a clone of the repository")
    images = tmp_path / "images.zip"
    contents = {
        f"train/{name}/{number}.jpg": bytes([number]) * 90 for name in "ab" for number in (1, 2)
    }
    with zipfile.ZipFile(images, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    (tmp_path / "nasbench201-cifar10.csv").write_text("arch\n")
    out = tmp_path / "bundle"
    options = argparse.Namespace(data=images, tables=tmp_path, out=out, python="3.12")
    size = gpu_bundle.bundle(options, wheel)
    assert 0 < size < gpu_bundle.LIMIT
    assert not list(out.glob("benchmarks/results*"))
    assert (out / "tables" / "nasbench201-cifar10.csv").exists()
    environment = {**os.environ, "OUT": str(tmp_path / "results"), "SITE": str(tmp_path / "site")}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    command = ["bash", str(out / "run.sh"), "--dry-run", "--device", "cpu", "--parts", "evaluation"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "## evaluation" in (tmp_path / "results" / "summary.md").read_text()
    with zipfile.ZipFile(out / "images.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    asked: dict[str, list[str]] = {}
    exec((tmp_path / "site" / "asked.py").read_text(), asked)
    assert {"lightning-fabric", "optuna", "pytest"} <= set(asked["NAMES"])
    assert not {"torch", "numpy", "spos"} & set(asked["NAMES"])
