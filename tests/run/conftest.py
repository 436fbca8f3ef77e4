"""Modules that tests of runs import by name, as a user's script does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
