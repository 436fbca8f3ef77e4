"""Modules of what is measured by their names, as the processes that run them import them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "cli")]
