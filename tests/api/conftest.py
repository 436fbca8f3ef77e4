"""A search of seconds, which tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import spos
from spos._api import FoundNetwork

sys.path.append(str(Path(__file__).parent))
from own_models import QUICK, arrays, stack


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> FoundNetwork:
    result: FoundNetwork = spos.search(
        stack(),
        arrays(),
        max_flops="200K",
        settings=QUICK,
        compare=1,
        threads=1,
        out=tmp_path_factory.mktemp("api") / "run",
    )
    return result
