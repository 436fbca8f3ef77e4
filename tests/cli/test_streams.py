"""Commands that have lost standard input, output or error."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from spos._util.console import ConsoleListener

#: A command that writes to a file and to both streams, and then the number of the file.
SCRIPT = """
import os, sys
from spos._cli.main import entry, main

def show(**options):
    with open("written", "w") as file:
        print("told", flush=True)
        os.write(2, b"from a library")
        print("told", file=sys.stderr, flush=True)
        file.write(str(file.fileno() > 2))

main.commands["show"].callback = show
sys.argv = ["spos", "show", "run"]
entry()
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device(closed: str, tmp_path: Path) -> None:
    started = ["bash", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", SCRIPT]
    ended = subprocess.run(started, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr
    # Nothing that is meant for a stream gets into a file.
    assert (tmp_path / "written").read_text() == "True"
    assert ended.stdout == ("" if ">&-" in closed.split() else "told\n")


def test_an_error_that_cannot_be_told_keeps_its_status(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        started = [sys.executable, "-m", "spos", "show", str(tmp_path)]
        assert subprocess.run(started, stderr=full).returncode == 2


@pytest.mark.parametrize("variables", [{}, {"_SPOS_COMPLETE": "bash_source"}])
def test_an_output_on_a_full_disk_is_one_line(variables: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "spos"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and line.startswith("spos: error: a file cannot be")


#: Progress before and after the terminal is closed.
PROGRESS = """
import os, sys
from spos._util.console import ConsoleListener

listener = ConsoleListener()
listener.progress("train", 1, 3, "")
os.write(1, b"begun")
sys.stdin.readline()
for done in (2, 3):
    listener.progress("train", done, 3, "")
listener.message("told")
listener.close()
print("told", flush=True)
"""


@pytest.mark.parametrize("redirected", [False, True], ids=["all", "output elsewhere"])
def test_a_run_goes_on_without_a_terminal_that_is_closed(redirected: bool) -> None:
    shown, terminal = pty.openpty()
    output = subprocess.PIPE if redirected else terminal
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRESS], stdin=subprocess.PIPE, stdout=output, stderr=terminal
    )
    os.close(terminal)
    seen = b""
    while b"begun" not in seen:
        seen += os.read(started.stdout.fileno() if redirected else shown, 1000)
    os.close(shown)
    out, _ = started.communicate(b"\n", timeout=60)
    assert started.returncode == 0
    assert out == (b"told\n" if redirected else None)


def test_a_message_has_no_characters_that_a_terminal_would_obey(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ConsoleListener().message("--reuse a\x1b[31mb\nc: all settings as there")
    assert capsys.readouterr().err == "spos: --reuse a\\x1b[31mb\\x0ac: all settings as there\n"
