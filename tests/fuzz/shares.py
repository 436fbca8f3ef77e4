"""How many cases of each kind there are."""

from __future__ import annotations

import file_cases
import settings_cases
import stage_cases

KINDS = {**settings_cases.KINDS, **file_cases.KINDS, **stage_cases.KINDS}
#: Percent of all cases that are of a kind: more of those that take less.
SHARES = {
    "commands": 6,
    "settings": 14,
    "settings files": 6,
    "files of a run": 6,
    "latency tables": 12,
    "image folders": 4,
    "archives": 4,
    "exported networks": 47,
    "later stages": 1,
}


def cases_of(kind: str, total: int) -> range:
    """Numbers of the cases of a kind, of so many of all kinds together."""
    return range(max(1, total * SHARES[kind] // 100))
