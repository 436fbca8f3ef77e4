"""Which quantisers learn best: a uniform w2a2 network from scratch with each combination.

The residual network of the preset ``cifar`` of ``resnet-bits`` at half the width and with a stem of
stride 2, on CIFAR-10's training images, of which some are set apart to measure on. The combinations
take turns, one seed after the other. A stopped command resumes where it was.

    python benchmarks/quantisers.py --data folder:data/cifar10-train.zip --runs runs/quantisers \\
        --out benchmarks/results/quantisers/summary
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from record import write_record
from torch import Tensor

from spos._util.files import read_json, write_json
from spos._util.records import to_plain
from spos.data import ImageData, evaluation_batches, load_data, training_batches
from spos.nn.quantisers import ACTIVATIONS, WEIGHTS
from spos.search.score import score
from spos.spaces.resnet_bits import PRESETS, uniform
from spos.training.checkpoint import Checkpoints
from spos.training.defaults import DEFAULTS
from spos.training.loop import train
from spos.training.recipe import Recipe

LAYOUT = replace(PRESETS["cifar"].scaled(0.5), stem_stride=2)


def measure(
    data: ImageData, weights: str, activations: str, seed: int, recipe: Recipe, folder: Path
) -> dict[str, float]:
    """Train one network; the share of the images set apart that it classifies correctly."""
    path = folder / "outcome.json"
    if path.exists():
        kept: dict[str, float] = read_json(path)
        return kept
    fabric = Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(seed)
    layout = replace(LAYOUT, weights=weights, activations=activations)
    network = uniform(layout, "w2a2", classes=len(data.classes), image_channels=data.channels)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        images = training_batches(
            data,
            data.train,
            batch_size=recipe.batch_size,
            seed=seed,
            start=start,
            steps=recipe.steps,
            augment=recipe.augment,
            device=fabric.device,
        )
        for inputs, targets in images:
            yield inputs.contiguous(memory_format=torch.channels_last), targets

    began = time.monotonic()
    outcome = train(fabric, network, batches, recipe, Checkpoints(folder), seed=seed)
    if outcome.interrupted:
        raise KeyboardInterrupt
    loader = partial(
        evaluation_batches, data, data.validation, batch_size=256, device=fabric.device
    )
    found = {"top1": score(network, loader), "seconds": outcome.seconds}
    write_json(path, found)
    print(f"{folder.name}: {found['top1']:.2%} after {time.monotonic() - began:.0f} s", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = replace(
        DEFAULTS["cifar"].retrain,
        steps=options.steps,
        batch_size=options.batch_size,
        warmup_steps=min(100, options.steps // 10),
    )
    data = load_data(options.data, image_size=LAYOUT.image_size, validation=5000)
    combinations = [(weights, activations) for weights in WEIGHTS for activations in ACTIVATIONS]
    found: dict[tuple[str, str], list[dict[str, float]]] = {pair: [] for pair in combinations}
    for seed in range(options.seeds):
        for weights, activations in combinations:
            folder = options.runs / f"{weights}-{activations}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            outcome = measure(data, weights, activations, seed, recipe, folder)
            found[weights, activations].append(outcome)
    rows = [
        {
            "weights": weights,
            "activations": activations,
            "top-1 of each seed": ", ".join(f"{one['top1']:.2%}" for one in outcomes),
            "mean": f"{statistics.fmean(one['top1'] for one in outcomes):.2%}",
            "images/s": round(
                recipe.steps * recipe.batch_size / statistics.fmean(o["seconds"] for o in outcomes)
            ),
        }
        for (weights, activations), outcomes in found.items()
    ]
    title = (
        f"A w2a2 residual network after {recipe.steps} steps of {recipe.batch_size} images, "
        f"on {len(data.validation):,} images set apart"
    )
    runs = [
        {"weights": weights, "activations": activations, "seed": seed, **outcome}
        for (weights, activations), outcomes in found.items()
        for seed, outcome in enumerate(outcomes)
    ]
    layout = {
        name: value
        for name, value in to_plain(LAYOUT).items()
        if name not in ("weights", "activations")
    }
    write_record(options.out, title, rows, recipe=to_plain(recipe), layout=layout, runs=runs)


if __name__ == "__main__":
    main()
