"""Architectures within a constraint that random draws do not hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos.space import SearchSpace

#: Random architectures that are repaired at the same time.
ROWS = 512


def repair(
    space: SearchSpace,
    violation: Callable[[NDArray[Any]], NDArray[np.float64]],
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Turn random architectures into ones within a constraint, changing an option or two at a time.

    A change stays unless it enlarges the violation. The number of changes tried on each is bounded
    by four times the number of options of the space.

    Args:
        space: the search space.
        violation: how far architectures, shape (count, number of choices), are outside the
            constraint: 0 within, positive outside.
        random: the source of randomness.

    Returns:
        Those of :data:`ROWS` random architectures that could be repaired, shape (at most
        :data:`ROWS`, number of choices), repeats included.

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
        # A second change gets out of the dead ends that two bounds make: one cost up, one down.
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
