"""The folder in which a command is called: nothing in it is taken for a module of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: A command that starts processes in every way in which spos does, as the script ``spos`` is.
SCRIPT = """
import multiprocessing
from multiprocessing import resource_tracker
from spos.__main__ import entry
from spos._cli.main import main

def show(**options):
    resource_tracker.ensure_running()
    for kind in ("forkserver", "spawn"):
        process = multiprocessing.get_context(kind).Process(target=print, args=("told",))
        process.start()
        process.join()

main.commands["show"].callback = show
if __name__ == "__main__":
    entry()
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no safe path")
def test_no_process_runs_code_of_the_working_directory(tmp_path: Path) -> None:
    installed, here = tmp_path / "bin", tmp_path / "here"
    installed.mkdir()
    here.mkdir()
    (installed / "spos").write_text(SCRIPT)
    for name in ("json", "random", "signal", "socket", "tempfile", "torch"):
        (here / f"{name}.py").write_text("raise SystemExit('code of the working directory')")
    ended = subprocess.run(
        [sys.executable, installed / "spos", "show", "run"],
        cwd=here,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told\ntold\n", "")


def test_a_folder_that_was_removed_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", "from spos.__main__ import entry; entry()", "spaces"],
        cwd=gone,
        # Before Python looks for the folder itself.
        preexec_fn=gone.rmdir,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("spos: error: the folder in which spos was called has been removed: ")
