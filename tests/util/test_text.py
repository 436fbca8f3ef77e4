"""What others wrote is safe to print, and no password is shown."""

from __future__ import annotations

import pickle
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

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
        ("mysql://my own:secret@host/a", "mysql://my own:***@host/a"),
        ("mysql://me:my secret@host/a is down", "mysql://me:***@host/a is down"),
        ("mysql://m?e:secret@host/a", "mysql://m?e:***@host/a"),
        ("mysql://m/e:secret@host/a", "mysql://m/e:***@host/a"),
        ("mysql://me@work:secret@host/a", "mysql://me@work:***@host/a"),
        ("mysql://me:secret is down", "mysql://me:*** is down"),
        ("mysql://me:1secret/a", "mysql://me:***/a"),
        ("mysql://host/a?api_key=secret&b=1", None),
        ("mysql://host/a?auth=secret is down", None),
        ("jdbc:mysql://host/a;password=secret;user=me", None),
        ("host=a password=secret dbname=b", None),
        ("postgresql://host/a?options=-c%20password=secret&b=1", None),
        ("postgresql://host/a?options=-c%20password%3Dsecret&b=1", None),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dsecret is down", None),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3DODBC+18%3BPwd%3Dsecret%3BUID%3Dme&b=1", None),
        (
            "mssql+pyodbc:///?odbc_connect=UID=me;PWD=my+secret%3BServer=a",
            "mssql+pyodbc:///?odbc_connect=UID=me;PWD=***%3BServer=a",
        ),
        ("mysql://host/a?credential=secret&b=1", None),
        ("mysql://host/a#password=secret is down", None),
        (
            "return character(s) in header value: 'Bearer my secret\\r')",
            "return character(s) in header value: 'Bearer ***')",
        ),
        ("header b'Bearer secret' is refused", None),
        ("hf:https://secret@host/a is down", None),
        ("https://host/a?X-Amz-Signature=secret&sig=secret&b=1", None),
        ("Authorization: Bearer secret is refused", None),
        ("--init https:/me:secret@host/a: no such file", None),
        ("--init https:/me@corp:secret@host/a: no such file", None),
        ("mysql://me@corp:secret is cut", None),
        ("mysql://host/a?pw=secret&b=1", None),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str | None):
    assert "secret" not in redact(text)
    assert redact(text) == (shown or text.replace("secret", "***"))
    error = pickle.loads(pickle.dumps(UserError(f"storage {text}\n")))
    assert str(error) == f"storage {redact(text)}\\x0a"


@given(st.text("ab1:@/?$[]&=%* "))
def test_what_sqlalchemy_takes_for_a_password_is_not_shown(rest: str):
    address = f"mysql://{rest}".replace(" ", "%20")
    with suppress(ArgumentError, ValueError):
        password = make_url(address).password or ""
        named = re.fullmatch(r"\$\{?\w+\}?", password)
        assert not password or named or "***" in redact(address)


@pytest.mark.parametrize(
    "text",
    [
        *("sqlite:///study.db", "sqlite:////a/b:c@d.db", "postgresql://host:5432/a"),
        *("mysql://me:$PASSWORD@host/a", "mysql://me:${PASSWORD}@host/a", "10:30 me@host"),
        *("mysql://host:3306/a is down: ask me@host", "http://[::1]:80/a", "ray://HOST:PORT"),
        *("mssql://host/?odbc_connect=PWD%3D$PASSWORD%3BUID%3Dme", "a?next=password%20reset"),
        *("https://host/a@b", "https://$TOKEN@host", "a?design=b&signal=c"),
    ],
)
def test_what_is_no_password_is_shown(text: str):
    assert redact(text) == text
