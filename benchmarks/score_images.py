"""How many images a one-shot score needs: calibration and validation against the ranking.

Scores networks of a benchmark with batch norms recalibrated on several numbers of images, and keeps
the loss and the answer for every validation image. The ranking by fewer validation images is that
of random subsets of them, compared with the trained accuracies of the benchmark's table. Scores are
kept, so that a stopped command continues where it was.

    spos train --space nasbenchmacro --preset proxy --data folder:cifar10-train.zip --out runs/a
    python benchmarks/score_images.py nasbenchmacro --table data/nasbenchmacro-cifar10.csv \\
        --run runs/a --runs runs/score_images --out benchmarks/results/score_images
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ground_truth import GroundTruth, read_ground_truth
from numpy.typing import NDArray
from opened import choose_validation, open_run
from record import write_tables
from scipy.stats import kendalltau
from torch import Tensor
from torch.nn import functional as F

from spos import Architecture
from spos._util.files import write_atomically
from spos._util.randomness import generator
from spos.run.directory import RunDirectory
from spos.run.network import load_checkpoint
from spos.run.scoring import Scorer
from spos.run.task import Task

Floats = NDArray[np.float64]
#: Subsets of the validation images of each size.
SUBSETS = 50


class PerImage:
    """A metric that keeps the loss of each image, and whether it was classified correctly."""

    def __init__(self) -> None:
        self._parts: list[Floats] = []

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        """Keep the scores of a batch, and return its loss."""
        losses = F.cross_entropy(outputs.float(), targets, reduction="none")
        correct = outputs.argmax(1) == targets
        self._parts.append(torch.stack([losses, correct.float()]).double().numpy())
        return float(losses.sum())

    def take(self) -> Floats:
        """Scores of the images since the last call, shape (2, images)."""
        taken = np.concatenate(self._parts, axis=1)
        self._parts = []
        return taken


def score_images(
    run: Path, kept: Path, truth: GroundTruth, rows: Sequence[int], images: tuple[int, int]
) -> Floats:
    """Loss and correctness of every validation image, shape (networks, 2, images).

    Args:
        run (Path): run directory with a trained supernet.
        kept (Path): file of the scores.
        truth (GroundTruth): table of the space.
        rows (Sequence[int]): networks, as rows of the table.
        images (tuple[int, int]): numbers of images for recalibration and validation.
    """
    if not kept.exists():
        recorder = PerImage()
        context = open_run(run, images[0], Task("loss of each image", metric=recorder))
        few = choose_validation(context, images[1])
        object.__setattr__(context.data, "validation", few)
        supernet, _ = load_checkpoint(context)
        wanted = [Architecture(truth.options[row].tolist()) for row in rows]
        scores = {one: recorder.take() for one, _ in Scorer(context, supernet)(wanted)}
        content = io.BytesIO()
        np.save(content, np.stack([scores[one] for one in wanted]))
        write_atomically(kept, content.getvalue())
    return np.asarray(np.load(kept), dtype=np.float64)


def subsets(images: int, count: int) -> Iterator[NDArray[np.int64]]:
    """Random subsets of images; the only one there is for all of them."""
    random = generator(0, "subsets", count)
    for _ in range(1 if count == images else SUBSETS):
        yield random.permutation(images)[:count]


def ranked_by(
    truth: GroundTruth, groups: dict[str, list[int]], scores: Floats, count: int
) -> dict[str, str]:
    """Kendall's tau of each score and group by so many images: mean and deviation over subsets."""
    cells = {}
    for kind, (sign, name) in enumerate(((-1, "loss"), (1, "accuracy"))):
        start = 0
        for group, rows in groups.items():
            values = scores[start : start + len(rows), kind]
            start += len(rows)
            taus = [
                kendalltau(truth.accuracy[rows], sign * values[:, chosen].mean(1)).statistic
                for chosen in subsets(values.shape[1], count)
            ]
            spread = f" ± {np.std(taus, ddof=1):.3f}" if len(taus) > 1 else ""
            cells[f"{name}, {group}"] = f"{np.mean(taus):.3f}{spread}"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space", help="of the catalogue, such as nasbenchmacro")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--run", type=Path, action="append", required=True, dest="supernets")
    parser.add_argument("--networks", type=int, default=150)
    parser.add_argument("--band", type=int, default=150)
    parser.add_argument(
        "--calibration", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048]
    )
    parser.add_argument(
        "--validation", type=int, nargs="+", default=[50, 100, 250, 500, 1000, 2000]
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the scores")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    layout = RunDirectory(options.supernets[0]).resolve_config({}, ())[0].layout
    truth = read_ground_truth(options.space, options.table, layout)
    order = generator(0, "networks").permutation(len(truth.accuracy))
    groups = {
        "all": order[: options.networks].tolist(),
        "band": order[truth.band()[order]][: options.band].tolist(),
    }
    options.runs.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict[str, Any]]] = {}
    for run in options.supernets:
        rows = tables[f"{run.name}: Kendall's tau with the true accuracy"] = []
        for calibration in options.calibration:
            images = calibration, max(options.validation)
            kept = options.runs / f"{run.name}-{images[0]}-{images[1]}.npy"
            scores = score_images(run, kept, truth, [*groups["all"], *groups["band"]], images)
            for validation in options.validation:
                cells = ranked_by(truth, groups, scores, validation)
                rows.append({"calibration": calibration, "validation": validation, **cells})
    options.out.mkdir(parents=True, exist_ok=True)
    write_tables(
        options.out / "summary",
        f"{options.space}: ranking of {options.networks} networks, and {options.band} of a band of "
        f"cost, by numbers of images (mean ± deviation over {SUBSETS} subsets)",
        tables,
    )


if __name__ == "__main__":
    main()
