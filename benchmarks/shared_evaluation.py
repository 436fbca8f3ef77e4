"""What sharing common beginnings saves when a population is evaluated.

    python benchmarks/shared_evaluation.py --out benchmarks/results/shared_evaluation

Two populations of 50 are evaluated with and without sharing, in turn, in one process: random
architectures, as in the first iteration of a search, and mutated children of ten parents, as in a
late one. The accuracies of both ways must be identical.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from record import write_record

from spos import Architecture, OneShotEvaluator, Supernet
from spos._util.randomness import generator
from spos.search.evaluation import recalibrate, score
from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2

LAYOUT = replace(
    PRESETS["cifar"],
    stem_stride=2,
    channels=(32, 64, 128),
    depths=(2, 4, 4),
    strides=(1, 2, 2),
    head_channels=256,
)


def populations(supernet: Supernet, size: int) -> dict[str, list[Architecture]]:
    space = supernet.space
    random = generator(0, "population")
    parents = [space.sample(random) for _ in range(10)]
    late: set[Architecture] = set()
    while len(late) < size:
        late.add(space.mutate(parents[int(random.integers(10))], random))
    return {"random": [space.sample(random) for _ in range(size)], "late": sorted(late)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    supernet = shufflenetv2(LAYOUT, classes=10).to(memory_format=torch.channels_last)
    images = [torch.randn(256, 3, 32, 32) for _ in range(8)]
    batches = [
        (batch.contiguous(memory_format=torch.channels_last), torch.randint(10, (256,)))
        for batch in images
    ]
    calibration, validation = (lambda: batches[:2]), (lambda: batches[2:])

    def alone(architectures: list[Architecture]) -> dict[Architecture, float]:
        accuracies = {}
        for architecture in architectures:
            network = supernet.extract(architecture)
            with torch.no_grad():
                recalibrate(network, calibration)
            accuracies[architecture] = score(network, validation)
        return accuracies

    shared = OneShotEvaluator(supernet, calibration, validation)
    rows = []
    for name, population in populations(supernet, options.population).items():
        seconds: dict[str, list[float]] = {"alone": [], "shared": []}
        for _ in range(options.rounds):
            began = time.perf_counter()
            expected = alone(population)
            middle = time.perf_counter()
            found = dict(shared(population))
            seconds["alone"].append(middle - began)
            seconds["shared"].append(time.perf_counter() - middle)
            assert found == expected
        ratios = [b / a for a, b in zip(seconds["alone"], seconds["shared"], strict=True)]
        rows.append(
            {
                "population": name,
                "candidates": len(population),
                "seconds alone": round(statistics.median(seconds["alone"]), 2),
                "seconds shared": round(statistics.median(seconds["shared"]), 2),
                "ratio": round(statistics.median(ratios), 3),
            }
        )
    write_record(options.out, "Evaluating a population with and without sharing", rows)


if __name__ == "__main__":
    main()
