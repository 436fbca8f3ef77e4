"""What docstrings refer to is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import spos

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?(spos(?:\.\w+)+)`")
SOURCES = sorted(Path(spos.__file__).parent.rglob("*.py"))


def find(name: str) -> Any:
    """What a name stands for: of a package that is a function too, the package."""
    path, _, rest = name.rpartition(".")
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return getattr(find(path), rest)


def test_names_in_docstrings_exist() -> None:
    named = {(name, path) for path in SOURCES for name in ROLE.findall(path.read_text("utf-8"))}
    assert len(named) > 50
    wrong = []
    for name, path in sorted(named):
        try:
            find(name)
        except AttributeError:
            wrong.append(f"{path.name}: {name}")
    assert wrong == []
