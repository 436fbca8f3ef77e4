"""What a supernet and short trainings of its best candidates bring, at equal total compute.

The rival needs no supernet: as many random networks of the band of cost as can be trained shortly
in the same time, of which the best one on held-out images is kept. How good a network that is found
really is, is looked up in a table of trained networks. The time of each way is that of its
trainings and evaluations on one core, as measured; what the rival finds is the mean over many
draws from the random networks that were trained. Rerun the same command to resume.

    spos train --space nasbenchmacro --preset proxy --data folder:cifar10-train.zip --out runs/a
    python benchmarks/equal_compute.py nasbenchmacro --table data/nasbenchmacro-cifar10.csv \\
        --run runs/a --steps 700 --runs runs/equal --out benchmarks/results/equal_compute
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ground_truth import GroundTruth, read_ground_truth
from launch import SPOS, run_command
from opened import open_run
from ranking import Scores
from record import write_tables
from scipy.stats import kendalltau
from table_search import searched_by_spos

from spos import Architecture, Constraint
from spos._util.files import write_atomically
from spos._util.randomness import generator
from spos.report.result import read_result
from spos.run.directory import RunDirectory
from spos.search import SearchSettings
from spos.spaces import family

#: Draws of the rival.
DRAWS = 2000


class Trained(NamedTuple):
    """A short training: score on the test images of the run, and seconds."""

    score: float
    seconds: float


class ShortTrainings:
    """Trains networks shortly by the command line, each once.

    Args:
        options: of the command.
        like: run whose layout and images the trainings have.
    """

    def __init__(self, options: argparse.Namespace, like: Path) -> None:
        self._options = options
        config, _ = RunDirectory(like).resolve_config({}, ())
        preset = vars(family(config.space).preset(config.preset))
        self._command = [*SPOS, "retrain", "--space", config.space, "--preset", config.preset]
        self._command += ["--data", config.data.source, "--threads", "1"]
        self._command += ["--retrain-steps", str(options.steps)]
        for name, value in vars(config.layout).items():
            if value != preset[name]:
                text = ",".join(map(str, value)) if isinstance(value, tuple) else value
                self._command += ["--set", f"layout.{name}={text}"]
        options.runs.mkdir(parents=True, exist_ok=True)

    def __call__(self, architectures: Sequence[Architecture]) -> list[Trained]:
        """Train networks, several at a time."""
        with ThreadPoolExecutor(self._options.processes) as pool:
            return list(pool.map(self._train, architectures))

    def _train(self, architecture: Architecture) -> Trained:
        out = self._options.runs / str(architecture).replace(",", "-")
        if not (out / "result.json").exists():
            given = ["--network", str(architecture), "--out", str(out)]
            run_command([*self._command, *given], out.with_suffix(".log"))
        result = read_result(out / "result.json")
        assert result.test_score is not None
        return Trained(result.test_score, result.seconds["retrain"])


class Candidates(NamedTuple):
    """What a search over a supernet finds: candidates from the best, and all seconds it took."""

    ranked: list[Architecture]
    seconds: float


def search(
    run: Path, truth: GroundTruth, band: Constraint, options: argparse.Namespace
) -> Candidates:
    """Search a supernet by evolution for networks of a band of cost; kept in a file."""
    kept = options.runs / f"search-{run.name}.json"
    if not kept.exists():
        (options.runs / "scores").mkdir(parents=True, exist_ok=True)
        images = (options.calibration, options.validation)
        scores = Scores(run, options.runs / "scores" / f"{run.name}.json", truth, images)
        known: dict[Architecture, float] = {}
        began = time.monotonic()

        def evaluate(candidates: Sequence[Architecture]) -> list[float]:
            values = (-scores([truth.rows[one] for one in candidates])[:, 0]).tolist()
            known.update(zip(candidates, values, strict=True))
            return values

        population = min(50, options.evaluations)
        settings = SearchSettings(
            population=population, iterations=options.evaluations // population
        )
        for _ in searched_by_spos(truth, band, settings, evaluate):
            pass
        ranked = sorted(known, key=known.__getitem__, reverse=True)
        content = {"ranked": list(map(str, ranked)), "seconds": time.monotonic() - began}
        write_atomically(kept, json.dumps(content))
    content = json.loads(kept.read_text())
    ranked = [Architecture(map(int, text.split(","))) for text in content["ranked"]]
    trained = open_run(run).directory.stage_path("train")
    return Candidates(ranked, content["seconds"] + json.loads(trained.read_text())["seconds"])


def best_of_random(
    pool: Sequence[tuple[float, Trained]], seconds: float
) -> tuple[int, float, float]:
    """Number of random networks that there is time for, and mean and deviation of the best found.

    Args:
        pool: true accuracy and short training of each random network.
        seconds: time for all short trainings of the rival.
    """
    count = max(1, int(seconds / statistics.fmean(one.seconds for _, one in pool)))
    random = generator(0, "rival")
    found = []
    for _ in range(DRAWS):
        drawn = random.choice(len(pool), min(count, len(pool)), replace=False)
        found.append(pool[max(drawn, key=lambda place: pool[place][1].score)][0])
    return count, statistics.fmean(found), statistics.stdev(found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space", help="of the catalogue, such as nasbenchmacro")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--run", type=Path, action="append", required=True, dest="supernets")
    parser.add_argument("--steps", type=int, default=700, help="of a short training")
    parser.add_argument("--finalists", type=int, default=5)
    parser.add_argument("--random", type=int, default=80, help="random networks")
    parser.add_argument("--evaluations", type=int, default=200, help="of a search")
    parser.add_argument("--calibration", type=int, default=768, help="images")
    parser.add_argument("--validation", type=int, default=1000, help="images")
    parser.add_argument("--processes", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    truth = read_ground_truth(options.space, options.table)
    flops, inside = truth.costs["flops"], truth.band()
    band = Constraint({"flops": float(flops[inside].max())}, {"flops": float(flops[inside].min())})
    train = ShortTrainings(options, options.supernets[0])
    places = generator(0, "random networks").permutation(np.flatnonzero(inside))
    drawn = [Architecture(truth.options[one].tolist()) for one in places[: options.random]]
    pool = list(zip(truth.look_up(drawn), train(drawn), strict=True))
    rows: list[dict[str, Any]] = []
    for run in options.supernets:
        found = search(run, truth, band, options)
        finalists = found.ranked[: options.finalists]
        short = train(finalists)
        chosen = max(zip(short, finalists, strict=True))[1]
        one_shot, best = truth.look_up([found.ranked[0], chosen])
        total = found.seconds + sum(one.seconds for one in short)
        count, mean, deviation = best_of_random(pool, total)
        rows.append(
            {
                "supernet": run.name,
                "minutes": f"{total / 60:.0f}",
                "best one-shot score": f"{one_shot:.2f}",
                f"best of {options.finalists} finalists": f"{best:.2f}",
                "best of the finalists, by truth": f"{max(truth.look_up(finalists)):.2f}",
                "random networks in that time": count
                if count <= len(pool)
                else f"{count}, of which {len(pool)} were trained",
                "their best by short training": f"{mean:.2f} ± {deviation:.2f}",
            }
        )
    accuracies = truth.accuracy[inside]
    tables = {
        "True accuracy of what is found": rows,
        "The band": [
            {
                "networks": int(inside.sum()),
                "mean": f"{accuracies.mean():.2f}",
                "deviation": f"{accuracies.std():.2f}",
                "best": f"{accuracies.max():.2f}",
                "random networks trained": len(pool),
                "rank correlation of short training and truth": f"{_tau(pool):.2f}",
            }
        ],
    }
    write_tables(
        options.out / "summary",
        f"{options.space}: finalists against random networks at equal compute",
        tables,
    )


def _tau(pool: Sequence[tuple[float, Trained]]) -> float:
    true, trained = zip(*pool, strict=True)
    return float(kendalltau(true, [one.score for one in trained]).statistic)


if __name__ == "__main__":
    main()
