"""Modules that tests of runs import by name, and a machine of a known speed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from plans import SPEED

from spos.run.planning import capacity


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan for a machine of a known speed."""
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: SPEED)
