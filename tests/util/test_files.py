"""Files that are whole at every moment."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest

from spos._util import files
from spos._util.files import file_digest, read_json, write_atomically, write_json


def test_a_file_is_written_and_written_again(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_atomically(path, "zwölf")
    assert path.read_text(encoding="utf-8") == "zwölf"
    write_atomically(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        write_atomically(tmp_path / "a.txt", "new")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_the_old_content_stays_if_writing_fails(step, tmp_path: Path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_json_does_not_hold_leaves_the_old_content(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"accuracy": 0.5})
    for value in ({"accuracy": math.nan}, {"accuracy": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, value)
    assert read_json(path) == {"accuracy": 0.5}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_of_the_umask(umask, mode, tmp_path: Path):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a.txt", "content")
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "a.txt", "content")


def test_json_reads_back(tmp_path: Path):
    value = {"flops": 322_918_720, "names": ["a", "ü"], "rate": 0.1, "none": None}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_what_is_altered_is_noticed(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"score": 0.25, 3: (1, 2)})
    whole = path.read_text()
    assert read_json(path) == {"score": 0.25, "3": [1, 2]}
    # Another form of the same values is none of anybody's business.
    path.write_text(json.dumps(json.loads(whole)))
    assert read_json(path) == {"score": 0.25, "3": [1, 2]}
    path.write_text(whole.replace("0.25", "0.65"))
    with pytest.raises(ValueError, match="its digest differs"):
        read_json(path)
    # Files of former versions have none.
    path.write_text('{"score": 0.65}')
    assert read_json(path) == {"score": 0.65}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "can't decode"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "a number above 1e.300"),
        (b"-1" + b"0" * 301, "a number above 1e.300"),
        (b"1e301", "a number above 1e.300"),
        (b'[{"a": 1, "b": 2, "a": 1}]', "'a' appears twice in one object"),
    ],
)
def test_what_is_not_json_is_an_error(content: bytes, reason: str, tmp_path: Path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_json(tmp_path / "a.json")


def test_a_json_file_that_is_a_device_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "endless.json"):
        with pytest.raises(ValueError, match="it is not a regular file"):
            read_json(tmp_path / name)


def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    # A hole, which takes no space on the disk.
    os.truncate(path, files.MOST_BYTES + 1)
    with pytest.raises(ValueError, match="it has more than 512 MiB"):
        read_json(path)


def test_a_pipe_or_a_device_has_no_digest(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="it is not a regular file"):
            file_digest(path)


def test_a_file_that_cannot_be_written_is_named_as_it_will_be_called(tmp_path: Path):
    path = tmp_path / "missing" / "a.txt"
    with pytest.raises(FileNotFoundError) as error:
        write_atomically(path, "whole")
    assert error.value.filename == str(path)
