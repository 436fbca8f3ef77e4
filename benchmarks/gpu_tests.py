"""The tests that need a GPU, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
#: Files with tests that are marked ``gpu``: to collect all of the suite takes a minute.
FILES = ("tests/devices", "tests/data/test_batches.py")


def tests(seconds: float, dry: bool, emit: Callable[[dict[str, Any]], None]) -> None:
    """Run the tests, and emit a row for each.

    Args:
        seconds (float): time after which they are stopped.
        dry (bool): whether to run one test instead, which needs no GPU.
        emit (Callable): what takes the rows.

    Raises:
        subprocess.TimeoutExpired: they did not end in time.
    """
    chosen = ["-m", "not gpu", "-k", "vanishes", FILES[1]] if dry else ["-m", "gpu", *FILES]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"]
        # Of their own: at the end, pytest would remove what earlier tests left elsewhere.
        command.append(f"--basetemp={folder}/tests")
        subprocess.run([*command, *chosen], cwd=ROOT, timeout=seconds, check=False)
        for case in ElementTree.parse(report).iter("testcase"):
            first = next(iter(case), None)
            emit(
                {
                    "test": case.get("name"),
                    "outcome": "passed" if first is None else first.tag,
                    "seconds": case.get("time"),
                    **({} if first is None else {"message": (first.get("message") or "")[:200]}),
                }
            )
    emit({"test": "all", "outcome": "ended", "seconds": f"{time.monotonic() - began:.1f}"})
