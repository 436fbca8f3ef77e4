"""Which errors are reported in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from spos._util.errors import UserError, explain


def test_errors_of_files_name_the_file(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(OSError, match="No such file") as opened:
        missing.read_text()
    assert explain(opened.value) == f"{missing}: No such file or directory"
    with pytest.raises(OSError, match="No such file") as opened:
        os.stat(os.fsencode(missing))
    assert explain(opened.value) == f"{missing}: No such file or directory"
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="directory") as renamed:
        os.replace(tmp_path / "file", tmp_path / "folder")
    assert explain(renamed.value) == f"{tmp_path / 'folder'}: Is a directory"
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space") as written:
        os.write(full, b"x")
    os.close(full)
    assert explain(written.value) == "a file cannot be read or written: No space left on device"


def test_memory_that_torch_cannot_have_is_reported() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 55, dtype=torch.uint8)
    line = explain(error.value)
    assert line is not None
    assert line.startswith("out of memory (")
    assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("could not create a primitive"),
        RuntimeError("could not create a memory object"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError("libgomp.so.1: failed to map segment from shared object"),
    ],
)
def test_memory_that_a_library_cannot_have_is_reported(error: Exception) -> None:
    assert str(explain(error)).startswith("out of memory (")


def test_a_thread_or_process_too_many_is_reported() -> None:
    refused = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    for error in (RuntimeError("can't start new thread"), refused):
        assert str(explain(error)).startswith("no further thread or process can be started")
    of_a_file = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable", "study.db")
    assert str(explain(of_a_file)).startswith("study.db: ")


def test_a_mistake_is_one_line_and_an_error_of_the_program_is_not() -> None:
    assert explain(UserError("--seed x")) == "--seed x"
    for error in (KeyError("weight"), RuntimeError("shapes differ"), AssertionError()):
        assert explain(error) is None
