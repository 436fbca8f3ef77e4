"""The paths of training steps whose widths open one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos.space import Choice, SearchSpace
from spos.training.methods.uniform import uniform_paths

SPACE = SearchSpace(
    [Choice("block", ("a", "b", "c")), Choice("width", ("1", "2", "3", "4", "5"), ordered=True)]
)


def drawn(steps: range, widening: int) -> np.ndarray:
    return np.array([next(uniform_paths(SPACE, 0, step, widening=widening)) for step in steps])


@pytest.mark.parametrize("each", [1, 2, 7])
def test_widths_open_from_the_largest_each_for_as_many_steps(each: int):
    for step in range(5 * each):
        paths = np.array([*uniform_paths(SPACE, 0, step, paths=64, widening=5 * each)])
        assert set(paths[:, 1]) == set(range(4 - step // each, 5))
        assert set(paths[:, 0]) == {0, 1, 2}


def test_open_widths_are_equally_likely():
    paths = drawn(range(400, 600), widening=1000)
    counts = np.bincount(paths[:, 1], minlength=5)
    assert counts[:2].sum() == 0
    assert ((counts[2:] - 200 / 3) ** 2 / (200 / 3)).sum() < 13.8  # Chi-square, p = 0.001.


@given(step=st.integers(1000, 2000))
def test_after_it_paths_are_those_without(step):
    assert list(uniform_paths(SPACE, 3, step, 2, widening=1000)) == list(
        uniform_paths(SPACE, 3, step, 2)
    )
