"""The page of the public API: its names exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8")


def listed() -> list[tuple[str, str]]:
    """Each name with the module before it."""
    pairs = []
    for line in PAGE.splitlines():
        if not line.startswith("| `spos"):
            continue
        module, names = re.findall(r"`([^`]+)`", line.split("|")[1])[0], line.split("|")[2]
        for name in re.findall(r"`([^`]+)`", names):
            if name.startswith("spos."):
                # A sub-module whose names follow, or a name with its module.
                module, name = (name, "") if import_it(name) else tuple(name.rsplit(".", 1))
            if name:
                pairs.append((module, name))
    return pairs


def import_it(name: str) -> bool:
    try:
        import_module(name)
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize(("module", "name"), listed())
def test_a_listed_name_is_there(module: str, name: str) -> None:
    assert getattr(import_module(module), name) is not None


def test_what_a_package_hands_on_is_listed() -> None:
    known = set(listed())
    rooms = "space nn cost cost.latency data training search run report export"
    for room in ("spos", *(f"spos.{name}" for name in rooms.split())):
        for name in set(import_module(room).__all__) - {"__version__"}:
            assert (room, name) in known, f"{room}.{name}"
