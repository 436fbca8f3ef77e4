"""How many candidates a minute are evaluated: by a plain loop, and by each step away from it.

The plain loop extracts a network, recalibrates its batch norms on 20 batches, and validates it,
with torch as it is: one process on all cores, images in NCHW, nothing shared. The candidates are
those of a search over the same supernet, by the command line as a user has it. Then the candidates
of a longer search are evaluated again, iteration by iteration, with different limits of the memory
for what candidates share; as this is done by one thread, its time is that of the process, which
other programs do not change much.

    python benchmarks/evaluation_speed.py --run runs/supernet --max-flops 3M \\
        --runs runs/evaluation --out benchmarks/results/evaluation
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from launch import SPOS, run_command
from opened import choose_validation, open_run
from record import write_tables
from scipy.stats import kendalltau
from torch import Tensor

from spos import Architecture, OneShotEvaluator
from spos._util.files import read_own
from spos.report.result import read_result
from spos.run.network import calibration_loader, load_checkpoint, loader
from spos.search.recalibration import Loader, recalibrate
from spos.search.score import score
from spos.search.sharing import SharedStages

#: Batches of the recalibration of the plain loop.
BATCHES = 20
Scores = dict[Architecture, float]


class Evaluation:
    """The supernet of a run, and the images to evaluate its candidates on."""

    def __init__(self, run: Path, calibration: int | None, validation: int | None) -> None:
        self.context = open_run(run, calibration)
        self.supernet, _ = load_checkpoint(self.context)
        self.metric = self.context.fitness.metric
        self.validation = loader(self.context, choose_validation(self.context, validation))
        self.calibration = calibration_loader(self.context)

    def plain(self, architectures: Sequence[Architecture], batches: int | None) -> Scores:
        """Evaluate one by one, without anything that makes it faster."""
        found = {}
        calibration = _rows(self._batches(batches) if batches else self.calibration)
        for architecture in architectures:
            network = self.supernet.extract(architecture).to(memory_format=torch.contiguous_format)
            recalibrate(network, calibration)
            found[architecture] = score(network, _rows(self.validation), self.metric)
        return found

    def unfolded(self, architectures: Sequence[Architecture]) -> Scores:
        """Evaluate one by one in channels_last."""
        found = {}
        for architecture in architectures:
            network = self.supernet.extract(architecture)
            recalibrate(network, self.calibration)
            found[architecture] = score(network, self.validation, self.metric)
        return found

    def alone(self, architectures: Sequence[Architecture]) -> Scores:
        """Evaluate one by one, as spos does."""
        return dict(chain.from_iterable(self.shared([one]) for one in architectures))

    def shared(
        self,
        architectures: Sequence[Architecture],
        memory: int = 2 << 30,
        counts: SharedStages | None = None,
    ) -> Iterator[tuple[Architecture, float]]:
        """Evaluate together, as spos does."""
        evaluate = OneShotEvaluator(
            self.supernet,
            self.calibration,
            self.validation,
            metric=self.metric,
            memory=memory,
            sharing=counts,
        )
        return evaluate(architectures)

    def _batches(self, number: int) -> Loader:
        run = self.context.config.run
        run = replace(run, calibration=number * run.evaluation_batch)
        context = replace(self.context, config=replace(self.context.config, run=run))
        vars(context)["data"] = self.context.data
        batches = calibration_loader(context)
        return lambda: islice(batches(), number)


def _rows(batches: Loader) -> Loader:
    def loaded() -> Iterator[tuple[Tensor, Tensor]]:
        for images, targets in batches():
            yield images.contiguous(), targets

    return loaded


def search(options: argparse.Namespace, name: str, *given: str) -> tuple[float, list[Any]]:
    """Search by the command line, unless it has been; its seconds and candidates."""
    out = options.runs.resolve() / name
    if not (out / "result.json").exists() or read_result(out / "result.json").winner is None:
        command = [*SPOS, "search", "--reuse", str(options.run.resolve())]
        limit = ["--max-flops", options.max_flops] if options.max_flops else []
        run_command([*command, *limit, *given, "--out", str(out)], out.with_suffix(".log"))
    seconds = read_result(out / "result.json").seconds["search"]
    return seconds, read_own(out / "search.json")["candidates"]


def speed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Candidates a minute of each way, over candidates of the first and last iterations."""
    common = ("--threads", "1", "--set", f"search.iterations={options.iterations}")
    products = {
        f"spos search --workers {count}": search(
            options, f"workers-{count}", *common, "--workers", str(count)
        )
        for count in options.workers
    }
    candidates = next(iter(products.values()))[1]
    true = {Architecture.from_text(one["architecture"]): one["score"] for one in candidates}
    # Sharing is measured on whole iterations, the first one and the last.
    half = max(options.sample // 2, 1)
    chosen = list(true)[:half] + list(true)[-half:]
    best = max(true, key=lambda one: true[one])
    chosen += [best] if best not in chosen else []
    evaluation = Evaluation(options.runs / f"workers-{options.workers[0]}", None, None)

    def together() -> Scores:
        parts = chosen[:half], chosen[half:]
        return dict(chain.from_iterable(evaluation.shared(part) for part in parts))

    ways: dict[str, tuple[int, Callable[[], Scores]]] = {
        f"plain loop, {BATCHES} batches": (2, lambda: evaluation.plain(chosen, BATCHES)),
        "plain loop, as many calibration images": (2, lambda: evaluation.plain(chosen, None)),
        "one thread": (1, lambda: evaluation.plain(chosen, None)),
        "+ channels_last": (1, lambda: evaluation.unfolded(chosen)),
        "+ folded batch norms": (1, lambda: evaluation.alone(chosen)),
        "+ shared beginnings": (1, together),
    }
    rows: list[dict[str, Any]] = []
    for name, (threads, way) in ways.items():
        torch.set_num_threads(threads)
        began = time.perf_counter()
        with torch.no_grad():
            scores = way()
        minutes = (time.perf_counter() - began) / 60
        largest = max(abs(scores[one] - true[one]) for one in chosen)
        agreement = kendalltau([scores[one] for one in chosen], [true[one] for one in chosen])
        rows.append(
            {
                "way": name,
                "threads": threads,
                "candidates": len(chosen),
                "a minute": len(chosen) / minutes,
                "largest difference of a score": f"{largest:.1e}",
                "tau": f"{agreement.statistic:.3f}",
                "same best": max(scores, key=lambda one: scores[one]) == best,
            }
        )
    for name, (seconds, all_of_them) in products.items():
        winner = max(all_of_them, key=lambda one: one["score"])["architecture"]
        rows.append(
            {
                "way": name,
                "threads": int(name.split()[-1]),
                "candidates": len(all_of_them),
                "a minute": 60 * len(all_of_them) / seconds,
                "largest difference of a score": "0",
                "tau": "1",
                "same best": winner == str(best),
            }
        )
    for row in rows:
        row["to the plain loop"] = f"{row['a minute'] / rows[0]['a minute']:.2f}"
    return [{**row, "a minute": f"{row['a minute']:.1f}"} for row in rows]


def sharing(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time of a longer search's evaluations with different limits of the shared activations."""
    given = ["--set", f"search.iterations={options.long_iterations}", "--threads", "1"]
    given += ["--workers", str(max(options.workers))]
    _, candidates = search(options, "long", *given)
    evaluation = Evaluation(options.runs / "long", options.few // 2, options.few)
    torch.set_num_threads(1)
    iterations = [
        [Architecture.from_text(one["architecture"]) for one in group]
        for _, group in groupby(candidates, key=lambda one: one["iteration"])
    ]
    thirds = np.array_split(np.arange(len(iterations)), 3)
    parts = {
        "all": np.arange(len(iterations)),
        "first third": thirds[0],
        "last third": thirds[2],
    }
    limits = (0.0, *options.memory)
    seconds: dict[float, list[float]] = {gibibytes: [] for gibibytes in limits}
    saved: dict[float, list[float]] = {gibibytes: [] for gibibytes in limits}
    for group in iterations:
        # In turns: what slows the machine down slows all of them down.
        for gibibytes in limits:
            counts = SharedStages()
            began = time.process_time()
            if gibibytes:
                dict(evaluation.shared(group, int(gibibytes * 2**30), counts))
            else:
                evaluation.alone(group)
                counts = SharedStages(len(group), 1, 1)
            seconds[gibibytes].append(time.process_time() - began)
            saved[gibibytes].append(1 - counts.computed / counts.stages)
    rows = []
    for gibibytes in limits:
        row: dict[str, Any] = {"memory": f"{gibibytes:g} GiB" if gibibytes else "none shared"}
        row["candidates"] = len(candidates)
        for name, part in parts.items():
            took, plain = (
                sum(times[at] for at in part) for times in (seconds[gibibytes], seconds[0])
            )
            row[f"time, {name}"] = f"{took / plain:.2f}"
            row[f"blocks saved, {name}"] = f"{np.mean([saved[gibibytes][at] for at in part]):.0%}"
        rows.append(row)
    return rows


PARTS = {"speed": ("Candidates a minute", speed), "sharing": ("Shared beginnings", sharing)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run with a trained supernet")
    parser.add_argument("--max-flops", help="limit of the searches")
    parser.add_argument("--iterations", type=int, default=6, help="of the timed searches")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of these searches")
    parser.add_argument("--sample", type=int, default=100, help="candidates of the other ways")
    parser.add_argument("--long-iterations", type=int, default=20, help="of the longer search")
    parser.add_argument("--few", type=int, default=1000, help="validation images")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--memory", type=float, nargs="*", default=[0.25, 0.5, 1, 2, 4])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    chosen = (PARTS[part] for part in PARTS if part in options.parts)
    tables = {title: make(options) for title, make in chosen}
    write_tables(options.out / "summary", "Evaluation of candidates", tables)


if __name__ == "__main__":
    main()
