"""Quantities as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import UserError
from spos.cost.units import BYTES, COUNT, TIME, Unit


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("330M", 330e6),
        ("3.5m", 3.5e6),
        (" 1.2 G ", 1.2e9),
        ("40k", 40e3),
        ("2T", 2e12),
        ("250000", 250_000),
        ("250_000", 250_000),
        ("3.3e8", 3.3e8),
        ("3.3e+08", 3.3e8),
        (7, 7),
        (1.5, 1.5),
    ],
)
def test_a_quantity_is_read(text, value):
    assert COUNT.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", "M", "-3M", "0", "330MB", "1,5M", "3 30", "nan", 0, -1, math.nan, math.inf]
)
def test_what_is_not_a_quantity_is_refused_by_name(text):
    with pytest.raises(UserError) as raised:
        COUNT.parse(text, "--max-flops")
    assert str(raised.value).startswith(f"--max-flops '{text}' is not a positive number such as")


def test_a_number_beyond_all_others_is_refused_in_a_line():
    with pytest.raises(UserError, match=r"^--max-flops '10{39}' is not ") as raised:
        COUNT.parse(10**400, "--max-flops")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("unit", "text", "value"),
    [
        (BYTES, "2MB", 2e6),
        (BYTES, "2m", 2e6),
        (BYTES, "512", 512),
        (BYTES, "1.5 kb", 1500),
        (TIME, "350us", 350e3),
        (TIME, "0.35 µs", 350),
        (TIME, "4e-3s", 4e6),
        (TIME, 12, 12),
    ],
)
def test_sizes_and_times_are_read_in_their_units(unit: Unit, text, value):
    assert unit.parse(text) == pytest.approx(value)
    assert unit.parse(unit.format(value)) == pytest.approx(value, rel=5e-4)


@pytest.mark.parametrize(
    ("unit", "text", "told"),
    [
        (TIME, "4", "is not a time such as 4ms"),
        (TIME, "4MB", "is not a time such as 4ms"),
        (BYTES, "4ms", "is not a positive size such as 2MB"),
    ],
)
def test_what_is_in_another_unit_is_refused(unit: Unit, text, told):
    with pytest.raises(UserError, match=told):
        unit.parse(text, "--max")


@given(st.floats(1, 1e15))
def test_what_is_written_reads_back_to_four_figures(value):
    text = COUNT.format(value)
    assert math.isclose(COUNT.parse(text), value, rel_tol=0.5 if value < 1000 else 6e-4)
    assert len(text) <= 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (322_918_720, "322.9M"),
        (3_558_464, "3.558M"),
        (1000, "1.000K"),
        (999, "999"),
        (0, "0"),
        (999_999, "1.000M"),
        (-2_500_000, "-2.500M"),
    ],
)
def test_a_quantity_is_written_with_four_figures(value, text):
    assert COUNT.format(value) == text
