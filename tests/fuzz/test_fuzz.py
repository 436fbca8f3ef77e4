"""Whatever is given or found on disk, a command ends with a line and leaves nothing half-written.

``SPOS_FUZZ`` is the number of cases, ``SPOS_FUZZ_SEED`` that of other ones. Each case is a function
of seed, kind and number, and of nothing else: one that fails is run again alone by its number.
Plain generators make them: hypothesis takes as long for its own work as a case does.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from promises import Outcome, run_cases
from shares import KINDS, cases_of

CASES, SEED = int(os.environ.get("SPOS_FUZZ", "2000")), int(os.environ.get("SPOS_FUZZ_SEED", "0"))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_given_or_found_breaks_a_promise(
    kind: str, material: Path, cases: Path
) -> None:
    numbers = cases_of(kind, CASES)
    found = run_cases(kind, KINDS[kind], material, numbers, SEED, cases)
    assert [one.number for one in found] == list(numbers)
    assert not [one for one in found if one.problem], _told(found)
    # Cases of which none succeeds or none fails test one half of what they are for.
    assert {one.status for one in found} >= ({2} if CASES < 2000 else {0, 2} - _one_sided(kind))


def _one_sided(kind: str) -> set[int]:
    """Settings and images that are read end in a training, which is interrupted."""
    return {0} if kind in ("settings", "settings files", "archives") else set()


def _told(found: list[Outcome]) -> str:
    broken = [one for one in found if one.problem]
    lines = [f"{one.kind} {one.number}: {one.command}\n{one.problem}" for one in broken[:5]]
    return f"{len(broken)} of {len(found)} cases, of seed {SEED}:\n" + "\n".join(lines)
