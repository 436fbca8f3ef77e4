"""Commands that a benchmark runs as a user would, on one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPOS = (sys.executable, "-m", "spos")


def run_command(command: Sequence[str], log: Path) -> None:
    """Run a command in the repository, with its output in a file.

    Raises:
        CalledProcessError: the command failed.
    """
    with log.open("w") as file:
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=True,
        )
