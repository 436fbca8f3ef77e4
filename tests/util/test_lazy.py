"""Packages whose names are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("room", ["", ".cost", ".training", ".search", ".run", ".export"])
def test_names_are_listed_before_they_are_imported(room: str) -> None:
    # In a process of its own: others have asked for the names by now.
    code = f"import spos{room} as room; print({{*room.__all__}} - {{*dir(room)}} or 'none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"
