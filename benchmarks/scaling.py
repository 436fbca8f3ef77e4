"""What many GPUs do to the search of the paper: what is measured here, and what follows from it.

Measured on this machine: the bytes of gradients that a step of the ImageNet supernet has, of the
active paths and of all options; what Ray adds to a piece of work; what a Ray worker receives.
Computed from these and from the assumptions among the arguments: the time of the supernet's
training and of the search on several numbers of GPUs. No several GPUs were used.

    python benchmarks/scaling.py --out benchmarks/results/scaling
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from record import write_tables

from spos import Supernet
from spos._util.randomness import generator
from spos.run import run
from spos.run.config import Config, make_config
from spos.run.ray_workers import RayWorkers
from spos.run.scoring import count_pieces
from spos.run.serving import for_workers, needed_files
from spos.run.side_by_side import ThisProcess, Work
from spos.spaces import family

SEED = 0
GPUS = (1, 8, 64, 512)
GPU_RESULTS = Path(__file__).parent / "results" / "gpu" / "imagenet.jsonl"
CASE, VARIANT = "shufflenetv2 imagenet 256", "bf16 channels_last"
SETTINGS: dict[str, Any] = {
    "space": {"name": "shufflenetv2", "preset": "tiny"},
    "data": {"source": "digits", "validation": 200},
    "supernet": {"steps": 5, "warmup_steps": 0},
    "search": {"population": 12, "iterations": 1, "parents": 4},
    "run": {"calibration": 64},
}


@dataclass(frozen=True)
class Assumptions:
    """What the computed times rest on beside what was measured.

    Args:
        images: images a second of a GPU in a step of the supernet.
        scores: images a second of a GPU in an evaluation.
        least: images of a step below which a GPU is no faster.
        gpus: of a node.
        inside: bytes a second between the GPUs of a node.
        between: bytes a second between two nodes.
        latency: seconds of a message between two nodes.
        collectives: exchanges of a step, whatever their size.
    """

    images: float
    scores: float
    least: int
    gpus: int
    inside: float
    between: float
    latency: float
    collectives: int = 4


def exchange(size: int, count: int, given: Assumptions) -> float:
    """Seconds to average so many bytes over GPUs, by rings in the nodes and between them."""
    in_node = min(count, given.gpus)
    nodes = math.ceil(count / given.gpus)
    seconds = 2 * (in_node - 1) / in_node * size / given.inside
    seconds += 2 * (nodes - 1) / nodes * size / given.between
    return seconds + given.collectives * math.ceil(math.log2(count)) * given.latency


def step(size: int, batch: int, count: int, given: Assumptions) -> float:
    """Seconds of a step of one batch over GPUs; nothing is exchanged while gradients are made."""
    return max(batch / count, given.least) / given.images + exchange(size, count, given)


def search_seconds(config: Config, count: int, overhead: float, given: Assumptions) -> float:
    """Seconds of a search whose populations are cut into pieces for so many workers."""
    population, images = config.search.population, int(config.data.validation)
    pieces = count_pieces(population, count)
    rounds = math.ceil(pieces / count)
    candidate = (images + config.run.calibration) / given.scores
    largest = math.ceil(population / pieces) * candidate + (overhead if count > 1 else 0)
    return config.search.iterations * rounds * largest


def gradient_bytes(supernet: Supernet, side: int, paths: int) -> list[set[str]]:
    """The weights that have a gradient after a step of each of several random paths."""
    supernet.train()
    found = []
    for number in range(paths):
        supernet.activate(supernet.space.sample(generator(SEED, "scaling", number)))
        supernet.zero_grad(set_to_none=True)
        supernet(torch.empty(2, 3, side, side, device="meta")).sum().backward()
        named = supernet.named_parameters()
        found.append({name for name, weight in named if weight.grad is not None})
    return found


class Probe:
    """Workers that are measured when a search first uses them.

    Args:
        inner: the workers; their first map also starts them.
        items: pieces of work without content.
    """

    def __init__(self, inner: Any, items: int) -> None:
        self.count, self._inner, self._items = 2, inner, items
        self.seconds: list[float] = []
        self.received: dict[str, int] = {}

    def map(
        self, context: Any, work: Work, items: Sequence[Any], label: str = ""
    ) -> Iterator[tuple[int, Any]]:
        if not self.seconds:
            sent = {
                "settings": pickle.dumps(for_workers(context)),
                "images": pickle.dumps(context.data),
                "piece of work": pickle.dumps((work, items[0])),
            }
            self.received = {name: len(content) for name, content in sent.items()}
            files = needed_files(context)
            self.received["files of the run"] = sum(map(len, files.values()))
            list(self._inner.map(context, nothing, [0]))
            last = time.perf_counter()
            for _ in self._inner.map(context, nothing, list(range(self._items))):
                now = time.perf_counter()
                self.seconds.append(now - last)
                last = now
        return self._inner.map(context, work, items, label)

    def close(self) -> None:
        self._inner.close()


def nothing(context: Any, item: int) -> Iterator[int]:
    """Work without content."""
    yield item


def one_worker() -> RayWorkers:
    """One worker of Ray, which takes all cores: a piece of work goes there and back."""
    return RayWorkers(None, float(psutil.cpu_count() or 1))


def probe(inner: Any, items: int) -> Probe:
    """Measure workers in a small search."""
    measured = Probe(inner, items)
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder) / "run", SETTINGS, ("train", "search"), workers=measured)
    measured.close()
    return measured


def measured_images() -> float:
    """Images a second of the supernet on one GPU, from the benchmark of GPUs."""
    for line in GPU_RESULTS.read_text().splitlines():
        row = json.loads(line)
        if (row["case"], row["variant"], row["model"]) == (CASE, VARIANT, "supernet"):
            return float(row["images/s"])
    raise SystemExit(f"{GPU_RESULTS}: no row of {CASE}, {VARIANT}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--paths", type=int, default=64, help="random paths to count")
    parser.add_argument("--items", type=int, default=200, help="pieces of work to time")
    parser.add_argument("--images", type=float, help="of a GPU a second, in a step")
    parser.add_argument("--forward", type=float, default=3.0, help="speed of evaluation to step")
    parser.add_argument("--least", type=int, default=64, help="images that keep a GPU busy")
    parser.add_argument("--gpus", type=int, default=8, help="of a node")
    parser.add_argument("--inside", type=float, default=300.0, help="GB/s in a node")
    parser.add_argument("--between", type=float, default=12.5, help="GB/s of a node: 100 Gbit/s")
    parser.add_argument("--latency", type=float, default=20.0, help="microseconds of a message")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = make_config({"space": {"name": "shufflenetv2", "preset": "imagenet"}})
    images = options.images or measured_images()
    given = Assumptions(
        images=images,
        scores=options.forward * images,
        least=options.least,
        gpus=options.gpus,
        inside=options.inside * 1e9,
        between=options.between * 1e9,
        latency=options.latency * 1e-6,
    )
    with torch.device("meta"):
        supernet = family(config.space).build(config.layout, classes=1000, image_channels=3)
    weights = {name: 4 * weight.numel() for name, weight in supernet.named_parameters()}
    used = gradient_bytes(supernet, config.layout.image_size, options.paths)
    sizes = [sum(weights[name] for name in path) for path in used]
    buffers = sum(value.numel() * value.element_size() for value in supernet.buffers())
    # Weights, momentum, and statistics.
    checkpoint = 2 * sum(weights.values()) + buffers
    active, whole = int(np.mean(sizes)), sum(weights.values())
    alone, ray = probe(ThisProcess(1), options.items), probe(one_worker(), options.items)
    overhead = statistics.median(ray.seconds) - statistics.median(alone.seconds)
    measured = {
        "Measured: bytes of gradients in a step, preset imagenet": [
            {
                "what is exchanged": what,
                "MB": f"{size / 1e6:.2f}",
                "share of all": f"{size / whole:.0%}",
            }
            for what, size in {
                f"active path, mean of {options.paths}": active,
                "active path, smallest": min(sizes),
                "active path, largest": max(sizes),
                **{
                    f"paths of their own, {count} processes": union(used[:count], weights)
                    for count in GPUS[1:]
                    if count <= len(used)
                },
                "all options, as DistributedDataParallel": whole,
            }.items()
        ],
        "Measured: a piece of work without content, preset tiny": [
            {
                "workers": name,
                "median ms": f"{statistics.median(one.seconds) * 1e3:.3f}",
                "90% within ms": f"{np.quantile(one.seconds, 0.9) * 1e3:.3f}",
                "pieces": len(one.seconds),
            }
            for name, one in {"one process": alone, "Ray, one worker": ray}.items()
        ],
        "Measured: what a Ray worker receives, preset tiny": [
            {"what": name, "kB": f"{size / 1e3:.1f}"} for name, size in ray.received.items()
        ],
        "Counted: what a Ray worker receives of the supernet, preset imagenet": [
            {"what": "its last two checkpoints", "MB": f"{2 * checkpoint / 1e6:.1f}"}
        ],
    }
    steps, batch = config.supernet.steps, config.supernet.batch_size
    one = step(active, batch, 1, given)
    trained = [
        {
            "GPUs": count,
            "images of each": f"{batch / count:g}",
            "exchange, active path": f"{exchange(active, count, given) * 1e3:.2f} ms",
            "exchange, all options": f"{exchange(whole, count, given) * 1e3:.2f} ms",
            "step": f"{step(active, batch, count, given) * 1e3:.1f} ms",
            "supernet, active path": hours(steps * step(active, batch, count, given)),
            "supernet, all options": hours(steps * step(whole, batch, count, given)),
            "speed-up": f"{one / step(active, batch, count, given):.1f}",
        }
        for count in GPUS
    ]
    alone_seconds = search_seconds(config, 1, overhead, given)
    searched = []
    for count in GPUS:
        seconds = search_seconds(config, count, overhead, given)
        speedup = f"{alone_seconds / seconds:.1f}"
        searched.append({"GPUs": count, "search": hours(seconds), "speed-up": speedup})
    computed = {
        f"Computed: {steps:,} steps of {batch}": trained,
        f"Computed: search of {config.search.iterations} x {config.search.population} candidates, "
        f"{config.data.validation:,} and {config.run.calibration:,} images each": searched,
        "Assumed in what is computed": [
            {"assumption": name, "value": f"{value:g}"} for name, value in vars(given).items()
        ],
    }
    write_tables(
        options.out / "summary", "What many GPUs do to the paper's search", measured | computed
    )


def union(paths: Sequence[set[str]], weights: dict[str, int]) -> int:
    """Bytes of the weights that any of several paths uses."""
    return sum(weights[name] for name in set().union(*paths))


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 600 else f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
