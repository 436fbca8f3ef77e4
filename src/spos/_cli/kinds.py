"""Kinds of values on the command line: how they are read, and what a shell completes them to."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from spos._util.errors import UserError
from spos._util.files import refuse_address
from spos._util.registry import Registry


class Count(click.ParamType[Any]):
    """Type of an option that is a number of things, with an error as those of settings."""

    name = "number"

    def __init__(self, most: int, least: int = 1) -> None:
        self.most, self.least = most, least

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int:
        text, flag = str(value), param.opts[0] if param else ""
        if not (text.isascii() and text.isdigit()) or (self.least and not text.strip("0")):
            raise UserError(f"{flag} {text}: must be a whole number, at least {self.least}")
        # The length first: Python does not read thousands of digits.
        if len(text) > 20 or int(text) > self.most:
            raise UserError(f"{flag} {text}: must be a whole number, at most {self.most}")
        return int(text)


class Share(click.FloatRange):
    """Type of an option that is a number of things, parts of them included."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, context)
        if not math.isfinite(number):
            flag = param.opts[0] if param else ""
            raise UserError(f"{flag} {value}: must be a number, at least 0, such as 0.5")
        return number


class Workers(click.ParamType[Any]):
    """Type of an option that is a number of processes, or a Ray cluster."""

    name = "workers"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int | str:
        text = str(value)
        # What is no number, make_workers knows or refuses.
        number = text.isascii() and text.isdigit() and text.strip("0")
        return PROCESSORS.convert(text, param, context) if number else text


class Place(click.ParamType[Any]):
    """Type of an option that is a path, which a shell completes."""

    name = "path"

    def __init__(self, kind: Callable[[str], Any] = str) -> None:
        self.kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if not str(value):
            # Of a variable that is not set; pathlib takes it for this folder.
            if isinstance(param, click.Option):
                leave = "" if param.required else ", or leave the option out"
                raise UserError(f"{param.opts[0]} is empty: give a path{leave}")
            raise UserError(f"{param and param.metavar} is empty: give a path")
        option = isinstance(param, click.Option)
        refuse_address(str(value), str(param and (param.opts[0] if option else param.metavar)))
        # A shell expands no home after --out=.
        return self.kind(os.path.expanduser(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class Name(click.ParamType[Any]):
    """Type of an option that is a name, which a shell completes.

    Which names there are is checked where they are read, with the nearest one in the error.

    Args:
        names (Callable): function that lists the names, which may take a while.
    """

    name = "name"

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.names = names

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def one_of(*names: str) -> Name:
    """Type of an option that is one of some names."""
    return Name(lambda: names)


#: A path as it was given, and as an object.
TEXT, PATH = Place(), Place(Path)
#: A number of things, and one of processes or threads, of which no machine has as many.
COUNT, PROCESSORS = Count(10**6), Count(1024)
WORKERS = Workers()
SHARE = Share(min=0)
#: Names as their registries list them, without torch, which the modules of these import.
SPACE = Name(lambda: Registry[Any]("space", "spos.spaces", "spos.spaces"))
ALGORITHM = Name(
    lambda: Registry[Any]("search algorithm", "spos.search.algorithms", "spos.algorithms")
)
