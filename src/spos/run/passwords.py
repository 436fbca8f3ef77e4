"""Passwords in addresses, which are read from the environment and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos._util.errors import UserError
from spos._util.text import redact


def refuse_password(given: Mapping[str, Any]) -> None:
    """Refuse settings whose storage of evaluations, or source of images, has a password in it.

    Args:
        given (Mapping): settings by section.

    Raises:
        UserError: it has one.

    Example:
        >>> refuse_password({"constraint": {"storage": "mysql://me:secret@host/studies"}})
        Traceback (most recent call last):
        ...
        spos.UserError: constraint.storage mysql://me:***@host/studies has a password, which is \
not kept on disk; name an environment variable in its place: 'mysql://me:$PASSWORD@host/studies'
    """
    # An address is one word, whatever is in it, and one whose scheme was left out is no path.
    address = "%20".join(str(given.get("constraint", {}).get("storage", "")).split(" "))
    scheme = "" if "://" in address or "@" not in address else "://"
    if address.startswith("//"):
        scheme = ":"
    shown = redact(f"{scheme}{address}").removeprefix(scheme)
    if "***" in shown:
        raise UserError(
            f"constraint.storage {shown} has a password, which is not kept on disk; name an "
            f"environment variable in its place: '{shown.replace('***', '$PASSWORD')}'"
        )
    source = str(given.get("data", {}).get("source", ""))
    # What follows the name of a source of one's own may be an address as well.
    if "***" in (shown := redact(source)) and "***" not in source:
        raise UserError(
            f"data.source {shown} has a password, which is not kept on disk; a source of your own "
            "can read it from an environment variable"
        )
