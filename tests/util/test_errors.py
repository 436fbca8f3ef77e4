"""What an error line ends with."""

from __future__ import annotations

import errno
import os
import signal

import pytest
from torch.utils.data import DataLoader

from spos._util.errors import explain, nearest


class Killed:
    """Images whose process is killed, as the system does where memory runs out."""

    def __len__(self):
        return 4

    def __getitem__(self, at):
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_given_need_not_be_text():
    assert nearest(3, ["1", "2"]) == "did you mean '2'? allowed: 1, 2"
    assert nearest(3, ["one", "two"]) == "allowed: one, two"
    assert nearest(None, ["1", "2"]) == "allowed: 1, 2"


def test_what_is_allowed_need_not_be_anything():
    assert nearest("3", []) == "there is none"


def test_too_many_open_files_are_told_with_what_helps():
    # As of a pipe between processes, which has no name.
    line = explain(OSError(errno.EMFILE, "Too many open files"))
    assert line == "Too many open files; allow more, such as by ulimit -n 4096"


def test_a_killed_process_that_decodes_images_is_told_in_one_line():
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Killed(), num_workers=1))
    line = explain(caught.value)
    assert line.startswith("a process that decodes images has ended (DataLoader worker (pid")
    assert "rerun the same command" in line and "\n" not in line
