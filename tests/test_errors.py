"""What an error line ends with."""

from __future__ import annotations

from spos.errors import nearest


def test_what_was_given_need_not_be_text():
    assert nearest(3, ["1", "2"]) == "allowed: 1, 2"
