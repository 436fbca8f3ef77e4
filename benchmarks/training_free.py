"""Scores that need no training, against published ground truth, alone and beside one-shot scores.

Takes minutes: no supernet is trained. The one-shot losses come from files of scores that
`ranking.py` has left.

    python benchmarks/training_free.py nasbenchmacro --table data/nasbenchmacro-cifar10.csv \\
        --data folder:data/cifar10-train.zip \\
        --scores benchmarks/results/supernet_variants/scores/*.json \\
        --out benchmarks/results/training_free/nasbenchmacro
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ground_truth import GroundTruth, read_ground_truth
from numpy.typing import NDArray
from ranking import Floats, correlations, standard
from record import write_tables
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Architecture, Supernet
from spos._util.randomness import generator
from spos.data import evaluation_batches
from spos.data.load import load_data
from spos.run.config import read_layout
from spos.search import Naswot, Patterns
from spos.spaces import family

#: Weights of a score beside the one-shot score, both in standard deviations.
WEIGHTS = (0.25, 0.5, 1.0, 2.0)
#: Scores that are added to it.
ADDED = ("NASWOT", "patterns", "SynFlow", "layers")


class Untrained:
    """Scores of the stand-alone network of an architecture, with fresh weights.

    Args:
        supernet: with fresh weights.
        images: a batch of training images.
    """

    def __init__(self, supernet: Supernet, images: Tensor) -> None:
        self.supernet, self.images = supernet, images

    def network(self, architecture: Architecture) -> nn.Module:
        """The network, in training mode; its weights may be changed."""
        return copy.deepcopy(self.supernet.subnet(architecture)).train()

    def synflow(self, architecture: Architecture) -> float:
        """Log of the synaptic flow (Tanaka et al., NeurIPS 2020), without batch statistics."""
        network = self.network(architecture).double().eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.abs_()
        network(torch.ones_like(self.images[:1], dtype=torch.float64)).sum().backward()
        flows = [p * p.grad for p in network.parameters() if p.grad is not None]
        return math.log(sum(float(flow.detach().abs().sum()) for flow in flows) or 1e-300)

    def gradient_norm(self, architecture: Architecture) -> float:
        """Norm of the gradients of the loss, summed over parameters."""
        network = self.network(architecture)
        outputs = network(self.images)
        F.cross_entropy(outputs, torch.arange(len(outputs)) % outputs.shape[1]).backward()
        return sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None)

    def jacobian_covariance(self, architecture: Architecture) -> float:
        """How different the gradients of different images are (Mellor et al., first version)."""
        images = self.images.clone().requires_grad_()
        self.network(architecture)(images).sum().backward()
        if images.grad is None or not images.grad.any():
            # No path leads from the images to the output: all images are alike to it.
            correlation = np.ones((len(images), len(images)))
        else:
            correlation = np.corrcoef(images.grad.flatten(1).numpy())
        values = np.linalg.eigvalsh(correlation) + 1e-5
        return -float(np.sum(np.log(values) + 1 / values))


def one_shot_scores(path: Path, chosen: Sequence[str]) -> dict[str, Floats]:
    """The scores of networks in a file of `ranking.py`, higher is better."""
    scores = json.loads(path.read_text())["scores"]
    loss, *further = np.array([scores[one] for one in chosen]).T
    # Files of before it was recorded have no z-score.
    return dict(zip(("loss", "accuracy", "z-score"), (-loss, *further), strict=False))


def one_shot_losses(path: Path, chosen: Sequence[str]) -> Floats:
    """The negative losses of networks in a file of `ranking.py`."""
    return one_shot_scores(path, chosen)["loss"]


def rankings_of(
    truth: GroundTruth, chosen: list[int], score: dict[str, Callable[[Architecture], float]]
) -> dict[str, NDArray[Any]]:
    """Each score of all networks."""
    architectures = [Architecture(truth.options[row].tolist()) for row in chosen]
    found: dict[str, NDArray[Any]] = {}
    for name, function in score.items():
        known = {one: function(one) for one in dict.fromkeys(architectures)}
        found[name] = np.array([known[one] for one in architectures])
    return found


class Sample(NamedTuple):
    """Networks whose accuracy is known, and what they are scored with.

    Args:
        truth (GroundTruth): table of the space.
        drawn (list[int]): rows of random networks.
        band (list[int]): rows of networks of one band of cost.
        supernet (Supernet): supernet with fresh weights.
        images (Tensor): a batch of training images.
    """

    truth: GroundTruth
    drawn: list[int]
    band: list[int]
    supernet: Supernet
    images: Tensor

    @property
    def rows(self) -> list[int]:
        """Rows of all networks."""
        return self.drawn + self.band

    @property
    def names(self) -> list[str]:
        """The networks as text."""
        return [str(Architecture(self.truth.options[row].tolist())) for row in self.rows]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a sample."""
    parser.add_argument("space", help="of the catalogue, such as nasbenchmacro")
    parser.add_argument("--preset", default="proxy")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--data", required=True, help="data source, as of spos run")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="files of ranking.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--band", type=int, default=300)
    parser.add_argument("--images", type=int, default=64)


def draw_sample(options: argparse.Namespace) -> Sample:
    """Draw the networks that `ranking.py` draws, and the images."""
    layout = read_layout(options.space, options.preset, [])
    truth = read_ground_truth(options.space, options.table, layout)
    order = generator(0, "networks").permutation(len(truth.accuracy))
    drawn = order[: options.networks].tolist()
    band = order[truth.band()[order]][: options.band].tolist()
    data = load_data(options.data, image_size=layout.image_size, test=0.1)
    picked = generator(0, "images").permutation(len(data.train))[: options.images]
    images = data.train.subset(sorted(picked.tolist()))
    batch, _ = next(
        iter(evaluation_batches(data, images, batch_size=len(images), device=torch.device("cpu")))
    )
    torch.manual_seed(0)
    supernet = family(options.space).build(
        layout, classes=data.outputs, image_channels=data.channels
    )
    return Sample(truth, drawn, band, supernet, batch)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sample = draw_sample(options)
    truth, chosen = sample.truth, sample.rows
    untrained = Untrained(copy.deepcopy(sample.supernet), sample.images)
    rankings: dict[str, NDArray[Any]] = {
        "multiply-adds": truth.costs["flops"][chosen].astype(float),
        "layers": truth.layers()[chosen].astype(float),
        **rankings_of(
            truth,
            chosen,
            {
                "NASWOT": Naswot(sample.supernet, sample.images),
                "patterns": Patterns(copy.deepcopy(sample.supernet), sample.images),
                "SynFlow": untrained.synflow,
                "gradient norm": untrained.gradient_norm,
                "Jacobian covariance": untrained.jacobian_covariance,
            },
        ),
    }
    added = {name: standard(rankings[name]) for name in ADDED}
    for path in options.scores:
        for name, values in one_shot_scores(path, sample.names).items():
            label, score = f"{path.stem}: {name}", standard(values)
            rankings[label] = score
            for other in ("NASWOT", "patterns"):
                for weight in WEIGHTS:
                    rankings[f"{label}, {weight:g} {other}"] = score + weight * added[other]
            rankings[f"{label}, 0.5 SynFlow"] = score + 0.5 * added["SynFlow"]
            rankings[f"{label}, 0.5 layers"] = score + 0.5 * added["layers"]
            both = added["NASWOT"] + added["layers"]
            rankings[f"{label}, 0.5 NASWOT, 0.5 layers"] = score + 0.5 * both
            more = added["patterns"] + 0.5 * added["layers"]
            rankings[f"{label}, 1 patterns, 0.5 layers"] = score + more
    write_tables(
        options.out / "summary",
        f"Ranking of {options.space} without training: {len(sample.drawn)} networks, "
        f"and {len(sample.band)} of a band of cost",
        {
            "Rank correlation with the true accuracy (95% interval over networks)": correlations(
                truth, sample.drawn, sample.band, rankings
            )
        },
    )


if __name__ == "__main__":
    main()
