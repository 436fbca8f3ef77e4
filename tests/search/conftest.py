"""Spaces whose costs and accuracies are known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest

from spos.space import Architecture, Choice, SearchSpace


class AdditiveTable:
    """Costs that are a sum over the choices."""

    def __init__(self, space: SearchSpace, **costs: Sequence[Sequence[int]]) -> None:
        self.space = space
        self.names = tuple(costs)
        self.costs = costs

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        valid = self.space.validate(architecture)
        return {
            name: sum(column[option] for column, option in zip(columns, valid, strict=True))
            for name, columns in self.costs.items()
        }

    def many(self, architectures: Any) -> Any:
        return np.stack(
            [
                sum(np.array(column)[architectures[:, c]] for c, column in enumerate(columns))
                for columns in self.costs.values()
            ],
            axis=1,
        )

    def range(self) -> dict[str, tuple[int, int]]:
        return {
            name: (sum(min(c) for c in columns), sum(max(c) for c in columns))
            for name, columns in self.costs.items()
        }


def make_space(*counts: int) -> SearchSpace:
    return SearchSpace(
        Choice(f"block{number}", tuple(f"option{option}" for option in range(count)))
        for number, count in enumerate(counts)
    )


@pytest.fixture(scope="session")
def additive() -> type[AdditiveTable]:
    return AdditiveTable


@pytest.fixture(scope="session")
def spaces() -> Callable[..., SearchSpace]:
    return make_space


@pytest.fixture
def tower() -> AdditiveTable:
    """12 choices of 4 options, 16.8 million architectures; option o costs o flops, 3 - o params."""
    space = make_space(*[4] * 12)
    return AdditiveTable(space, flops=[[0, 1, 2, 3]] * 12, params=[[3, 2, 1, 0]] * 12)


@pytest.fixture
def small() -> AdditiveTable:
    """4 choices of 3 options (81 architectures); option o costs o flops."""
    space = make_space(3, 3, 3, 3)
    return AdditiveTable(space, flops=[[0, 1, 2]] * 4)


class Evaluator:
    """An evaluation that counts its calls and can be killed, or answer in another order."""

    def __init__(
        self,
        fitness: Callable[[Architecture], float],
        kill_after: int | None = None,
        order: np.random.Generator | None = None,
    ) -> None:
        self.fitness = fitness
        self.kill_after = kill_after
        self.order = order
        self.calls: list[Architecture] = []
        self.batches: list[int] = []

    def __call__(self, candidates: Sequence[Architecture]) -> Any:
        candidates = list(candidates)
        self.batches.append(len(candidates))
        if self.order is not None:
            candidates = [candidates[i] for i in self.order.permutation(len(candidates))]
        for candidate in candidates:
            if self.kill_after is not None and len(self.calls) == self.kill_after:
                raise KeyboardInterrupt
            self.calls.append(candidate)
            yield candidate, self.fitness(candidate)


@pytest.fixture
def evaluator() -> type[Evaluator]:
    return Evaluator


@pytest.fixture(autouse=True)
def quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def new_study() -> Callable[..., optuna.Study]:
    def create(**arguments: Any) -> optuna.Study:
        return optuna.create_study(direction="maximize", **arguments)

    return create
