"""What racing changes in a search: who is found, and how many images are evaluated.

The score of each image is recorded once for all networks of a small space, by one trained supernet.
Then searches with and without racing, of many seeds, are replayed on what was recorded: by the
search and the race of spos, batch by batch. Only the networks' outputs are not computed again.

    spos train --space nasbenchmacro --preset proxy --data folder:data/cifar10-train.zip \\
        --set data.validation=5000 --out runs/macro
    python benchmarks/racing.py --run runs/macro --max-flops 1.06M --record runs/scores \\
        --out benchmarks/results/racing
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from opened import open_run
from record import write_tables
from torch import Tensor
from torch.nn import functional as F

from spos import Architecture, Constraint, OneShotEvaluator
from spos.run.network import calibration_loader, load_checkpoint, racing_loader
from spos.run.settings import read_bound
from spos.search import ALGORITHMS, Feasible, SearchSettings
from spos.search.driver import Course
from spos.search.racing import Race

Known = dict[Architecture, NDArray[Any]]
#: The best candidates that are compared.
BEST = 5
FITNESSES = ("loss", "accuracy")


class Networks:
    """The networks of a space within a limit, and the scores of each image by a run's supernet."""

    def __init__(self, run: Path, max_flops: str | None, folder: Path) -> None:
        self.context = open_run(run)
        self.supernet, _ = load_checkpoint(self.context)
        self.table = self.context.costs(self.supernet)
        limit = {"flops": read_bound("flops", max_flops, "--max-flops")} if max_flops else {}
        self.constraint = Constraint(maximum=limit)
        options = map(range, self.supernet.space.option_counts)
        everything = [Architecture(one) for one in itertools.product(*options)]
        costs = self.table.many(np.array(everything))[:, self.table.names.index("flops")]
        self.feasible = [
            one
            for one, flops in zip(everything, costs.tolist(), strict=True)
            if self.constraint.satisfied({"flops": flops})
        ]
        self.batch = self.context.config.run.evaluation_batch
        self.path = folder / f"{len(self.feasible)}.npy"

    def read(self) -> dict[str, Known]:
        """Scores of each image, by fitness; computed if they are not in the file."""
        if not self.path.exists():
            self._record()
        packed = np.load(self.path, mmap_mode="r")
        found: dict[str, Known] = {name: {} for name in FITNESSES}
        for one, (loss, hits) in zip(self.feasible, packed, strict=True):
            found["loss"][one], found["accuracy"][one] = loss, hits
        return found

    def _record(self) -> None:
        parts: list[Tensor] = []

        def metric(outputs: Tensor, targets: Tensor) -> float:
            loss = -F.cross_entropy(outputs.float(), targets, reduction="none")
            parts.append(torch.stack([loss, (outputs.argmax(1) == targets).float()]))
            return float(loss.sum())

        evaluate = OneShotEvaluator(
            self.supernet,
            calibration_loader(self.context),
            racing_loader(self.context),
            metric=metric,
        )
        known: Known = {}
        for number, (architecture, _) in enumerate(evaluate(self.feasible), 1):
            known[architecture] = torch.cat(parts, dim=1).numpy()
            parts.clear()
            if number % 200 == 0:
                print(f"{number} of {len(self.feasible)} networks", flush=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".part.npy")
        np.save(partial, np.stack([known[one] for one in self.feasible]))
        partial.rename(self.path)


@dataclass
class Replay:
    """A search on recorded scores, and the images that it evaluated.

    Args:
        known (Known): scores of each image.
        batch (int): images of a batch.
        confidence (float): that of racing; 0 for none.
    """

    known: Known
    batch: int
    confidence: float
    images: int = 0
    dropped: int = 0
    _rival: Architecture | None = field(default=None, init=False)

    def evaluate(self, candidates: Sequence[Architecture]) -> Iterator[tuple[Architecture, float]]:
        """Score candidates on all images."""
        for one in candidates:
            self.images += len(self.known[one])
            yield one, float(np.mean(self.known[one], dtype=np.float64))

    def race(
        self, candidates: Sequence[Architecture], rival: Architecture
    ) -> Iterator[tuple[Architecture, float, int | None]]:
        """Score candidates until they are dropped, and a new rival, as spos does."""
        against = np.asarray(self.known[rival], dtype=np.float64)
        if rival != self._rival:
            self._rival = rival
            self.images += len(against)
        race = Race(self.confidence, lambda outputs, _: outputs, against)
        for one in candidates:
            is_dropped = race.enter(one)
            for outputs in torch.from_numpy(np.array(self.known[one])).split(self.batch):
                self.images += len(outputs)
                if is_dropped(outputs, outputs):
                    break
            seen = race.dropped.get(one)
            self.dropped += seen is not None
            yield one, float(np.mean(self.known[one][:seen], dtype=np.float64)), seen


class Found(NamedTuple):
    """The candidates of a search with what is known of them, and the best of them."""

    candidates: list[Architecture]
    scores: dict[Architecture, float]
    dropped: dict[Architecture, int]
    top: list[Architecture]
    #: The last population, and what it raced against.
    last: tuple[list[Architecture], Architecture | None]


def replay(networks: Networks, known: Known, settings: SearchSettings) -> tuple[Found, Replay]:
    """Search on what was recorded, without a study."""
    replayed = Replay(known, networks.batch, settings.racing)
    feasible = Feasible(networks.supernet.space, networks.table, networks.constraint)
    course = Course(ALGORITHMS.find(settings.algorithm)(feasible, settings))
    history = course.history
    last: tuple[list[Architecture], Architecture | None] = ([], None)
    while pending := [one.architecture for one in course.pending()]:
        last = pending, course.rival
        if course.rival is None:
            history.scores.update(replayed.evaluate(pending))
            continue
        for one, score, seen in replayed.race(pending, course.rival):
            history.scores[one] = score
            if seen is not None:
                history.dropped[one] = seen
    candidates = [one.architecture for one in history.proposals]
    top = history.best(settings.parents)
    return Found(candidates, history.scores, history.dropped, top, last), replayed


def compare(
    networks: Networks, known: Known, options: argparse.Namespace, iterations: int
) -> Iterator[dict[str, Any]]:
    """Compare searches with racing, a row for each confidence, with those without."""
    common = {name: vars(options)[name] for name in ("population", "parents")}

    def searches(confidence: float) -> list[tuple[Found, Replay]]:
        return [
            replay(
                networks,
                known,
                SearchSettings(iterations=iterations, seed=seed, racing=confidence, **common),
            )
            for seed in range(options.seeds)
        ]

    plain = searches(0.0)
    for confidence in options.confidence:
        racing = searches(confidence)
        both = [(one, other) for (one, _), (other, _) in zip(plain, racing, strict=True)]
        tops = [tuple(set(found.top[:BEST]) for found in pair) for pair in both]
        best = [tuple(found.scores[found.top[0]] for found in pair) for pair in both]
        saved = [
            1 - fast.images / full.images
            for (_, full), (_, fast) in zip(plain, racing, strict=True)
        ]
        wrong, dropped = count_wrong(known, [found for found, _ in racing])
        yield {
            "candidates": len(plain[0][0].candidates),
            "confidence": confidence,
            "other winner": sum(one.top[0] != other.top[0] for one, other in both),
            "of them better": sum(fast > full for full, fast in best),
            f"other top {BEST}": sum(full != fast for full, fast in tops),
            "dropped": f"{statistics.mean(one.dropped for _, one in racing):.0f}",
            "of them truly among the best": f"{wrong} of {dropped}, {options.seeds} searches",
            "images saved": f"{statistics.mean(saved):.0%}",
        }


def timed(networks: Networks, known: Known, options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate the last population of a search anew, with racing and without."""
    confidence = options.confidence[-1]
    settings = SearchSettings(
        iterations=options.iterations[0],
        racing=confidence,
        population=options.population,
        parents=options.parents,
    )
    (population, rival), context = replay(networks, known, settings)[0].last, networks.context
    assert rival is not None, "a search of one iteration does not race"
    fitness = context.fitness
    assert fitness.each is not None
    seconds, dropped = [], {}
    for racing in (False, True):
        race = None
        if racing:
            race = Race(confidence, fitness.each, known[rival].astype(np.float64))
            dropped = race.dropped
        evaluate = OneShotEvaluator(
            networks.supernet,
            calibration_loader(context),
            racing_loader(context),
            metric=fitness.metric,
            race=race,
        )
        # Of this process alone: others may keep the machine busy.
        began = time.process_time()
        dict(evaluate([*population, rival] if racing else population))
        seconds.append(time.process_time() - began)
    before, after = seconds
    return {
        "confidence": confidence,
        "candidates": len(population),
        "dropped": len(dropped),
        "CPU seconds without racing": f"{before:.1f}",
        "with racing and its rival": f"{after:.1f}",
        "ratio": f"{after / before:.2f}",
    }


def count_wrong(known: Known, searches: Sequence[Found]) -> tuple[int, int]:
    """Count the dropped candidates that are truly among the best of their search, and all."""
    wrong = total = 0
    for found in searches:
        true = {one: float(known[one].mean(dtype=np.float64)) for one in found.candidates}
        best = set(sorted(true, key=lambda one: -true[one])[: len(found.top)])
        dropped = list(found.dropped)
        wrong, total = wrong + sum(one in best for one in dropped), total + len(dropped)
    return wrong, total


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run with a trained supernet")
    parser.add_argument("--max-flops", help="limit of the searches")
    parser.add_argument("--record", type=Path, required=True, help="folder of recorded scores")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--parents", type=int, default=10)
    parser.add_argument("--iterations", type=int, nargs="+", default=[6])
    parser.add_argument("--confidence", type=float, nargs="+", default=[0.9, 0.95, 0.99])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    networks = Networks(options.run, options.max_flops, options.record)
    known = networks.read()
    tables = {
        f"Score: {name}": [
            row
            for iterations in options.iterations
            for row in compare(networks, known[name], options, iterations)
        ]
        for name in FITNESSES
    }
    tables["Last population of a search by the loss, evaluated anew"] = [
        timed(networks, known["loss"], options)
    ]
    write_tables(options.out / "summary", "Racing", tables)


if __name__ == "__main__":
    main()
