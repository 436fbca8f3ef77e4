"""Commands that benchmarks run as a user would."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spos._util.version import __version__


def test_a_command_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    from launch import SPOS, run_command

    run_command([*SPOS, "--version"], tmp_path / "log")
    assert __version__ in (tmp_path / "log").read_text()
    with pytest.raises(subprocess.CalledProcessError):
        run_command([*SPOS, "no-such-command"], tmp_path / "log")
    assert "no-such-command" in (tmp_path / "log").read_text()
