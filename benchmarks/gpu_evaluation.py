"""How many candidates a minute a GPU scores, and whether the scores are those of the CPU.

A part of ``gpu.py``. Random candidates, as in the first iteration of a search, and mutated children
of ten parents, as in a late one; beginnings shared or each candidate by itself.
"""

from __future__ import annotations

import copy
import time
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from gpu_throughput import Emit, set_tf32, synchronise
from torch import Tensor, nn

from spos import Architecture, OneShotEvaluator, Supernet
from spos._util.randomness import generator
from spos.spaces import family
from spos.training.loop import make_optimizer
from spos.training.methods.uniform import uniform_paths
from spos.training.recipe import Recipe

Batches = list[tuple[Tensor, Tensor]]


class Sizes(NamedTuple):
    """How much is evaluated.

    Args:
        calibration: training images for the statistics of batch norm.
        validation: images to measure on.
        batch: images at once.
        population: candidates.
        steps: of the training before.
        seconds: at most for one way of scoring: what is scored until then counts.
        preset: of both spaces.
    """

    calibration: int = 2000
    validation: int = 5000
    batch: int = 1000
    population: int = 50
    steps: int = 60
    seconds: float = 3.5
    preset: str = "cifar"


DRY = Sizes(16, 32, 16, 4, 2, 5.0, "tiny")
SPACES = ("nasbenchmacro", "shufflenetv2")
#: Bytes for shared activations, and whether to compute in bf16. 2 GiB is what a search takes by
#: default, 16 GiB what a large GPU has room for.
SHARED = {
    "shared, 2 GiB": (2 << 30, False),
    "shared, 16 GiB": (16 << 30, False),
    "shared, 2 GiB, bf16": (2 << 30, True),
}


def populations(supernet: Supernet, size: int) -> dict[str, list[Architecture]]:
    """Different candidates, random ones and related ones."""
    space = supernet.space
    random = generator(0, "population")
    parents = [space.sample(random) for _ in range(10)]
    drawn: set[Architecture] = set()
    late: set[Architecture] = set()
    while len(drawn) < size:
        drawn.add(space.sample(random))
    while len(late) < size:
        late.add(space.mutate(parents[int(random.integers(10))], random))
    return {"random": sorted(drawn), "related": sorted(late)}


def evaluation(
    images: Tensor, labels: Tensor, device: torch.device, sizes: Sizes, deadline: float, emit: Emit
) -> None:
    """Measure both spaces, as far as the time goes.

    Args:
        images: float32, normalised, on the device.
        labels: of them.
        device: where.
        sizes: how much.
        deadline: of the monotonic clock, at which nothing new begins.
        emit: takes each row.
    """
    set_tf32(True)
    for name in SPACES:
        torch.manual_seed(0)
        spaces = family(name)
        layout = spaces.preset(sizes.preset)
        supernet = spaces.build(layout, classes=10).to(device)
        supernet = supernet.to(memory_format=torch.channels_last)

        def batches(start: int, count: int) -> Batches:
            found = []
            for begin in range(start, start + count, sizes.batch):
                end = min(begin + sizes.batch, start + count)
                batch = images[begin:end].contiguous(memory_format=torch.channels_last)
                found.append((batch, labels[begin:end]))
            return found

        calibration = batches(0, sizes.calibration)
        validation = batches(sizes.calibration, sizes.validation)
        _train(supernet, calibration, sizes.steps)
        for population, candidates in populations(supernet, sizes.population).items():
            if time.monotonic() > deadline:
                emit({"space": name, "candidates": population, "error": "skipped: no time left"})
                continue
            _compare(supernet, candidates, calibration, validation, sizes, emit, name, population)
        _against_cpu(supernet, calibration, validation, sizes, emit, name)
        del supernet
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _train(supernet: Supernet, batches: Batches, steps: int) -> None:
    """A few steps, so that scores are not all those of chance."""
    optimizer = make_optimizer(supernet, Recipe(steps=1, batch_size=1, learning_rate=0.05))
    supernet.train()
    for step in range(steps):
        inputs, targets = batches[step % len(batches)]
        supernet.activate(next(uniform_paths(supernet.space, 0, step)))
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(supernet(inputs[:256]), targets[:256]).backward()
        optimizer.step()


def _compare(
    supernet: Supernet,
    candidates: list[Architecture],
    calibration: Batches,
    validation: Batches,
    sizes: Sizes,
    emit: Emit,
    space: str,
    population: str,
) -> None:
    device = validation[0][0].device

    def evaluator(memory: int = 0, bf16: bool = False) -> OneShotEvaluator:
        return OneShotEvaluator(
            supernet,
            lambda: calibration,
            lambda: validation,
            memory=memory,
            autocast=partial(torch.autocast, device.type, torch.bfloat16) if bf16 else nullcontext,
        )

    expected: dict[Architecture, float] = {}
    # A first one for kernels to be loaded.
    list(evaluator()(candidates[:1]))
    for way in ("each by itself", *SHARED):
        synchronise(device)
        found: dict[Architecture, float] = {}
        began = time.perf_counter()
        if way in SHARED:
            scored = evaluator(*SHARED[way])(candidates)
        else:
            scored = (next(evaluator()([candidate])) for candidate in candidates)
        for candidate, value in scored:
            found[candidate] = value
            if time.perf_counter() - began > sizes.seconds:
                break
        seconds = time.perf_counter() - began
        expected = expected or found
        gaps = [abs(found[a] - expected[a]) for a in expected if a in found]
        row: dict[str, Any] = {
            "space": space,
            "candidates": population,
            "way": way,
            "scored": len(found),
            "seconds": round(seconds, 3),
            "a minute": round(60 * len(found) / seconds, 1),
            "equal scores": f"{sum(gap == 0 for gap in gaps)} of {len(gaps)}",
            "largest difference": round(max(gaps), 6),
            "mean score": round(sum(found.values()) / len(found), 4),
        }
        emit(row)


def _against_cpu(
    supernet: Supernet,
    calibration: Batches,
    validation: Batches,
    sizes: Sizes,
    emit: Emit,
    space: str,
) -> None:
    """Three candidates on fewer images, in full float32 on both."""
    set_tf32(False)
    random = generator(0, "against the cpu")
    candidates = [supernet.space.sample(random) for _ in range(3)]
    scores = []
    for where in (validation[0][0].device, torch.device("cpu")):
        model = copy.deepcopy(supernet).to(where)
        few = [
            [(inputs[:250].to(where), targets[:250].to(where)) for inputs, targets in part[:2]]
            for part in (calibration, validation)
        ]
        scores.append(
            dict(OneShotEvaluator(model, lambda f=few: f[0], lambda f=few: f[1])(candidates))
        )
    set_tf32(True)
    gaps = [abs(scores[0][a] - scores[1][a]) for a in candidates]
    emit(
        {
            "space": space,
            "candidates": "random",
            "way": "GPU against CPU, float32",
            "scored": len(candidates),
            "equal scores": f"{sum(gap == 0 for gap in gaps)} of {len(gaps)}",
            "largest difference": round(max(gaps), 6),
            "mean score": round(sum(scores[1].values()) / len(candidates), 4),
        }
    )
