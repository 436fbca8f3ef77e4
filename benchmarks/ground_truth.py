"""Tables of trained networks, which tell how good each network of a space really is."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spos import CostTable
from spos.search.depth import option_depths
from spos.space import Architecture, SearchSpace
from spos.spaces import family
from spos.spaces.nasbench201 import parse_architecture_string

#: Multiply-adds of the networks of NAS-Bench-Macro that a search under a bound decides between.
MACRO_BAND = (52e6, 59e6)
#: Spaces of published tables.
PUBLISHED = ("nasbench201", "nasbenchmacro")


@dataclass(frozen=True)
class GroundTruth:
    """The trained accuracy and the costs of every network of a benchmark.

    Args:
        name (str): space of the catalogue.
        table (CostTable): costs of the networks at the size at which they were trained.
        depths (Sequence[NDArray]): depth of each option of each choice.
        options (NDArray): option indices, shape (networks, choices).
        accuracy (NDArray): mean test accuracy in percent, shape (networks,).
        costs (dict[str, NDArray]): values of each cost, shape (networks,).
    """

    name: str
    table: CostTable
    depths: Sequence[NDArray[np.float64]]
    options: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    costs: dict[str, NDArray[np.float64]]

    @property
    def space(self) -> SearchSpace:
        return self.table.space

    @cached_property
    def rows(self) -> dict[tuple[int, ...], int]:
        """Position in the table of each architecture."""
        return {tuple(one): number for number, one in enumerate(self.options.tolist())}

    def look_up(self, architectures: Iterable[Architecture]) -> list[float]:
        """True accuracy of architectures."""
        return self.accuracy[[self.rows[one] for one in architectures]].tolist()

    def layers(self) -> NDArray[np.float64]:
        """Depth of each network, as a search with ``search.depth_weight`` counts it."""
        return np.stack([own[self.options[:, place]] for place, own in enumerate(self.depths)]).sum(
            0
        )

    def band(self) -> NDArray[np.bool_]:
        """The networks of about the same cost between which a search under a bound decides."""
        flops = self.costs["flops"]
        if self.name == "nasbenchmacro":
            least, most = MACRO_BAND
        elif self.name not in PUBLISHED:
            # A table of `truth_table.py` is of one band.
            least, most = flops.min(), flops.max()
        else:
            least, most = np.quantile(flops, (0.6, 0.8)).tolist()
        inside: NDArray[np.bool_] = (flops >= least) & (flops <= most)
        return inside


def read_ground_truth(name: str, path: Path, layout: Any = None) -> GroundTruth:
    """Read the table of a benchmark, or one that `truth_table.py` has written.

    Args:
        name (str): space of the catalogue.
        path (Path): CSV file; of a published table with the columns ``arch`` and
            ``cifar10_test_top1``, otherwise with ``arch``, ``flops`` and ``test_top1``, one row per
            training.
        layout (Any): layout of the networks; None for that of the published table.
    """
    spaces = family(name)
    with torch.device("meta"):
        built = layout if layout and name not in PUBLISHED else spaces.preset("cifar")
        supernet = spaces.build(built, classes=10)
        table = CostTable(supernet)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if name in PUBLISHED:
        accuracy = np.array([float(row["cifar10_test_top1"]) for row in rows])
        options = np.array([_parse_published(name, row["arch"], table.space) for row in rows])
    else:
        trained: dict[str, list[float]] = {}
        for row in rows:
            trained.setdefault(row["arch"], []).append(float(row["test_top1"]))
        accuracy = np.array([np.mean(own) for own in trained.values()])
        options = np.array([table.space.parse(text) for text in trained])
    costs = table.many(options)
    return GroundTruth(
        name=name,
        table=table,
        depths=option_depths(supernet),
        options=options,
        accuracy=accuracy,
        costs={cost: costs[:, place] for place, cost in enumerate(table.names)},
    )


def _parse_published(name: str, text: str, space: SearchSpace) -> Sequence[int]:
    if name == "nasbenchmacro":
        return [int(digit) for digit in text]
    return space.from_names(parse_architecture_string(text))
