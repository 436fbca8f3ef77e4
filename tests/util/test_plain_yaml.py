"""YAML without surprises."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spos._util.plain_yaml import parse_yaml

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
    | st.from_regex(r"[-+0-9.:_exob]{1,8}", fullmatch=True),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab0:1"), inner, max_size=4)
    ),
)


@given(PLAIN)
def test_what_is_written_is_read(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-1_000", -1000),
        ("0", 0),
        ("0100", "0100"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("0x10", "0x10"),
        ("0b1", "0b1"),
        ("1.5e+3", 1500.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("no", False),
    ],
)
def test_numbers_are_decimal(text: str, value: object) -> None:
    read = parse_yaml(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("text", ["a: 1\na: 2", "x: {a: 1, 'a': 2}", "[{b: 1, b: 1}]"])
def test_a_key_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is given twice"):
        parse_yaml(text)


@pytest.mark.parametrize("depth", [5, 9, 30])
def test_aliases_do_not_expand_without_end(depth: int) -> None:
    rows = ["a0: &a0 [z]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth + 1)]
    with pytest.raises(ValueError, match="more than 100,000 values"):
        parse_yaml("\n".join(rows))
    assert parse_yaml("a: &a [1]\nb: *a") == {"a": [1], "b": [1]}


@pytest.mark.parametrize("text", ["a: &a {b: 1}\nc: {<<: *a}", "{!!merge x: {a: 1}}"])
def test_merge_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="merge keys"):
        parse_yaml(text)


def test_merge_keys_do_not_expand_without_end() -> None:
    rows = ["a0: &a0 {z: 1}"]
    rows += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    with pytest.raises(ValueError, match="merge keys"):
        parse_yaml("\n".join(rows))


def test_a_text_that_takes_minutes_to_parse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"more than 1,000,000 characters"):
        parse_yaml("# " + "x" * 10**6)
