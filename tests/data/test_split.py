from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spos._util.errors import UserError
from spos.data.split import split_targets

counts_and_size = st.lists(st.integers(2, 40), min_size=1, max_size=8).flatmap(
    lambda counts: st.tuples(
        st.just(counts), st.integers(len(counts), sum(counts) - len(counts)), st.integers(0, 2**32)
    )
)


def shuffled_labels(counts: list[int]) -> torch.Tensor:
    labels = np.repeat(np.arange(len(counts)), counts)
    return torch.from_numpy(np.random.default_rng(0).permutation(labels))


@settings(max_examples=150, deadline=None)
@given(counts_and_size)
def test_the_sides_are_disjoint_complete_of_the_exact_size_and_have_every_class(case):
    counts, size, seed = case
    labels = shuffled_labels(counts)
    rest, part = split_targets(labels, size, seed)
    assert len(part) == size
    assert sorted([*rest, *part]) == list(range(len(labels)))
    assert (np.diff(rest) > 0).all() and (np.diff(part) > 0).all()
    for side in (rest, part):
        assert set(labels[side].tolist()) == set(range(len(counts)))


@settings(max_examples=150, deadline=None)
@given(counts_and_size)
def test_proportions_are_within_one_image_unless_a_class_would_vanish(case):
    counts, size, seed = case
    labels = shuffled_labels(counts)
    exact = np.array(counts) * size / sum(counts)
    if exact.min() < 1 or (np.array(counts) - exact).min() < 1:
        return
    _, part = split_targets(labels, size, seed)
    assert (np.abs(np.bincount(labels[part]) - exact) <= 1).all()


@settings(max_examples=50, deadline=None)
@given(counts_and_size)
def test_the_same_seed_gives_the_same_split(case):
    counts, size, seed = case
    labels = shuffled_labels(counts)
    for one, other in zip(
        split_targets(labels, size, seed),
        split_targets(labels.clone(), size, seed),
        strict=True,
    ):
        assert np.array_equal(one, other)


def test_another_seed_gives_another_split_and_a_fraction_its_part():
    labels = torch.arange(1000) % 10
    parts = [split_targets(labels, 0.25, seed)[1] for seed in (0, 1)]
    assert len(parts[0]) == 250 and not np.array_equal(*parts)
    assert (np.bincount(labels[parts[0]]) == 25).all()


@pytest.mark.parametrize("size", [0, -3, 0.0, 1.0, 1.5, True, float("nan")])
def test_a_size_out_of_range_is_named(size):
    with pytest.raises(UserError, match=r"^validation .*nearest valid") as error:
        split_targets(torch.arange(10) % 2, size, 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("size", "nearest"), [(2, 3), (28, 27), (0.01, 3), (0.99, 27)])
def test_a_size_that_would_empty_a_class_names_the_nearest(size, nearest):
    with pytest.raises(UserError, match=f"3 to 27 images; nearest valid: {nearest}$"):
        split_targets(torch.arange(30) % 3, size, 0)


def test_a_class_of_one_image_is_named():
    with pytest.raises(UserError, match=r"^test 2: class 'dog' has 1 image left to split"):
        split_targets(torch.tensor([0, 0, 0, 1]), 2, 0, option="test", classes=("cat", "dog"))
