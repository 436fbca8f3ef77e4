"""What others wrote is safe to print, and no password is shown."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import UserError
from spos._util.text import all_printable, printable, redact

ANY = st.text(st.characters())  # Those that UTF-8 cannot write as well.


@given(ANY)
def test_any_text_is_one_line_that_can_be_written(text: str):
    safe = printable(text)
    assert len(safe.splitlines()) <= 1 and safe.encode().decode() == safe
    assert "\x1b" not in safe and printable(safe) == safe


@pytest.mark.parametrize("text", ["Ölbaum", "猫", "👨‍👩‍👧", "a b\u00a0c", "\\x1b"])
def test_ordinary_names_stay_as_they_are(text: str):
    assert printable(text) == text


def test_texts_in_values_are_printable():
    value = {"a\x1b": ["\udce9", {"b": ("\n", 1, None)}]}
    assert all_printable(value) == {"a\\x1b": ["\\xe9", {"b": ["\\x0a", 1, None]}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql+pymysql://me:secret@host/a", "mysql+pymysql://me:***@host/a"),
        ("mysql://me:sec@r/et@host/a", "mysql://me:***@host/a"),
        ("redis://:secret@host:6379", "redis://:***@host:6379"),
        ("postgresql://host:5432/a?user=me&password=secret&b=1", None),
        ("a://b:secret@c there and a://b:secret@c here", "a://b:***@c there and a://b:***@c here"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str | None):
    assert "secret" not in redact(text)
    assert redact(text) == (shown or text.replace("secret", "***"))
    error = pickle.loads(pickle.dumps(UserError(f"storage {text}\n")))
    assert str(error) == f"storage {redact(text)}\\x0a"


@pytest.mark.parametrize(
    "text",
    [
        *("sqlite:///study.db", "sqlite:////a/b:c@d.db", "postgresql://host:5432/a"),
        *("mysql://me:$PASSWORD@host/a", "mysql://me:${PASSWORD}@host/a", "10:30 me@host"),
    ],
)
def test_what_is_no_password_is_shown(text: str):
    assert redact(text) == text
