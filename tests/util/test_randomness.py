"""Randomness as a function of seed, purpose and time."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from spos._util.randomness import generator, seed_generators, torch_generator, torch_seed

keys = st.lists(st.text(max_size=5) | st.integers(0, 2**40), max_size=3).map(tuple)


@given(st.integers(0, 2**63), keys)
def test_the_same_arguments_give_the_same_numbers(seed, key):
    assert np.array_equal(generator(seed, *key).random(3), generator(seed, *key).random(3))
    assert torch_seed(seed, *key) == torch_seed(seed, *key)
    # The range that torch.manual_seed takes.
    assert 0 <= torch_seed(seed, *key) < 2**63
    first, second = (torch.rand(3, generator=torch_generator(seed, *key)) for _ in range(2))
    assert torch.equal(first, second)


def test_other_arguments_give_other_numbers():
    arguments = [
        (0, "paths", 7),
        (1, "paths", 7),
        (0, "order", 7),
        (0, "paths", 8),
        (0, "paths"),
        (0, 7, "paths"),
        (0, "paths", 7, 1),
    ]
    assert len({torch_seed(*argument) for argument in arguments}) == len(arguments)
    assert len({generator(*argument).random() for argument in arguments}) == len(arguments)


def test_neighbouring_steps_are_not_correlated():
    drawn = np.array([generator(0, "paths", step).random(2) for step in range(5000)])
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.05
    assert abs(drawn.mean() - 0.5) < 0.02


def test_the_global_randomness_is_left_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    generator(0, "a").random()
    torch.rand(3, generator=torch_generator(0, "a"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_the_generator_of_a_cpu_is_seeded_and_no_other(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch, "manual_seed", seeded.append)
    seed_generators(5, torch.device("cpu"))
    drawn = torch.rand(3)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(5)))
    seed_generators(7, torch.device("meta"))
    assert seeded == [7]
