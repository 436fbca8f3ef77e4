"""The tables of the paper on CIFAR-10 at the size of a CPU, at equal multiply-adds.

Searches over supernets of several seeds, by evolution and at random, and by differentiable methods
in about the same time, and trains the networks found, random ones, those with the same block
everywhere, and published ones scaled to the same cost, all by one recipe. Rerun the same command to
resume. The random networks are the first ones of
`truth_table.py`, and shared with it if its runs are in RUNS/truth.

Several machines may share the work: OUT/trainings.json has what was found and trained so far, and
what is in the file of `--known` is not done again. With `--seeds 0` nothing is searched for.

    python benchmarks/paper_small.py --data folder:data/cifar10-train.zip \\
        --set data.test=10000 --processes 2 \\
        --runs runs/paper-small --out benchmarks/results/paper_small
"""

from __future__ import annotations

import argparse
import json
import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any, NamedTuple

import numpy as np
import torch
from launch import SPOS, run_command
from record import write_tables
from scipy import stats
from truth_table import draw

from spos import Architecture, CostTable
from spos._util.files import write_atomically
from spos.cost import count_network
from spos.cost.units import COUNT
from spos.report.result import Result, read_result
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
LOSS_ALONE = f"{FOUND}, loss alone"
CHEAPER = f"{FOUND}, two thirds"
RANDOM = "random network"
#: Rows whose searches share a supernet of each seed with the first.
PAIRED = (RANDOM_SEARCH, LOSS_ALONE, CHEAPER)


class Training(NamedTuple):
    """A network to train: its row, the seed, the name of its run, and a setting it needs."""

    row: str
    network: str
    seed: int
    name: str
    setting: str = ""


class Search(NamedTuple):
    """A search: its row, the name and seed of its run, the limit of the cost, and its options.

    A search over single paths shares the supernet of its seed with others; a differentiable one
    trains its own.
    """

    row: str
    name: str
    seed: int
    most: float
    options: tuple[str, ...] = ()
    own_supernet: bool = False


class Found(NamedTuple):
    """What a search finds: the network, and the minutes that supernet and search took."""

    network: str
    minutes: float


class Trained(NamedTuple):
    """What came of a training: top-1 of the test images in percent, and the cost."""

    training: Training
    score: float
    cost: int
    device: str


class Known:
    """What is found and trained already, in a file.

    Args:
        path: the file; written after each step.
        earlier: another such file to begin with, such as that of another machine.
    """

    def __init__(self, path: Path, earlier: Path | None) -> None:
        self._path, self._lock = path, Lock()
        self._content: dict[str, dict[str, Any]] = {"found": {}, "trained": {}}
        for one in (earlier, path):
            if one is not None and one.exists():
                for name, content in json.loads(one.read_text()).items():
                    self._content[name] |= content

    def found(self, search: Search, find: Callable[[Search], Found]) -> Found:
        """What a search finds."""
        name = f"{search.row}, seed {search.seed}"
        known = self._content["found"].get(name)
        return Found(*known) if known else self._keep("found", name, find(search))

    def trained(self, training: Training, train: Callable[[Training], Trained]) -> Trained:
        """What comes of a training."""
        known = self._content["trained"].get(training.name)
        if known:
            trained = Trained(Training(*known[0]), *known[1:])
            if trained.training == training:
                return trained
        return self._keep("trained", training.name, train(training))

    def _keep(self, kind: str, name: str, value: Any) -> Any:
        with self._lock:
            self._content[kind][name] = value
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps(self._content, indent=1) + "\n")
        return value


class Table:
    """Trains the networks of the tables by the command line, as a user would."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.cost = "flops" if options.max_bitops is None else "bitops"
        self.most = COUNT.parse(options.max_bitops or options.max_flops)
        self.runs = options.runs.resolve()
        for folder in ("found", "truth"):
            (self.runs / folder).mkdir(parents=True, exist_ok=True)
        self.layout = read_layout(
            options.space,
            options.preset,
            [one for one in options.set if one.startswith("layout.")],
        )
        self.images = {"classes": 10, "image_channels": options.image_channels}
        self.common = ["--space", options.space, "--preset", options.preset]
        self.common += ["--data", options.data, "--threads", "1"]
        self.common += [part for one in options.set for part in ("--set", one)]
        self.known = Known(options.out / "trainings.json", options.known)
        self.places = Semaphore(options.processes)
        self.supernets = [Lock() for _ in range(options.seeds)]
        self.minutes: dict[str, list[float]] = {}

    def command(self, name: str, done: Callable[[Result], object], verb: str, *rest: str) -> Result:
        """Run a command of spos, unless it has been."""
        out = self.runs / name
        result = out / "result.json"
        if not result.exists() or not done(read_result(result)):
            command = [*SPOS, verb, *self.common, *rest, "--out", str(out)]
            with self.places:
                run_command(command, self.runs / f"{name}.log")
        return read_result(result)

    def retrain(self, training: Training) -> Trained:
        """Train one network."""
        given = ["--network", training.network, "--seed", str(training.seed)]
        given += ["--set", training.setting] if training.setting else []
        result = self.command(
            training.name, lambda result: result.test_score is not None, "retrain", *given
        )
        assert result.network is not None and result.test_score is not None
        score = round(100 * result.test_score, 3)
        return Trained(training, score, result.network.costs[self.cost], result.device)

    def searches(self) -> Iterator[Search]:
        """The searches of all seeds."""
        options, within = self.options, ("--set", "differentiable.charge=above-limit")
        for seed in range(options.seeds):
            yield Search(FOUND, "evolution", seed, self.most)
            yield Search(RANDOM_SEARCH, "random", seed, self.most, ("--algorithm", "random"))
            if seed < options.loss_alone_seeds:
                alone = ("--set", "search.naswot_weight=0")
                yield Search(LOSS_ALONE, "loss-alone", seed, self.most, alone)
            if seed < options.cheaper_seeds:
                yield Search(CHEAPER, "cheaper", seed, 2 / 3 * self.most)
            for given in options.differentiable if seed < options.differentiable_seeds else ():
                name, _, steps = given.partition("=")
                own = ("--algorithm", name, "--set", f"supernet.steps={steps}", *within)
                yield Search(name, name, seed, self.most, own, own_supernet=True)

    def find(self, search: Search) -> Found:
        """Train a supernet, unless another search of the seed has, and search it."""
        seed = ("--seed", str(search.seed))
        given = (f"--max-{self.cost}", f"{search.most:.0f}", *search.options, *seed)
        name = f"{search.name}-{search.seed}"
        supernet = f"supernet-{search.seed}"
        if search.own_supernet:
            supernet = name
            trained = self.command(name, lambda result: result.train, "train", *given)
        else:
            with self.supernets[search.seed]:
                trained = self.command(supernet, lambda result: result.train, "train", *seed)
            given += ("--reuse", str(self.runs / supernet))
        result = self.command(name, lambda result: result.winner, "search", *given)
        assert result.winner is not None
        seconds = trained.seconds["train"] + result.seconds["search"]
        return Found(str(result.winner.architecture), round(seconds / 60, 1))

    def uniform(self, option: str) -> tuple[str, str]:
        """The network with one option everywhere, and the setting that gives it the cost."""

        def layout_and_network(width: float) -> tuple[Any, Architecture, float]:
            layout = replace(self.layout, channels=self.layout.scaled(width).channels)
            with torch.device("meta"):
                supernet = family(self.options.space).build(layout, **self.images)
            # Of all its networks one alone is counted.
            table = CostTable(supernet, eager=False)
            network = table.space.from_names({one.name: option for one in table.space.choices})
            return layout, network, table.cost(network)[self.cost]

        width = self.widest(lambda width: layout_and_network(width)[2])
        layout, network, _ = layout_and_network(width)
        channels = ",".join(map(str, layout.channels))
        return str(network), f"layout.channels={channels}"

    def published(self, name: str) -> str:
        """The setting of the width at which a published network has the cost."""
        side = self.layout.image_size
        shape = (self.options.image_channels, side, side)

        def cost(width: float) -> float:
            with torch.device("meta"):
                network = build_network(name, image_size=side, width=width, **self.images)
            return count_network(network, shape)[self.cost]

        return f"network.width={self.widest(cost):g}"

    def widest(self, cost: Callable[[float], float]) -> float:
        """The largest factor of the channels within the limit of the cost, which grows with it."""
        number = bisect_right(WIDTHS, self.most, key=cost)
        assert number, "a narrow network is within every cost"
        return WIDTHS[number - 1]

    def baselines(self) -> Iterator[Training]:
        """The networks that are not searched for."""
        options = self.options
        space = (options.space, options.preset, options.set, options.image_channels)
        for number, network in enumerate(draw(*space, self.most, options.random, self.cost)):
            yield Training(RANDOM, str(network), 0, f"truth/{number:02}-0")
        with torch.device("meta"):
            choices = family(options.space).build(self.layout, **self.images).space.choices
        common = [
            option
            for option in choices[0].options
            if all(option in choice.options for choice in choices)
            and (options.uniform is None or option in options.uniform)
        ]
        for option in common:
            uniform, setting = self.uniform(option)
            for seed in range(options.baseline_seeds):
                yield Training(f"{option} everywhere", uniform, seed, f"{option}-{seed}", setting)
        for name in options.published:
            width = self.published(name)
            for seed in range(options.baseline_seeds):
                yield Training(f"{name}, {width}", name, seed, f"{name}-{seed}", width)
        for row, network, setting in options.also:
            for seed in range(options.baseline_seeds):
                yield Training(row, network, seed, f"{row.replace(' ', '-')}-{seed}", setting)

    def train(self) -> dict[str, list[Trained]]:
        """Search, and train all networks, several at a time; by row."""

        def train(one: Search | Training) -> Trained:
            if isinstance(one, Search):
                found = self.known.found(one, self.find)
                self.minutes.setdefault(one.row, []).append(found.minutes)
                name = f"found/{one.name}-{one.seed}"
                one = Training(one.row, found.network, one.seed, name)
            return self.known.trained(one, self.retrain)

        work = [*self.searches(), *self.baselines()]
        # Each waits for a place of its own: a search must not keep one while others train its
        # supernet.
        with ThreadPoolExecutor(len(work)) as pool:
            rows: dict[str, list[Trained]] = {}
            for one in pool.map(train, work):
                rows.setdefault(one.training.row, []).append(one)
            return rows


def describe(
    name: str, row: list[Trained], found: list[Trained], minutes: Sequence[float], cost: str
) -> dict[str, Any]:
    """A row of the table, with the difference of the networks found from it."""
    scores, best = [one.score for one in row], [one.score for one in found]
    mean = statistics.fmean(one.cost for one in row)
    cells: dict[str, Any] = {
        "networks": name,
        cost: f"{mean / 1e6:.2f}M",
        "trainings": len(scores),
        "test top-1": f"{statistics.fmean(scores):.2f}",
        "deviation": f"{statistics.stdev(scores):.2f}" if len(scores) > 1 else "",
        "best": f"{max(scores):.2f}",
        "trained on": ", ".join(sorted({one.device for one in row})),
        "minutes of search": f"{statistics.fmean(minutes):.0f}" if minutes else "",
    }
    if row is found:
        return cells
    cells["found less it"] = f"{statistics.fmean(best) - statistics.fmean(scores):+.2f}"
    if len(scores) > 1 and len(best) > 1:
        paired = name in PAIRED and len(scores) == len(best)
        test = stats.ttest_rel if paired else partial(stats.ttest_ind, equal_var=False)
        compared = test(best, scores)
        interval = compared.confidence_interval(0.95)
        cells["95% interval"] = f"{interval.low:+.2f} to {interval.high:+.2f}"
        cells["p"] = f"{compared.pvalue:.3f}"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--set", action="append", default=[], help="setting of the layout or run")
    parser.add_argument("--max-flops", default="3M", help="multiply-adds of all networks")
    parser.add_argument("--max-bitops", help="bit operations of all networks, instead")
    parser.add_argument("--data", required=True, help="data source, as of spos run")
    parser.add_argument("--image-channels", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="supernets; 0 for the others alone")
    parser.add_argument(
        "--cheaper-seeds", type=int, default=3, help="supernets searched at two thirds of the cost"
    )
    parser.add_argument(
        "--loss-alone-seeds",
        type=int,
        default=0,
        help="supernets searched by the loss alone, if search.naswot_weight is set",
    )
    parser.add_argument(
        "--differentiable",
        nargs="*",
        default=[],
        metavar="NAME=STEPS",
        help="differentiable searches, with as many steps as take the time of the others",
    )
    parser.add_argument(
        "--differentiable-seeds", type=int, default=3, help="seeds of each of these searches"
    )
    parser.add_argument("--random", type=int, default=10, help="random networks")
    parser.add_argument("--baseline-seeds", type=int, default=3, help="trainings of each baseline")
    parser.add_argument("--published", nargs="*", default=PUBLISHED, metavar="NAME")
    parser.add_argument(
        "--uniform", nargs="*", metavar="OPTION", help="options to have everywhere; by default all"
    )
    parser.add_argument(
        "--also",
        nargs=3,
        action="append",
        default=[],
        metavar=("ROW", "NETWORK", "SETTING"),
        help="a further network, and a setting it needs",
    )
    parser.add_argument("--processes", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--known", type=Path, help="a trainings.json to begin with")
    options = parser.parse_args(arguments)
    if options.known is not None and not options.known.exists():
        parser.error(f"--known {options.known}: no such file")
    torch.set_num_threads(1)  # As each run has, for the record.
    table = Table(options)
    rows = table.train()
    if FOUND not in rows:
        return
    cost = {"flops": "multiply-adds", "bitops": "bit operations"}[table.cost]
    tables = {
        "Test accuracy": [
            describe(name, row, rows[FOUND], table.minutes.get(name, ()), cost)
            for name, row in rows.items()
        ]
    }
    write_tables(
        options.out / "summary",
        f"Networks of {options.space} and others of at most "
        f"{options.max_bitops or options.max_flops} {cost}",
        tables,
    )


if __name__ == "__main__":
    main()
