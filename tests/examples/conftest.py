"""The examples as modules, whose spaces leave the catalogue again."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from spos.spaces import SPACES

FOLDER = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example() -> Iterator[Callable[[str], ModuleType]]:
    """Imports an example by its name."""
    loaded: list[str] = []

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loaded.append(name)
        spec.loader.exec_module(module)
        return module

    before = set(SPACES)
    yield load
    for name in set(SPACES) - before:
        del SPACES[name]
    for name in set(loaded):
        del sys.modules[name]
