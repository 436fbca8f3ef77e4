"""Real accuracies: the 15,625 networks of NAS-Bench-201 (Dong and Yang, ICLR 2020), CIFAR-10."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from spos.cost import Constraint
from spos.search import Feasible, SearchSettings
from spos.search.progress import Progress
from spos.space import Architecture, Choice, SearchSpace

TABLE = Path(__file__).parents[3] / "shared" / "data" / "nasbench201-cifar10.csv"
EDGES = ("0->1", "0->2", "1->2", "0->3", "1->3", "2->3")
#: Multiply-adds of an operation on one edge, over the 5 cells at each of 3 resolutions; a
#: convolution costs the same at each, since channels double where the area quarters.
FLOPS = {
    "none": 0,
    "skip_connect": 0,
    "avg_pool_3x3": 0,
    "nor_conv_1x1": 15 * 16 * 16 * 32 * 32,
    "nor_conv_3x3": 15 * 9 * 16 * 16 * 32 * 32,
}


@pytest.fixture(scope="module")
def benchmark(additive):
    if not TABLE.exists():
        pytest.skip(f"{TABLE.name} is not beside the repository")
    space = SearchSpace(Choice(edge, tuple(FLOPS)) for edge in EDGES)
    accuracies: dict[Architecture, float] = {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            operations = [part.split("~")[0] for part in row["arch"].split("|") if "~" in part]
            names = dict(zip(EDGES, operations, strict=True))
            accuracies[space.from_names(names)] = float(row["cifar10_test_top1"])
    assert len(accuracies) == space.size == 15_625
    return additive(space, flops=[list(FLOPS.values())] * 6), accuracies


def mean_best(benchmark, algorithm: str, constraint: Constraint, seeds: int) -> float:
    table, accuracies = benchmark
    feasible = Feasible(table.space, table, constraint)
    found = []
    for seed in range(seeds):
        how = SearchSettings(algorithm=algorithm, population=20, iterations=10, seed=seed)
        progress = Progress(feasible, how)
        while pending := progress.pending():
            for proposal in pending:
                progress.accuracies[proposal.architecture] = accuracies[proposal.architecture]
        assert len(progress.proposals) == 200
        found.append(accuracies[progress.best()[0].architecture])
    return float(np.mean(found))


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_evolution_beats_random_search(benchmark, share):
    table, accuracies = benchmark
    largest = table.range()["flops"][1]
    constraint = Constraint(maximum={"flops": share * largest})
    evolution = mean_best(benchmark, "evolution", constraint, seeds=20)
    random = mean_best(benchmark, "random", constraint, seeds=20)
    optimum = max(
        accuracy for a, accuracy in accuracies.items() if constraint.satisfied(table.cost(a))
    )
    assert random < evolution <= optimum
    assert optimum - evolution < (optimum - random) / 2
