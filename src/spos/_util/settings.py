"""Typed settings: dataclasses whose types hold their ranges, with errors that name the key."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from spos._util.errors import UserError, nearest
from spos._util.plain_yaml import parse_yaml
from spos._util.text import redact

Filled = TypeVar("Filled")

#: Numbers at most, by their types: libraries count with 64 bits, and train with float32.
LARGEST: dict[type, float] = {int: 10**18, float: 1e37}
#: Side of an image in pixels at most: no larger size can be meant.
LARGEST_SIDE = 1 << 16

# YAML parses 2 as a number where a name is wanted; whoever reads the name checks it.
_CONFIG = ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_RULES = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "dict_type": "values by name such as {{flops: 330M}}",
}


class Settings:
    """Base of frozen dataclasses that check their fields against their types.

    Example:
        >>> from spos.run.settings import RunSettings
        >>> RunSettings(seed=-1)
        Traceback (most recent call last):
        ...
        spos.UserError: run.seed -1: must be at least 0
    """

    #: What stands before the names of the fields in an error.
    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, adapter in _adapters(type(self)).items():  # type: ignore[arg-type]
            value = _check(adapter, getattr(self, name), self.section, name)
            object.__setattr__(self, name, value)


@functools.cache
def _adapters(kind: Any) -> dict[str, TypeAdapter[Any]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: TypeAdapter(hints[name], config=_CONFIG) for name in names}


def _check(adapter: TypeAdapter[Any], value: Any, *parts: str) -> Any:
    """Convert the value of a field to its type, or say in one line what is allowed."""
    key, wanted = ".".join(filter(None, parts)), adapter.core_schema["type"]
    if isinstance(value, bool) and wanted not in ("bool", "literal"):
        raise UserError(f"{key} {value}: must not be true or false")
    if wanted == "tuple" and not isinstance(value, (list, tuple, Mapping)):
        value = _as_list(value)
    try:
        valid = adapter.validate_python(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    else:
        largest = LARGEST.get(type(valid))
        if largest is not None and largest < valid != math.inf:
            shown = "of hundreds of digits" if valid > 1e300 else valid
            raise UserError(f"{key} {shown}: must be at most {largest:g}")
        return valid
    given, context = errors[0]["input"], errors[0].get("ctx", {})
    if wanted == "bool":
        raise UserError(f"{key} {given!r}: must be true or false")
    if errors[0]["type"] == "literal_error":
        known = re.findall("'(.*?)'", context["expected"])
        raise UserError(f"unknown {key} '{given}': {nearest(given, known)}")
    # A union has an error for each of its types.
    rules = (_RULES.get(e["type"], e["msg"].removeprefix("Input should be ")) for e in errors)
    allowed = " or ".join(dict.fromkeys(rule.split(",")[0] for rule in rules))
    raise UserError(f"{key} {given!r}: must be {allowed.format(**context)}")


def _as_list(value: Any) -> Any:
    """A list from its short forms ``3,4`` and ``3``."""
    try:
        return parse_yaml(f"[{value}]") if isinstance(value, str) else [value]
    except ValueError:
        return value


def replace_settings(settings: Filled, values: Mapping[str, Any], section: str) -> Filled:
    """A copy of a dataclass with some fields replaced, each checked against its type.

    Args:
        settings (dataclass): an instance; not changed.
        values (Mapping[str, Any]): new values by field name, as parsed from YAML.
        section (str): name of the dataclass in an error.

    Raises:
        UserError: a field is unknown, or a value has another type.

    Example:
        >>> from spos.training.recipe import Recipe
        >>> recipe = Recipe(steps=10, batch_size=2, learning_rate=0.1)
        >>> replace_settings(recipe, {"steps": 20}, "supernet").steps
        20
    """
    adapters = _adapters(type(settings))  # type: ignore[arg-type]
    checked = {}
    for name, value in values.items():
        if name not in adapters:
            raise UserError(f"unknown setting '{section}.{name}': {nearest(str(name), adapters)}")
        checked[name] = _check(adapters[name], value, section, name)
    try:
        return dataclasses.replace(settings, **checked)  # type: ignore[type-var]
    except UserError as error:
        raise UserError(str(error) if section in str(error) else f"{section}: {error}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse texts such as ``section.key=value`` into nested mappings.

    Raises:
        UserError: a text is not an assignment, or its value is not YAML.

    Example:
        >>> parse_assignments(["supernet.steps=20", "seed=1"])
        {'supernet': {'steps': 20}, 'seed': 1}
    """
    nested: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(
                f"'{text}' is not a setting: write KEY=VALUE, such as supernet.steps=2000"
            )
        try:
            parsed = parse_yaml(value)
        except ValueError as error:
            raise UserError(f"'{text}': the value is not YAML ({error})") from None
        section, dot, name = key.partition(".")
        if not dot:
            nested[key] = parsed
        elif isinstance(nested.setdefault(section, {}), dict):
            nested[section][name] = parsed
        else:
            raise UserError(f"'{text}': '{section}' is already set to {nested[section]}")
    return nested


def show_value(value: Any) -> str:
    """Show the value of a setting much as on the command line.

    Example:
        >>> show_value([16, 32]), show_value({"flops": 3e6}), show_value(0.5), show_value([])
        ('16,32', 'flops=3000000', '0.5', 'none')
    """
    if isinstance(value, Mapping):
        return ",".join(f"{name}={show_value(one)}" for name, one in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ",".join(map(show_value, value)) or "none"
    return f"{value:.12g}" if isinstance(value, float) else redact(str(value))
