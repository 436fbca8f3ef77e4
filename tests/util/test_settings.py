"""Dataclasses filled from text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from spos import UserError
from spos._util.records import to_plain
from spos._util.settings import parse_assignments, replace_settings


@dataclass(frozen=True)
class Settings:
    """One field of every kind."""

    steps: int = 10
    rate: float = 0.1
    name: str = "a"
    fast: bool = False
    split: int | float = 0.1
    limit: int | None = None
    channels: tuple[int, ...] = (1, 2)
    bounds: Mapping[str, float] = field(default_factory=dict)
    broken: Literal["fail", "skip"] = "fail"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("steps", 20, 20),
        ("rate", 1, 1.0),
        ("rate", "1e-3", 1e-3),
        ("name", "b", "b"),
        ("fast", True, True),
        ("split", 500, 500),
        ("split", 0.25, 0.25),
        ("limit", 3, 3),
        ("limit", None, None),
        ("channels", [3, 4, 5], (3, 4, 5)),
        ("channels", "3,4", (3, 4)),
        ("channels", 7, (7,)),
        ("bounds", {"flops": 10}, {"flops": 10.0}),
        ("bounds", {"flops": "3e8"}, {"flops": 3e8}),
    ],
)
def test_a_value_of_the_right_kind_is_taken(name, given, expected):
    value = getattr(replace_settings(Settings(), {name: given}, "run"), name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("steps", "many", "run.steps 'many': must be a valid integer"),
        ("steps", 1.5, "run.steps 1.5: must be a valid integer"),
        ("steps", True, "run.steps True: must not be true or false"),
        ("steps", None, "run.steps None: must be a valid integer"),
        ("rate", "fast", "run.rate 'fast': must be a valid number"),
        ("rate", True, "run.rate True: must not be true or false"),
        ("rate", [0.1], "run.rate [0.1]: must be a valid number"),
        ("rate", math.nan, "run.rate nan: must be a finite number"),
        ("name", True, "run.name True: must not be true or false"),
        ("name", [3], "run.name [3]: must be a valid string"),
        ("fast", "quickly", "run.fast 'quickly': must be true or false"),
        ("fast", 2, "run.fast 2: must be true or false"),
        ("split", "half", "run.split 'half': must be a valid integer or a valid number"),
        ("limit", "none", "run.limit 'none': must be a valid integer"),
        ("channels", [1, "x"], "run.channels 'x': must be a valid integer"),
        ("channels", {"a": 1}, "run.channels {'a': 1}: must be a valid tuple"),
        ("channels", "3,]4", "run.channels '3,]4': must be a valid tuple"),
        ("bounds", [1], "run.bounds [1]: must be values by name such as {flops: "),
        ("bounds", {"flops": "many"}, "run.bounds 'many': must be a valid number"),
        # As YAML reads no.
        ("broken", False, "unknown run.broken 'False': did you mean 'fail'? allowed: fail, skip"),
        ("stps", 3, "unknown setting 'run.stps': did you mean 'steps'? allowed: steps, rate"),
        (5, 3, "unknown setting 'run.5': allowed: steps, rate"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_in_one_line(name, given, says):
    with pytest.raises(UserError) as raised:
        replace_settings(Settings(), {name: given}, "run")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_original_is_left_as_it_is():
    settings = Settings()
    assert replace_settings(settings, {"steps": 3}, "run") == Settings(steps=3)
    assert replace_settings(settings, {}, "run") == settings == Settings()


def test_settings_survive_yaml():
    settings = Settings(channels=(3, 4), bounds={"flops": 3e8}, rate=1e-5, limit=4)
    text = yaml.safe_dump(to_plain(settings))
    assert replace_settings(Settings(), yaml.safe_load(text), "run") == settings


def test_assignments_become_nested_values():
    texts = ["run.steps=20", "run.rate=1e-3", "seed=1", "run.channels=[1, 2]", "name=a=b", "none="]
    assert parse_assignments(texts) == {
        "run": {"steps": 20, "rate": "1e-3", "channels": [1, 2]},
        "seed": 1,
        "name": "a=b",
        "none": None,
    }
    assert parse_assignments(["run.steps=1", "run.steps=2"]) == {"run": {"steps": 2}}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["steps"], "'steps' is not a setting: write KEY=VALUE"),
        (["=3"], "'=3' is not a setting"),
        (["run.steps=["], "'run.steps=[': the value is not YAML"),
        (["run.steps=" + "[" * 3000], "the value is not YAML (it is nested too deeply)"),
        (["run.steps=" + "9" * 5000], "the value is not YAML (Exceeds the limit"),
        (["run.steps=2026-13-01"], "the value is not YAML (month must be in 1..12)"),
        (["run.steps=!!bool x"], "the value is not YAML ('x')"),
        (["run=3", "run.steps=4"], "'run.steps=4': 'run' is already set to 3"),
        (["run=", "run.steps=4"], "'run.steps=4': 'run' is already set to None"),
    ],
)
def test_what_is_not_an_assignment_is_refused(texts, says):
    with pytest.raises(UserError) as raised:
        parse_assignments(texts)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
