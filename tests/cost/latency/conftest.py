"""A small supernet to measure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from spos.nn.supernet import Supernet

sys.path.append(str(Path(__file__).parent))
from clockwork import layer


@pytest.fixture
def supernet() -> Supernet:
    """Four layers of which two are alike, so that 3 of 4 are measured, and a classifier."""
    body = [layer(3, 4), layer(4, 4), layer(4, 4), layer(4, 8)]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return Supernet(nn.Sequential(*body, head), (3, 8, 8))
