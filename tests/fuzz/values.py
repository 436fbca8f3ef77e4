"""Values that nobody means to give, and damage that nobody does to a file on purpose."""

from __future__ import annotations

import json
from random import Random
from typing import Any

#: Numbers, as text: too small, too large, not finite, and of other notations.
NUMBERS = (
    *("0", "-1", "1", "2", "3", "-0", "0.5", "1.0", "1e3", "1e308", "1e309", "-1e309", "1e-320"),
    *("nan", ".nan", "inf", ".inf", "-.inf", "0x10", "0b1", "1_000", "12:30:45", "٣", "²", "½"),
    *("9" * 19, "9" * 20, "9" * 400, "-" + "9" * 5000, "1K", "330M", "-3M", "1ms", "1e400M", "1%"),
)
#: Texts: empty, long, of other alphabets and encodings, of YAML, JSON, shells and terminals.
TEXTS = (
    *(
        "",
        " ",
        "\n",
        "\t",
        ",",
        ",,",
        "=",
        "==",
        ":",
        ".",
        "..",
        "/",
        "-",
        "--",
        "~",
        "*",
        "#",
        "'",
    ),
    *(
        "a",
        "a" * 5000,
        "a,b",
        "1,2",
        "1,,2",
        "1,x",
        "16,24",
        "[",
        "]",
        "{",
        "[" * 3000,
        "{a: " * 500,
    ),
    *("[]", "{}", "[1, 2]", "{a: 1}", "{1: 2}", "[[1]]", "null", "true", "False", "yes", "&a [*a]"),
    *("*a", "!!python/object/apply:os.getcwd []", "!!binary x", "!!set {1}", "2026-13-01", "? a"),
    *(
        "2026-01-01",
        "a: b: c",
        "<<: 1",
        "\udcff",
        "\udc80\udcfe",
        "😀",
        "é",
        "ﬁ",
        "\u202e",
        "\x1b[31m",
    ),
    *("\x07", "\r", "%s%n", "{0}", "{", "$HOME", "${A}", "`id`", "$(id)", "../..", "//", "con.txt"),
    *(
        "/dev/null/at/all",
        "/dev/null",
        "/proc/self/status",
        "/sys",
        "missing",
        "a=b",
        "a.b=c",
        "run=1",
    ),
    *(
        "flops",
        "flops=",
        "flops=1M",
        "=1M",
        "flops=1M,2M",
        "flops=nan",
        "params=1,1",
        "latency=1ms",
    ),
    *(
        "mysql://me:secret@host/db",
        "sqlite:///",
        "sqlite:////dev/null/a.db",
        "http://",
        "://",
        "$A",
    ),
)
#: Values of JSON and YAML of any type.
PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 2**31, 2**63, 2**64, 10**30, 10**400, -(10**400)),
    *(0.0, -0.5, 0.5, 1e308, float("nan"), float("inf"), float("-inf"), 5e-324),
    *(
        "",
        "a",
        "a" * 5000,
        "\x00",
        "\x1b[31m",
        "\udcff",
        "😀",
        "1",
        "nan",
        "0,0,0",
        "9,9,9",
        "-1,0,0",
    ),
    *(
        [],
        [1],
        [[]],
        ["a"],
        [None],
        [0] * 2000,
        {},
        {"a": 1},
        {"": {}},
        {"flops": -1},
        {"flops": {}},
    ),
)


def nested(random: Random) -> Any:
    """A value within many lists or mappings."""
    value: Any = random.choice(PLAIN)
    for _ in range(random.choice((2, 10, 200))):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def number_or_text(random: Random) -> str:
    return random.choice(NUMBERS if random.random() < 0.5 else TEXTS)


def damage(content: bytes, random: Random) -> bytes:
    """Alter the bytes of a file: cut, flipped, replaced, repeated, moved."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        place = random.randrange(len(changed) + 1)
        # The beginning of a file decides what it is.
        place = min(place, random.choice((len(changed), 64)))
        kind = random.randrange(7)
        if kind == 0:
            del changed[place:]
        elif kind == 1 and place < len(changed):
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 2:
            changed[place : place + random.choice((1, 4, 16))] = random.randbytes(4)
        elif kind == 3:
            changed[place:place] = changed[: random.choice((1, 100, len(changed)))]
        elif kind == 4:
            del changed[place : place + random.choice((1, 8, 512))]
        elif kind == 5:
            changed[place:place] = random.choice(
                (b"\0" * 512, b"\xff", b"[" * 5000, b"9" * 5000, b"-", b"\n", b'"', b"}", b"nan")
            )
        elif kind == 6:
            changed = bytearray(
                random.choice((b"", b"\0", b"null", b"[]", b"{}", b"0", b"\xff\xfe"))
            )
    return bytes(changed)


def alter(value: Any, random: Random) -> Any:
    """Alter one value somewhere within a value of JSON: another type, missing, swapped, nested."""
    if isinstance(value, (dict, list)) and value and random.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = random.choice(keys)
        changed: Any = value.copy()
        kind = random.random()
        if kind < 0.08:
            del changed[key]
        elif kind < 0.16:
            other = random.choice(keys)
            changed[key], changed[other] = changed[other], changed[key]
        elif kind < 0.2 and isinstance(value, dict):
            changed[random.choice(("", "a", "format", "digest"))] = random.choice(PLAIN)
        elif kind < 0.24 and isinstance(value, list):
            changed = changed * random.choice((2, 100))
        else:
            changed[key] = alter(value[key], random)
        return changed
    if isinstance(value, (int, float)) and random.random() < 0.4:
        return random.choice((-value, value + 1, value - 1, value * 10**9, repr(value)[:99]))
    if isinstance(value, str) and random.random() < 0.3:
        return random.choice((value[1:], value + value, value.upper(), value[::-1], value + ","))
    return nested(random) if random.random() < 0.1 else random.choice(PLAIN)


def as_json(value: Any) -> bytes:
    """JSON as Python writes it, NaN and unpaired surrogates included."""
    return json.dumps(value).encode()
