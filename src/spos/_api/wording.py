"""Messages that name options of the command line, in terms of a function's arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar

from spos._util.errors import UserError

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

#: Options whose argument has another name.
_OTHERWISE = {"space": "model"}


def in_python(text: str, arguments: Collection[str]) -> str:
    """A message about arguments in place of options; options without an argument stay.

    Example:
        >>> in_python("--time 1h: it was planned for 2h; give another --out", ["time", "out"])
        'time 1h: it was planned for 2h; give another out='
        >>> in_python("give it with --on-broken skip", ["time", "out"])
        'give it with --on-broken skip'
        >>> in_python("runs/a--out: no such folder", ["time", "out"])
        'runs/a--out: no such folder'
    """

    def argument(found: re.Match[str]) -> str:
        option = found[1].replace("-", "_")
        name = _OTHERWISE.get(option, option)
        if name not in arguments:
            return found[0]
        # What was given stands at the beginning, with its value.
        return name if found.start() == 0 else f"{name}="

    return re.sub(r"(?<![\w/.-])--([a-z]+(?:-[a-z]+)*)\b", argument, text)


def told_in_python(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Let a function raise the mistakes of its arguments by their names."""
    arguments = inspect.signature(function).parameters

    @wraps(function)
    def wrapped(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            text = str(error)
            told = in_python(text, arguments)
            if told == text:
                raise
            raise UserError(told) from error.__cause__

    return wrapped
