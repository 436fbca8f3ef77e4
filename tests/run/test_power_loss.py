"""A run goes on after a power loss, which drops what was written and not synced."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spos._util.files import read_json
from spos.run import run

SETTINGS: dict[str, Any] = {
    "space": {"name": "mobile", "preset": "tiny"},
    "layout": {"image_size": 8, "channels": [8, 16], "depths": [1, 1], "strides": [1, 2]},
    "data": {"source": "digits", "validation": 100},
    "supernet": {"steps": 3, "warmup_steps": 0, "batch_size": 16},
    "search": {"population": 4, "iterations": 2, "parents": 2},
    "finalists": {"count": 2},
    "retrain": {"steps": 3, "warmup_steps": 0, "batch_size": 16},
    "run": {"calibration": 64, "save_every": 0.0},
}
#: Losses that are tried, evenly spread over the run; all of them where it is ``all``.
LOSSES = os.environ.get("SPOS_POWER_LOSSES", "4")

#: What a disk holds: files by their path in the run directory.
State = dict[str, bytes]


class Disk:
    """What a disk is sure to hold of a directory: what was synced of the files and the folders.

    A database is taken as it is: SQLite syncs it itself.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        #: Content by inode, and names with their inodes by folder.
        self._contents: dict[int, bytes] = {}
        self._entries: dict[Path, dict[str, int]] = {}
        self.states: list[State] = []

    def note(self, descriptor: int) -> None:
        """Take notice of a sync."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path != self._root and self._root not in path.parents:
            return
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            names = {one.name: one.stat().st_ino for one in path.iterdir()}
            self._entries[path] = names
        else:
            self._contents[os.fstat(descriptor).st_ino] = path.read_bytes()
        state = dict(self._held(self._root))
        if not self.states or state != self.states[-1]:
            self.states.append(state)

    def _held(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for name, inode in self._entries.get(folder, {}).items():
            path = folder / name
            if path.is_dir():
                yield from self._held(path)
            elif not name.startswith("study.db"):
                yield str(path.relative_to(self._root)), self._contents.get(inode, b"")
        for path in folder.glob("study.db*"):
            yield str(path.relative_to(self._root)), path.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_not_synced_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole"
    disk, sync = Disk(whole), os.fsync

    def noticed(descriptor: int) -> None:
        sync(descriptor)
        disk.note(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", noticed)
        run(whole, SETTINGS, compare=1)
    assert len(disk.states) > 10
    count = len(disk.states) if LOSSES == "all" else int(LOSSES)
    for number in range(count):
        # The last state is the whole run.
        state = disk.states[(number * 2 + 1) * len(disk.states) // (2 * count)]
        out = tmp_path / f"lost{number}"
        for name, content in state.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
        run(out, SETTINGS, compare=1)
        assert _found(out) == _found(whole), f"after loss {number} of {count}: {sorted(state)}"
        shutil.rmtree(out)


def _found(out: Path) -> Any:
    result = read_json(out / "result.json")
    names = ("winner", "top", "retrain", "comparison", "finalists", "test_score", "front", "train")
    return {name: _without_times(result.get(name)) for name in names}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_times(one)
            for name, one in value.items()
            if name not in ("seconds", "images_per_second", "peak_memory")
        }
    return [_without_times(one) for one in value] if isinstance(value, list) else value
