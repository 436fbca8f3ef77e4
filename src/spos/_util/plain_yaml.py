"""YAML of plain values, without the surprises of YAML 1.1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

#: The most values in a text, counting those that aliases repeat.
MOST_VALUES = 100_000
#: The most characters of a text, which takes seconds to parse.
MOST_CHARACTERS = 1_000_000


def parse_yaml(text: str) -> Any:
    """Parse YAML, plain values alone.

    Numbers are decimal, as in YAML 1.2. YAML 1.1 reads ``0100`` as 64 and ``1:30`` as 90; here they
    are texts, which a setting converts or refuses.

    Raises:
        ValueError: the text is not YAML, gives a key twice, merges keys, is too long, or has too
            many values; the message is the reason, in one line.

    Example:
        >>> parse_yaml("[64, 160, 0100, 1:30]")
        [64, 160, '0100', '1:30']
        >>> parse_yaml("2026-13-01")
        Traceback (most recent call last):
        ...
        ValueError: month must be in 1..12
        >>> parse_yaml("{steps: 1, steps: 2}")
        Traceback (most recent call last):
        ...
        ValueError: steps is given twice
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"more than {MOST_CHARACTERS:,} characters")
    try:
        value = yaml.load(text, _Loader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:
        # Of dates, tags and large numbers, YAML raises whatever Python does.
        raise ValueError(" ".join(str(error).split())) from None
    _count(value)
    return value


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for name, count in names.most_common(1):
            if count > 1:
                raise ValueError(f"{name} is given twice")
        # They are filled in before the values can be counted, and multiply as aliases do.
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise ValueError("merge keys (<<) are not read: write out what they stand for")
        return super().construct_mapping(node, deep)


_NUMBERS = {
    "int": r"[-+]?(?:0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in known if tag.split(":")[-1] not in _NUMBERS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern in _NUMBERS.items():
    _tag = f"tag:yaml.org,2002:{_name}"
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list("-+.0123456789"))


def _count(value: Any) -> None:
    """Refuse aliases that multiply: to show such a value in an error would take for ever."""
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} values, counting what aliases repeat")
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, (list, tuple, set)):
            waiting += one
