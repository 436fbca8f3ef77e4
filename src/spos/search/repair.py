"""Repair of random architectures that violate a constraint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos.space import SearchSpace

#: Number of random architectures that are repaired at the same time.
ROWS = 512


def repair(
    space: SearchSpace,
    violation: Callable[[NDArray[Any]], NDArray[np.float64]],
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Change random architectures, one or two options at a time, until they satisfy a constraint.

    A change is kept unless it increases the violation. At most four times the number of options of
    the space are tried on each architecture.

    Args:
        space (SearchSpace): search space.
        violation (Callable): function of architectures, shape (count, choices), to their
            violations, shape (count,): 0 within the constraint, positive outside.
        random (np.random.Generator): source of randomness.

    Returns:
        Repaired architectures among :data:`ROWS` random ones, shape (at most :data:`ROWS`,
        choices), possibly with duplicates.

    Example:
        >>> from spos.space import Choice
        >>> space = SearchSpace([Choice(str(number), ("a", "b", "c")) for number in range(20)])
        >>> def not_all_c(rows):
        ...     return 40.0 - rows.sum(axis=1)
        >>> np.unique(repair(space, not_all_c, np.random.default_rng(0)))
        array([2])
    """
    rows = space.sample_many(ROWS, random)
    outside = violation(rows)
    for _ in range(4 * sum(space.option_counts)):
        open_rows = np.flatnonzero(outside)
        if len(open_rows) == 0:
            break
        changed = rows[open_rows]
        # A second change escapes from dead ends of two bounds: it raises one cost, and lowers the
        # other.
        for probability in (1.0, 0.5):
            position = random.integers(len(space), size=len(changed))
            option = random.integers(np.array(space.option_counts)[position])
            where = np.flatnonzero(random.random(len(changed)) < probability)
            changed[where, position[where]] = option[where]
        distance = violation(changed)
        accepted = distance <= outside[open_rows]
        rows[open_rows[accepted]] = changed[accepted]
        outside[open_rows[accepted]] = distance[accepted]
    repaired: NDArray[np.int64] = rows[outside == 0]
    return repaired
