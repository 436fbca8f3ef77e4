"""The folder of a run: made, and locked against other processes, while one of them uses it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from spos._util.errors import UserError
from spos._util.interrupt import SAVED, deferred_interrupt

LOCK_FILE = ".lock"
#: Names under which the files of a run are written before they are complete.
TEMPORARY_PATTERNS = (
    ".*.json*.*",
    ".*-seconds.*",
    ".*.csv.*",
    ".*.html.*",
    ".*.safetensors.*",
    ".config.yaml.*",
    ".study.db.*",
    "*/.step-*.safetensors.*",
)
#: Those of the files that a run begins with, where nothing of anybody else has such a name.
FIRST_PATTERNS = tuple(f".{name}.????????" for name in ("plan.json", "data.json", "config.yaml"))


@contextmanager
def open_folder(folder: Path, marker: Path, unstarted: Sequence[str] = ()) -> Iterator[None]:
    """Create a folder if it is missing, and lock it against other processes.

    Folders that were created are removed again if no run was started. The thread that has opened a
    folder may open it again inside, which changes nothing.

    Args:
        folder (Path): folder of the run.
        marker (Path): file that is there once the run was started.
        unstarted (Sequence[str]): files that are removed, too, where it was not.

    Raises:
        UserError: the folder is not writable, or another process uses it.
    """
    path = folder.absolute()
    new = [one for one in (path, *path.parents) if not one.exists()]
    lock = filelock.FileLock(path / LOCK_FILE, is_singleton=True)
    opened = lock.is_locked
    if opened:
        yield
        return
    try:
        # An interruption in between would leave an empty folder behind.
        with deferred_interrupt() as interrupt:
            _lock(folder, lock)
        if interrupt.requested:
            raise KeyboardInterrupt
        # Those of a process that was killed; in a folder without a run, others may be of anybody.
        patterns = TEMPORARY_PATTERNS if marker.exists() else FIRST_PATTERNS
        for left in [one for name in patterns for one in folder.glob(name)]:
            left.unlink(missing_ok=True)
        yield
    except KeyboardInterrupt:
        if not marker.exists():
            raise
        raise KeyboardInterrupt(SAVED) from None
    finally:
        if lock.is_locked and not marker.exists():
            for name in (LOCK_FILE, *unstarted):
                (folder / name).unlink(missing_ok=True)
            # Others may use a folder above it by now.
            with suppress(OSError):
                for one in new:
                    one.rmdir()
        lock.release()


def _lock(folder: Path, lock: filelock.BaseFileLock) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        # TensorBoard cannot write there, which it would say with a traceback.
        raise UserError(f"--out {folder}: its name is not UTF-8; give one that is") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be created ({error.strerror})") from error
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        # Without --num-nodes each of its processes takes itself for the only one.
        hint = "; on one machine leave out torchrun: --devices N starts the processes"
        told = hint if "TORCHELASTIC_RUN_ID" in os.environ else ""
        raise UserError(f"--out {folder}: another spos process is using it{told}") from None
    except OSError as error:
        raise UserError(f"--out {folder}: not writable ({error.strerror})") from error
