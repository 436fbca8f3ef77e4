"""The facts of a model file, written and read."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import UserError
from spos._util.text import printable
from spos.export.metadata import Metadata

FACTS = Metadata("0,1", "plain", 3, 32, 32, 32, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), ("a", "b"), 2)


@given(
    names=st.lists(st.text(), min_size=1, max_size=5),
    mean=st.floats(0, 1),
    deviation=st.floats(1e-6, 1),
    side=st.integers(1, 1000),
)
def test_what_is_written_is_read(names: list[str], mean: float, deviation: float, side: int):
    facts = dataclasses.replace(
        FACTS,
        channels=1,
        mean=(mean,),
        std=(deviation,),
        image_size=side,
        classes=tuple(names),
        outputs=len(names),
    )
    strings = facts.to_strings()
    assert all(isinstance(value, str) for value in strings.values())
    read = Metadata.from_strings(json.loads(json.dumps(strings)))
    assert read == dataclasses.replace(facts, classes=tuple(map(printable, names)))


@pytest.mark.parametrize(
    ("name", "read"),
    [('"\\u001b[31m"', "\\x1b[31m"), ('"\\ud800"', "\\ud800"), ('"a\\nb"', "a\\x0ab")],
)
def test_names_are_safe_to_print_whoever_wrote_the_file(name: str, read: str):
    strings = {**FACTS.to_strings(), "classes": f'[{name}, "b"]'}
    assert Metadata.from_strings(strings).classes == (read, "b")


def test_values_are_not_classes():
    facts = dataclasses.replace(FACTS, classes=(), outputs=4)
    assert not Metadata.from_strings(facts.to_strings()).classifies


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"spos_format": None}, "net is not a model of spos"),
        ({"spos_format": "2"}, "net: its metadata is of version 2, this spos reads 1"),
        ({"classes": None}, "net is damaged"),
        ({"classes": "[1, 2]"}, "classes.0: Input should be a valid string, not 1"),
        ({"classes": '["a"]'}, "1 classes, 2 outputs"),
        ({"channels": "2"}, "2 channels, 3 means"),
        ({"std": "[1.0]"}, "3 channels"),
        ({"image_size": "0"}, "image_size: Input should be greater than 0, not 0"),
        ({"image_size": '"8"'}, "image_size: Input should be a valid integer, not '8'"),
        ({"mean": "[0.1"}, "net is damaged"),
        ({"mean": "[" * 100_000}, "net is damaged: its metadata is not JSON"),
        ({"outputs": "1" * 5000}, "net is damaged: its metadata is not JSON"),
        ({"mean": "[" * 900 + "]" * 900}, "net is damaged"),
    ],
)
def test_other_facts_are_one_line(change: dict[str, str | None], told: str):
    merged = {**FACTS.to_strings(), **change}
    strings = {name: value for name, value in merged.items() if value is not None}
    with pytest.raises(UserError, match=told) as caught:
        Metadata.from_strings(strings, "net")
    assert "\n" not in str(caught.value)
