"""Typed settings: dataclasses filled from YAML, with errors that name the key."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

import yaml

from spos._util.errors import UserError, nearest

Settings = TypeVar("Settings")


def replace_settings(settings: Settings, values: Mapping[str, Any], section: str) -> Settings:
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
    hints = typing.get_type_hints(type(settings))
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    checked = {}
    for name, value in values.items():
        if name not in names:
            raise UserError(f"unknown setting '{section}.{name}': {nearest(str(name), names)}")
        checked[name] = _convert(value, hints[name], f"{section}.{name}")
    return dataclasses.replace(settings, **checked)  # type: ignore[type-var]


def _convert(value: Any, hint: Any, key: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        for option in typing.get_args(hint):
            try:
                return _convert(value, option, key)
            except UserError:
                continue
        raise UserError(f"{key}: {value!r} is not {_describe(hint)}")
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if isinstance(value, str):
            try:
                value = yaml.safe_load(f"[{value}]")
            except yaml.YAMLError:
                raise UserError(f"{key}: {value!r} is not {_describe(hint)}") from None
        if isinstance(value, (list, tuple)):
            return tuple(_convert(entry, item, key) for entry in value)
        return (_convert(value, item, key),)
    if origin in (dict, Mapping):
        if isinstance(value, Mapping):
            item = typing.get_args(hint)[1]
            return {str(name): _convert(entry, item, key) for name, entry in value.items()}
    elif hint is type(None):
        if value is None:
            return None
    elif hint is float:
        # YAML parses 1e-3 as text: its floats need a point.
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            with suppress(ValueError):
                number = float(value)
                if not math.isnan(number):
                    return number
    elif hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        # YAML parses 2 as a number where a name is wanted; whoever reads the name checks it.
        return str(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{key}: {value!r} is not {_describe(hint)}")


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_describe(option) for option in typing.get_args(hint))
    if origin is tuple:
        return f"a list, each {_describe(typing.get_args(hint)[0])}"
    words = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
    return words.get(hint, "nothing" if hint is type(None) else "a mapping")


def parse_assignments(assignments: typing.Iterable[str]) -> dict[str, Any]:
    """Parse texts such as ``section.key=value`` into nested mappings.

    Args:
        assignments (Iterable[str]): the texts; values are YAML.

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
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"'{text}': the value is not YAML") from None
        section, dot, name = key.partition(".")
        if not dot:
            nested[key] = parsed
        elif isinstance(nested.setdefault(section, {}), dict):
            nested[section][name] = parsed
        else:
            raise UserError(f"'{text}': '{section}' is already set to {nested[section]}")
    return nested


def as_plain(settings: Any) -> dict[str, Any]:
    """A dataclass as values that YAML and JSON can hold.

    Args:
        settings (dataclass): an instance.
    """
    return {name: _plain(value) for name, value in dataclasses.asdict(settings).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value
