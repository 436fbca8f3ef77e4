"""What an error line ends with."""

from __future__ import annotations

import errno

from spos._util.errors import explain, nearest


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
