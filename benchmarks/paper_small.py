"""The tables of the paper on CIFAR-10 at the size of a CPU, at equal multiply-adds.

Searches over supernets of several seeds, by evolution and at random, and trains the networks found,
random ones, those with the same block everywhere, and published ones scaled to the same cost, all
by one recipe. Rerun the same command to resume. The random networks are the first ones of
`truth_table.py`, and shared with it if its runs are in RUNS/truth.

    python benchmarks/paper_small.py --data folder:data/cifar10-train.zip \\
        --set data.test=10000 --processes 2 \\
        --runs runs/paper-small --out benchmarks/results/paper_small
"""

from __future__ import annotations

import argparse
import statistics
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from launch import SPOS, run_command
from record import write_tables
from scipy import stats
from truth_table import draw

from spos import Architecture, CostTable
from spos.cost import count_network
from spos.cost.units import COUNT
from spos.report.result import read_result
from spos.run.config import read_layout
from spos.spaces import family
from spos.spaces.zoo import build_network

#: Published networks, designed by hand or found by other searches, all of inverted residuals or
#: shuffle units.
PUBLISHED = ("mobilenet_v2", "shufflenet_v2_1.5", "mnasnet_b1", "fbnet_b", "proxyless_r")
#: Factors of the channels that are tried to meet a cost.
WIDTHS: list[float] = np.arange(0.05, 3, 0.005).round(3).tolist()
FOUND = "supernet + evolution"
RANDOM_SEARCH = "supernet + random search"
RANDOM = "random network"


class Row(NamedTuple):
    """Trainings of one kind, in the order of their seeds."""

    scores: list[float]
    flops: list[int]


class Table:
    """Trains the networks of the tables by the command line, as a user would."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.most = COUNT.parse(options.max_flops)
        self.runs = options.runs.resolve()
        self.runs.mkdir(parents=True, exist_ok=True)
        self.layout = read_layout(
            options.space,
            options.preset,
            [one for one in options.set if one.startswith("layout.")],
        )
        self.images = {"classes": 10, "image_channels": options.image_channels}
        self.common = ["--space", options.space, "--preset", options.preset]
        self.common += ["--data", options.data, "--threads", "1"]
        self.common += [part for one in options.set for part in ("--set", one)]

    def command(self, name: str, *given: str) -> Path:
        """Run a command of spos, unless its result is there."""
        out = self.runs / name
        result = out / "result.json"
        if not result.exists() or read_result(result).test_score is None:
            verb, *rest = given
            run_command(
                [*SPOS, verb, *self.common, *rest, "--out", str(out)], self.runs / f"{name}.log"
            )
        return result

    def retrain(self, name: str, network: str, seed: int, *settings: str) -> Path:
        """Train one network."""
        given = [part for one in settings for part in ("--set", one)]
        return self.command(name, "retrain", "--network", network, "--seed", str(seed), *given)

    def search(self, seed: int) -> dict[str, list[Path]]:
        """Train a supernet, search it in each way, and train the networks found."""
        given = ("--max-flops", self.options.max_flops, "--seed", str(seed))
        found = self.command(f"evolution-{seed}", "run", *given)
        reused = ("--reuse", str(found.parent))
        random = self.command(f"random-{seed}", "run", *given, "--algorithm", "random", *reused)
        cheap = f"{2 / 3 * self.most:.0f}"
        cheaper = self.command(f"cheaper-{seed}", "run", *given[2:], "--max-flops", cheap, *reused)
        return {FOUND: [found], RANDOM_SEARCH: [random], f"{FOUND}, two thirds": [cheaper]}

    def uniform(self, option: str) -> tuple[str, tuple[str, ...]]:
        """The network with one option everywhere, and the layout that gives it the cost."""

        def layout_and_network(width: float) -> tuple[Any, Architecture, int]:
            layout = replace(self.layout, channels=self.layout.scaled(width).channels)
            with torch.device("meta"):
                supernet = family(self.options.space).build(layout, **self.images)
            # Of all its networks one alone is counted.
            table = CostTable(supernet, eager=False)
            network = table.space.from_names({one.name: option for one in table.space.choices})
            return layout, network, table.cost(network)["flops"]

        width = self.widest(lambda width: layout_and_network(width)[2])
        layout, network, _ = layout_and_network(width)
        channels = ",".join(map(str, layout.channels))
        return str(network), (f"layout.channels={channels}",)

    def published(self, name: str) -> str:
        """The setting of the width at which a published network has the cost."""
        side = self.layout.image_size
        shape = (self.options.image_channels, side, side)

        def flops(width: float) -> int:
            with torch.device("meta"):
                network = build_network(name, image_size=side, width=width, **self.images)
            return count_network(network, shape)["flops"]

        return f"network.width={self.widest(flops):g}"

    def widest(self, flops: Callable[[float], int]) -> float:
        """The largest factor of the channels within the cost, which grows with it."""
        number = bisect_right(WIDTHS, self.most, key=flops)
        assert number, "a narrow network is within every cost"
        return WIDTHS[number - 1]

    def jobs(self) -> list[Callable[[], dict[str, list[Path]]]]:
        """Everything to train; each job returns results by the row they belong to."""
        options = self.options
        jobs: list[Callable[[], dict[str, list[Path]]]] = [
            partial(self.search, seed) for seed in range(options.seeds)
        ]

        def one(row: str, name: str, network: str, seed: int, *given: str) -> None:
            jobs.append(lambda: {row: [self.retrain(name, network, seed, *given)]})

        space = (options.space, options.preset, options.set, options.image_channels)
        (self.runs / "truth").mkdir(exist_ok=True)
        for number, network in enumerate(draw(*space, self.most, options.random)):
            one(RANDOM, f"truth/{number:02}-0", str(network), 0)
        with torch.device("meta"):
            choices = family(options.space).build(self.layout, **self.images).space.choices
        common = [
            option
            for option in choices[0].options
            if all(option in choice.options for choice in choices)
        ]
        for option in common:
            network, given = self.uniform(option)
            for seed in range(options.baseline_seeds):
                one(f"{option} everywhere", f"{option}-{seed}", network, seed, *given)
        for name in PUBLISHED:
            width = self.published(name)
            for seed in range(options.baseline_seeds):
                one(f"{name}, {width}", f"{name}-{seed}", name, seed, width)
        return jobs


def collect(results: Sequence[dict[str, list[Path]]]) -> dict[str, Row]:
    """Read the scores and the costs of all trainings, by row."""
    rows: dict[str, Row] = {}
    for one in results:
        for name, paths in one.items():
            for result in map(read_result, paths):
                trained = result.winner or result.network
                assert trained is not None and result.test_score is not None
                row = rows.setdefault(name, Row([], []))
                row.scores.append(100 * result.test_score)
                row.flops.append(trained.costs["flops"])
    return rows


def describe(name: str, row: Row, found: Row) -> dict[str, Any]:
    """A row of the table, with the difference of the networks found from it."""
    flops = statistics.fmean(row.flops)
    cells: dict[str, Any] = {
        "networks": name,
        "multiply-adds": f"{flops / 1e6:.2f}M",
        "trainings": len(row.scores),
        "test top-1": f"{statistics.fmean(row.scores):.2f}",
        "deviation": f"{statistics.stdev(row.scores):.2f}" if len(row.scores) > 1 else "",
        "best": f"{max(row.scores):.2f}",
    }
    if row is found:
        return cells
    cells["found less it"] = f"{statistics.fmean(found.scores) - statistics.fmean(row.scores):+.2f}"
    if len(row.scores) > 1 and len(found.scores) > 1:
        # The searches share a supernet of each seed; the other rows have nothing in common.
        paired = name == RANDOM_SEARCH
        test = stats.ttest_rel if paired else partial(stats.ttest_ind, equal_var=False)
        compared = test(found.scores, row.scores)
        interval = compared.confidence_interval(0.95)
        cells["95% interval"] = f"{interval.low:+.2f} to {interval.high:+.2f}"
        cells["p"] = f"{compared.pvalue:.3f}"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--set", action="append", default=[], help="setting of the layout or run")
    parser.add_argument("--max-flops", default="3M", help="cost of all networks")
    parser.add_argument("--data", required=True, help="data source, as of spos run")
    parser.add_argument("--image-channels", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="supernets")
    parser.add_argument("--random", type=int, default=10, help="random networks")
    parser.add_argument("--baseline-seeds", type=int, default=3, help="trainings of each baseline")
    parser.add_argument("--processes", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # As each run has, for the record.
    with ThreadPoolExecutor(options.processes) as pool:
        rows = collect(list(pool.map(lambda job: job(), Table(options).jobs())))
    found = rows[FOUND]
    tables = {"Test accuracy": [describe(name, row, found) for name, row in rows.items()]}
    write_tables(
        options.out / "summary",
        f"Networks of {options.space} and others of at most {options.max_flops} multiply-adds",
        tables,
    )


if __name__ == "__main__":
    main()
