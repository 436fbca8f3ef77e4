"""Runs cases one after the other in a fork, and says which of them broke a promise."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import FrameType

sys.path.append(str(Path(__file__).parents[1] / "cli"))
from commands import FORKS
from interrupted import run_command

#: Seconds of a case until it counts as a hang, and of one that cannot be stopped from inside.
LONGEST, STUCK = 60.0, 180.0
#: Bytes that the process of the cases may take, beside those that it has at its start.
MEMORY = 6 << 30
#: Kinds of which trainings are not interrupted at their first step, and seconds of the processor
#: after which they are.
TRAINING, ENOUGH = ("later stages",), 4.0
#: Names of files that are not whole yet.
TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}$|\.unfinished$|\.copy$|\.tmp$")
#: Files that say nothing of a run.
MARKS = re.compile(r"(^|/)(\.lock|\.gitignore|[^/]*-(wal|shm))$|(^|/)tensorboard/")


@dataclass
class Outcome:
    """How a case ended.

    Args:
        kind: of the case.
        number: of the case within its kind.
        status: exit status; None if there was none.
        seconds: of the processor.
        problem: the promise that it broke; empty for none.
        command: arguments of the command.
    """

    kind: str
    number: int
    status: int | None
    seconds: float
    problem: str
    command: str


#: Prepares a case in the working directory; returns the arguments of its command.
Prepare = Callable[[Random, Path], list[str]]


class Hang(BaseException):
    """A case took too long."""


def run_cases(
    kind: str, prepare: Prepare, material: Path, numbers: Sequence[int], seed: int, folder: Path
) -> list[Outcome]:
    """Run cases of one kind; those after one that kills the process run in another one.

    Args:
        kind: name of the kind.
        prepare: function of a module, which makes a case.
        material: what cases are made of: a run, images, exported networks. It is only read.
        numbers: of the cases; each is the same whichever others are run.
        seed: of all cases.
        folder: for the cases; a new one.
    """
    found: list[Outcome] = []
    folder.mkdir(parents=True)
    record, left = folder / "outcomes.jsonl", list(numbers)
    record.touch()
    while left:
        process = FORKS.Process(
            target=_work, args=(kind, prepare, material, left, seed, folder, record)
        )
        process.start()
        size, since = -1, time.monotonic()
        while process.is_alive() and time.monotonic() - since < STUCK:
            process.join(0.2)
            if record.stat().st_size != size:
                size, since = record.stat().st_size, time.monotonic()
        if stuck := process.is_alive():
            process.kill()
            process.join()
        found = [Outcome(**json.loads(line)) for line in record.read_text().splitlines()]
        left = list(numbers)[len(found) :]
        if left:
            problem = "it cannot be stopped" if stuck else f"it died: {process.exitcode}"
            command = (folder / "command").read_text() if (folder / "command").exists() else ""
            died = Outcome(kind, left.pop(0), None, 0.0, problem, command)
            with record.open("a") as file:
                file.write(json.dumps(asdict(died)) + "\n")
            found.append(died)
    return found


def _work(
    kind: str,
    prepare: Prepare,
    material: Path,
    numbers: Sequence[int],
    seed: int,
    folder: Path,
    record: Path,
) -> None:
    import torch

    torch.set_num_threads(1)
    status = Path("/proc/self/statm")
    taken = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _hang)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    for number in numbers:
        place = folder / "case"
        # That of a process that died.
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        os.chdir(place)
        (folder / "command").write_text("none yet")
        arguments = prepare(Random(f"{seed} {kind} {number}"), material)
        (folder / "command").write_text(json.dumps(arguments))
        outcome = _run(kind, number, arguments, place, folder)
        with record.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        os.chdir(folder)
        shutil.rmtree(place)


def _run(kind: str, number: int, arguments: list[str], place: Path, folder: Path) -> Outcome:
    for descriptor in (1, 2):
        os.ftruncate(descriptor, 0)
    before, environment = _files(place), dict(os.environ)
    folders = {Path(root) for root, _, _ in os.walk(place)}
    began = time.process_time()
    status, problem = None, ""
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        status = run_command(arguments, ENOUGH if kind in TRAINING else 0.0)
    except Hang:
        problem = f"it does not end within {LONGEST:g} s"
    except BaseException as error:
        problem = "".join(traceback.format_exception(error)[-3:])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.environ.clear()
        os.environ.update(environment)
    sys.stdout.flush()
    sys.stderr.flush()
    seconds = time.process_time() - began
    told = (folder / "stderr").read_text(errors="replace")
    problem = problem or _broken(status, told) or _half_written(before, _files(place), place)
    if status == 2:
        problem = problem or _folder_left(folders, place)
    return Outcome(kind, number, status, round(seconds, 3), problem, json.dumps(arguments))


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def _broken(status: int | None, told: str) -> str:
    """What a command said or returned that it must not."""
    if status not in (0, 2, 130):
        return f"exit status {status}: {told[-500:]}"
    lines = told.splitlines()
    errors = [line for line in lines if line.startswith("spos: error: ")]
    if "Traceback" in told or any(line.startswith("  File ") for line in lines):
        return f"a traceback: {told[-2000:]}"
    if status == 2 and (len(errors) != 1 or lines[-1] != errors[0] or not errors[0][13:].strip()):
        return f"not one line: {told[-1000:]}"
    if strange := [line for line in lines if not line.startswith("spos: ")]:
        return f"it is not spos that says: {strange[0][:500]}"
    return ""


def _files(place: Path) -> dict[str, bytes]:
    """Digest of every regular file, by its path."""
    found = {}
    for root, _, names in os.walk(place):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, place)] = hashlib.md5(file.read()).digest()
    return found


def _half_written(before: dict[str, bytes], after: dict[str, bytes], place: Path) -> str:
    """A file that a command has left behind, lost, or not written as a whole."""
    for name in after.keys() - before.keys():
        if TEMPORARY.search(name):
            return f"it leaves {name}"
    for name in before.keys() - after.keys():
        if not (MARKS.search(name) or TEMPORARY.search(name)):
            return f"it removes {name}"
    for name, digest in after.items():
        if before.get(name) == digest or MARKS.search(name):
            continue
        if why := _damaged(place / name):
            return f"{name} is not whole: {why}"
    return ""


def _folder_left(folders: set[Path], place: Path) -> str:
    """A new folder of which no run is part."""
    for folder in {Path(root) for root, _, _ in os.walk(place)} - folders:
        above = [folder, *folder.parents][: len(folder.relative_to(place).parts)]
        if not any((one / "config.yaml").exists() for one in above) and not any(
            folder.rglob("config.yaml")
        ):
            return f"a mistake leaves the folder {folder.relative_to(place)}"
    return ""


def _damaged(path: Path) -> str:
    from spos._util.files import read_json
    from spos._util.plain_yaml import parse_yaml
    from spos.training.checkpoint import read_tensors

    try:
        if path.suffix == ".json":
            read_json(path)
        elif path.suffix == ".yaml":
            parse_yaml(path.read_text())
        elif path.suffix == ".safetensors":
            read_tensors(path)
        elif path.suffix == ".db":
            with closing(sqlite3.connect(path)) as connection:
                (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            return "" if verdict == "ok" else str(verdict)
    except Exception as error:
        return repr(error)
    return ""
