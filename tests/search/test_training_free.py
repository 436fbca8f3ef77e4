"""Scores that need no training are added to those of networks, in units of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from torch import nn

from spos import Architecture, OneOf, Supernet, UserError
from spos.search.depth import Depth, option_depths
from spos.search.training_free import WithTrainingFree


@pytest.fixture(autouse=True)
def hurried() -> None:
    """Scales are those of as many networks as in a search."""


def block(layers: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(layers)), nn.BatchNorm2d(4))


def make_supernet(layers: int = 6, deepest: int = 3) -> Supernet:
    options = [
        {"skip": nn.Identity(), "one": block(1), "deep": block(deepest)} for _ in range(layers)
    ]
    return Supernet(nn.Sequential(*map(OneOf, options)), input_shape=(4, 8, 8))


def worth(architectures: Sequence[Architecture]) -> Iterator[tuple[Architecture, float]]:
    """A score in which only the first layer counts."""
    for one in set(architectures):
        yield one, float(one[0])


def with_depth(supernet: Supernet) -> WithTrainingFree:
    return WithTrainingFree(worth, supernet.space, [(Depth(supernet), 0.5)])


def test_the_depth_of_an_option_is_that_beside_the_others_of_its_choice() -> None:
    for depths in option_depths(make_supernet(2)):
        assert depths.tolist() == [0.0, pytest.approx(1 / 3), 1.0]


def test_a_choice_inside_of_an_option_counts_where_it_has_an_effect() -> None:
    inner = OneOf({"layer": nn.Linear(4, 4), "none": nn.Identity()})
    outer = OneOf({"none": nn.Identity(), "block": nn.Sequential(nn.Linear(4, 4), inner)})
    depth = Depth(Supernet(nn.Sequential(outer), (4,)))
    found = {one: depth(Architecture(one)) for one in ((0, 0), (0, 1), (1, 1), (1, 0))}
    assert found == {(0, 0): 0.0, (0, 1): 0.0, (1, 1): 1.0, (1, 0): 2.0}


def test_options_of_equal_depth_have_none() -> None:
    same = OneOf({"a": nn.Conv2d(4, 4, 1), "b": nn.Conv2d(4, 4, 3, padding=1)})
    supernet = Supernet(same, input_shape=(4, 8, 8))
    assert [depths.tolist() for depths in option_depths(supernet)] == [[0.0, 0.0]]
    with pytest.raises(UserError, match=r"^search\.depth_weight: all networks of this space"):
        Depth(supernet)


def test_deep_networks_gain_and_shallow_ones_lose() -> None:
    supernet = make_supernet()
    shallow, middle = Architecture([1, 0, 0, 0, 0, 0]), Architecture([1, 1, 1, 1, 1, 1])
    deep = Architecture([1, 2, 2, 2, 2, 2])
    scores = dict(with_depth(supernet)([shallow, middle, deep]))
    assert scores[shallow] < scores[middle] < scores[deep]
    assert scores[shallow] < 1.0 < scores[deep]


def test_the_correction_has_the_weight_in_standard_deviations() -> None:
    supernet, random = make_supernet(), np.random.default_rng(1)
    sample = [supernet.space.sample(random) for _ in range(2000)]
    before, after = dict(worth(sample)), dict(with_depth(supernet)(sample))
    added = np.array([after[one] - before[one] for one in before])
    assert abs(added.mean()) < 0.1
    # The spread is measured over few networks, so that it costs little.
    assert added.std() == pytest.approx(0.5 * np.std(list(before.values())), rel=0.3)


def test_it_does_not_depend_on_what_else_is_evaluated() -> None:
    supernet, one = make_supernet(), Architecture([2, 1, 0, 2, 1, 0])
    alone = dict(with_depth(supernet)([one]))[one]
    among = dict(with_depth(supernet)([Architecture([0] * 6), one]))[one]
    assert alone == among


def test_several_scores_add_up() -> None:
    supernet = make_supernet()
    one, depth = Architecture([2, 1, 0, 2, 1, 0]), Depth(supernet)
    scores = [(depth, 0.5), (lambda architecture: -depth(architecture), 0.5)]
    both = WithTrainingFree(worth, supernet.space, scores)
    assert dict(both([one]))[one] == pytest.approx(float(one[0]))
    assert dict(with_depth(supernet)([one]))[one] != pytest.approx(float(one[0]))


def test_no_evaluation_begins_within_another() -> None:
    supernet, running = make_supernet(), []

    def evaluate(architectures: Sequence[Architecture]) -> Iterator[tuple[Architecture, float]]:
        assert not running
        running.append(True)
        yield from worth(architectures)
        running.clear()

    random = np.random.default_rng(0)
    sample = [supernet.space.sample(random) for _ in range(5)]
    scored = WithTrainingFree(evaluate, supernet.space, [(Depth(supernet), 0.5)])
    assert dict(scored(sample)).keys() == set(sample)
