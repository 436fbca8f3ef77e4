"""Texts that others wrote, such as names of files and addresses: safe to print, without secrets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

#: Characters of the longest name of a folder, for file systems that have 255 bytes for one.
LONGEST_NAME = 200
#: What a terminal obeys or UTF-8 cannot write: control characters, those that turn the direction of
#: a line, and bytes of file names that are not UTF-8.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: The password in the address of a database, unless it names an environment variable; it may have
#: spaces and slashes in it, as the name before it.
_PASSWORD = re.compile(
    r"(://(?!/)[^:\n]*:)(?!\$\{?\w+\}?@)(?!\s)(?!\d{1,5}(?:[/?][^\s@]*)?(?:[\s,;)]|$))"
    r"(?:(?!\s\S*://).)+(?=@)"
)
#: What stands in the place of a port and is none: a password that no host follows.
_NO_PORT = re.compile(r"(://[^\s/:?\[]*:)(?!\d+(?:[/?,:;)}'\"\s]|$)|PORT\b|[$*]|\S*@)[^\s/?]+")
#: The password in an address that a path was made of, which leaves one slash of two.
_IN_PATH = re.compile(
    r"(?i)(\b(?!folder:)[a-z][a-z0-9+.-]+:/[^\s/:]*:)(?!\$\{?\w+\}?@|\*\*\*@)\S+(?=@)"
)
_PARAMETER = re.compile(
    r"(?i)([?&](?:[^\s=&]*(?:pass|pwd|secret|token|credential|signature|api_?key|access_?key)"
    r"[^\s=&]*|auth|key|sig|pw)=)"
    r"(?!\$)[^\s&]+"
)
#: The same where other marks than those of an address stand between parameters, as they are or as
#: escapes: the connection string of a driver may be one parameter.
_FIELD = re.compile(
    r"(?i)((?:^|[\s;=+#?&]|%20|%3B|%26)\w*(?:password|passwd|pwd|secret)(?:=|%3D))(?!\$|%24)"
    r"(?:(?!%3B|%26)[^\s;&])+"
)
#: A token in the place of a name, which servers of the web take as well.
_TOKEN = re.compile(r"(?i)(\bhttps?://)(?!\$|\*\*\*@)[^\s/:@?#]+(?=@)")
#: The token of an HTTP header, which libraries quote when it has characters that a header may not
#: have; in quotation marks, everything up to the closing one.
_HEADER = re.compile(r"(\bBearer )(?:(?<=['\"]Bearer )[^'\"]+|[^\s'\"]+)")


def printable(text: str) -> str:
    """A text in one line with every character that is not safe to print written as an escape.

    Example:
        >>> printable("café"), printable("caf\\udce9"), printable("\\x1b[31mred")
        ('café', 'caf\\\\xe9', '\\\\x1b[31mred')
    """
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    # A byte of a file name that is not UTF-8 is a character of this block.
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def all_printable(value: Any) -> Any:
    """A value of JSON with all of its texts printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, (list, tuple)):
        return [all_printable(one) for one in value]
    if isinstance(value, dict):
        return {all_printable(key): all_printable(one) for key, one in value.items()}
    return value


def redact(text: str) -> str:
    """A text without the passwords of the addresses and the tokens of the headers in it.

    Example:
        >>> redact("storage mysql://bob:secret@host/db cannot be opened")
        'storage mysql://bob:***@host/db cannot be opened'
        >>> redact("mysql://bob:$PASSWORD@host/db"), redact("sqlite:///study.db")
        ('mysql://bob:$PASSWORD@host/db', 'sqlite:///study.db')
    """
    for secret in (_PASSWORD, _IN_PATH, _NO_PORT, _PARAMETER, _FIELD, _TOKEN, _HEADER):
        text = secret.sub(r"\1***", text)
    return text


def first_few(names: Sequence[str]) -> str:
    """The first of several names, and how many there are besides.

    Example:
        >>> first_few(["a", "b"]), first_few(list("abcde"))
        ('a, b', 'a, b, c and 2 more')
    """
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def folder_name(parts: Iterable[str]) -> str:
    """The name of a folder of what is in it, which may be of any length.

    Example:
        >>> folder_name(["folder:my/photos", "60M flops"]), len(folder_name(["a" * 5000]))
        ('folder-my-photos-60M-flops', 153)
    """
    name = re.sub(r"[^A-Za-z0-9._]+", "-", " ".join(parts)).strip("-.")
    if len(name) <= LONGEST_NAME:
        return name
    # Two long ones must not be one.
    return f"{name[:140]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
