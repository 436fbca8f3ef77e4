"""What follows a question mark in the argument of a source."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spos._util.errors import UserError, nearest

#: A question mark, a key and an equals sign: other question marks are of a pattern of files.
_QUERY = re.compile(r"\?(?=\w+=)")


def split_query(argument: str, allowed: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Split an argument such as ``PATH?label=kind&test=holdout``.

    Args:
        argument (str): argument of a source.
        allowed (Sequence[str]): keys that it may have.

    Returns:
        What stands before the question mark, and values by key.

    Raises:
        UserError: a key is unknown or given twice, or has no value.

    Example:
        >>> split_query("a?.tar?label=kind", ["label"])
        ('a?.tar', {'label': 'kind'})
        >>> split_query("photos?lable=kind", ["label"])
        Traceback (most recent call last):
        ...
        spos.UserError: unknown '?lable=kind': did you mean 'label'? allowed: label
    """
    place, *rest = _QUERY.split(argument, maxsplit=1)
    values: dict[str, str] = {}
    for part in rest[0].split("&") if rest else ():
        key, equals, value = part.partition("=")
        if key not in allowed:
            raise UserError(f"unknown '?{part}': {nearest(key, allowed)}")
        if not equals or not value or key in values:
            raise UserError(f"'?{rest[0]}': give each of {', '.join(allowed)} at most once")
        values[key] = value
    return place, values
