"""How many supernets should score a candidate: the mean of their losses, against published truth.

Takes seconds: the losses come from files of scores that `ranking.py` has left, one for each
supernet. For each number of supernets, all subsets of the files are ranked by.

    python benchmarks/members.py nasbenchmacro --table data/nasbenchmacro-cifar10.csv \\
        --data folder:data/cifar10-train.zip --scores runs/members/scores/*.json \\
        --out benchmarks/results/members/nasbenchmacro
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from ranking import Floats, standard
from record import write_tables
from scipy.stats import kendalltau
from training_free import add_arguments, draw_sample, one_shot_losses, rankings_of

from spos.search import Naswot

#: Weights of the scores that need no training, of NASWOT and of the number of layers.
ADDED = {"loss": (0, 0), "0.5 NASWOT": (0.5, 0), "0.5 layers": (0, 0.5), "0.5 of both": (0.5, 0.5)}


def spread(values: Sequence[float], digits: int) -> str:
    """The mean of values, with the least and the largest of several."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def row_of(
    losses: Sequence[Floats], number: int, added: Floats, measures: dict[str, Callable[..., float]]
) -> dict[str, Any]:
    """How well all subsets of a number of losses rank, with a score added to their mean."""
    subsets = list(combinations(losses, number))
    # As in a search: the mean of the losses themselves, and both scores in standard deviations.
    rankings = [standard(np.mean(subset, axis=0)) + added for subset in subsets]
    cells: dict[str, Any] = {"supernets": number, "subsets": len(subsets)}
    for name, measure in measures.items():
        cells[name] = spread([measure(by) for by in rankings], 2 if "accuracy" in name else 3)
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    if not options.scores:
        parser.error("--scores: give the files that ranking.py has left")
    torch.set_num_threads(1)
    sample = draw_sample(options)
    true = sample.truth.accuracy[sample.rows]
    naswot = rankings_of(
        sample.truth, sample.rows, {"NASWOT": Naswot(sample.supernet, sample.images)}
    )["NASWOT"]
    layers = sample.truth.layers()[sample.rows].astype(float)
    losses = [one_shot_losses(path, sample.names) for path in options.scores]
    count = len(sample.drawn)
    half = np.argsort(-true[:count], kind="stable")[: count // 2]
    groups = {"all": np.arange(count), "better half": half, "band": np.arange(count, len(true))}

    def tau(members: Any) -> Callable[[Floats], float]:
        return lambda by: float(kendalltau(true[members], by[members]).statistic)

    measures = {f"tau, {name}": tau(members) for name, members in groups.items()}
    measures["true accuracy of the best of the band"] = lambda by: float(
        true[count + by[count:].argmax()]
    )
    tables = {
        f"Mean of the losses, and {name}" if any(weights) else "Mean of the losses": [
            row_of(
                losses,
                number,
                weights[0] * standard(naswot) + weights[1] * standard(layers),
                measures,
            )
            for number in range(1, len(losses) + 1)
        ]
        for name, weights in ADDED.items()
    }
    write_tables(
        options.out / "summary",
        f"Supernets of {options.space} together: {count} networks, and {len(sample.band)} of a "
        "band of cost; mean over subsets (least to largest)",
        tables,
    )


if __name__ == "__main__":
    main()
