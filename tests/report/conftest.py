"""Results of runs that never took place, with the shape of real ones."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from spos.report.facts import (
    ChoiceFacts,
    ConstraintFacts,
    DataFacts,
    SearchFacts,
    SpaceFacts,
    TrainFacts,
)
from spos.report.measure import Measure
from spos.report.result import ComparedNetwork, Comparison, Result, Retrained, StageCosts, Winner
from spos.search import Candidate
from spos.space import Architecture

OPTIONS = ("shuffle3x3", "shuffle5x5", "shuffle7x7", "xception3x3")
COST = (20_000, 24_000, 30_000, 38_000)
GAIN = (0.0, 0.004, 0.008, 0.011)


@dataclass(frozen=True)
class Run:
    """What a report is made of."""

    result: Result
    candidates: list[Candidate]
    metrics: list[dict[str, Any]]

    @property
    def arguments(self) -> tuple[Result, list[Candidate], list[dict[str, Any]]]:
        return self.result, self.candidates, self.metrics

    def change(self, **fields: Any) -> Run:
        """The same run with other fields of its result."""
        return replace(self, result=replace(self.result, **fields))


def compare(
    found: float, scores: Sequence[float], candidates: Sequence[Candidate] = ()
) -> Comparison:
    """A comparison with networks of these test scores."""
    networks = tuple(
        ComparedNetwork(
            name=f"random {number + 1}",
            architecture=str(candidates[number].architecture) if candidates else "0,1",
            costs=candidates[number].costs if candidates else {"flops": 1000, "params": 10},
            within=0.05,
            score=candidates[number].score if candidates else 0.5,
            test_score=score,
        )
        for number, score in enumerate(scores)
    )
    deviation = statistics.stdev(scores) if len(scores) > 1 else None
    return Comparison(len(scores), networks, statistics.fmean(scores), deviation, found)


def make_candidate(architecture: str, score: float, **costs: int) -> Candidate:
    """A candidate of the first iteration."""
    return Candidate(Architecture.from_text(architecture), 0, 0, "random", score, costs)


def _draw_candidate(draw: random.Random, depth: int, number: int, scale: int) -> Candidate:
    iteration, position = divmod(number, 50)
    weights = [1, 1 + iteration * 0.1, 1 + iteration * 0.3, 1 + iteration * 0.2]
    options = draw.choices(range(4), weights, k=depth)
    gain = sum(GAIN[option] for option in options) / depth * 20
    score = round((0.66 + gain + draw.gauss(0, 0.015)) * 216) / 216
    flops = sum(COST[option] for option in options) * scale
    return Candidate(
        architecture=Architecture(options),
        iteration=iteration,
        position=position,
        origin=draw.choice(["crossover", "mutation", "random"]) if iteration else "random",
        score=score,
        costs={"flops": flops, "params": flops // 40},
    )


def _winner(best: Candidate, names: Sequence[str], scale: int) -> Winner:
    chosen = dict(zip(names, (OPTIONS[option] for option in best.architecture), strict=True))
    stages = (
        StageCosts("first_conv", {}, {"flops": 4608 * scale, "params": 100}),
        *(
            StageCosts(
                f"features.{number}",
                {names[number]: OPTIONS[option]},
                {"flops": COST[option] * scale, "params": COST[option] * 5},
            )
            for number, option in enumerate(best.architecture)
        ),
        StageCosts("conv_last", {}, {"flops": 98304 * scale, "params": 6400}),
        StageCosts("classifier", {}, {"flops": 1280 * scale, "params": 1280}),
    )
    return Winner(**vars(best), names=chosen, stages=stages)


def _curve(stage: str, steps: int, begin: float, end: float) -> list[dict[str, Any]]:
    draw = random.Random(stage)
    lines = []
    for step in range(10, steps + 1, 10):
        share = 1 - 0.5 ** (8 * step / steps)
        lines.append(
            {
                "stage": stage,
                "step": step,
                "loss": 2.3 - 2.0 * end * share + draw.gauss(0, 0.04),
                "top1": begin + (end - begin) * share + draw.gauss(0, 0.01),
                "learning_rate": 0.5 * (1 - step / steps),
            }
        )
    return lines


def make_run(
    depths: tuple[int, ...] = (4, 4, 8, 4), count: int = 1000, networks: int = 8, scale: int = 200
) -> Run:
    """A finished run with so many blocks, candidates and random networks."""
    draw = random.Random(0)
    names = [f"stage{s}.{n}" for s, depth in enumerate(depths, 1) for n in range(depth)]
    limit = 31_000 * scale * len(names)
    candidates: list[Candidate] = []
    while len(candidates) < count:
        candidate = _draw_candidate(draw, len(names), len(candidates), scale)
        candidates += [candidate] if candidate.costs["flops"] <= limit else []
    top = tuple(sorted(candidates, key=lambda one: -one.score)[:10])
    scores = [round((0.938 + draw.gauss(0, 0.006)) * 359) / 359 for _ in range(networks)]
    result = Result(
        spos="0.1.0",
        space=SpaceFacts(
            name="shufflenetv2",
            preset="cifar",
            size=str(4 ** len(names)),
            choices=tuple(ChoiceFacts(name, OPTIONS) for name in names),
        ),
        metric=Measure(),
        data=DataFacts(
            source="digits",
            classes=tuple(str(digit) for digit in range(10)),
            outputs=10,
            image_size=8,
            channels=1,
            train=1222,
            validation=216,
            fingerprint="80302e0fe6561e31",
            notes=("216 of 1,438 training images are split off for validation",),
            test=359,
        ),
        constraint=ConstraintFacts(maximum={"flops": limit}),
        train=TrainFacts(3000),
        search=SearchFacts(
            algorithm="evolution",
            label="Evolution",
            evaluated=count,
            exhausted=False,
            population=50,
            iterations=20,
            parents=10,
        ),
        winner=_winner(top[0], names, scale),
        retrain=Retrained(0.9526, 500),
        top=top,
        comparison=compare(0.9526, scores, candidates) if networks else None,
        seconds={"train": 33.1, "search": 10.2, "retrain": 12.3, "compare": 750.0},
        seeds={"run": 0, "search": 0},
        versions={"python": "3.11.7", "torch": "2.13.0", "numpy": "2.3.1"},
        device="cpu",
    )
    metrics = [*_curve("train", 3000, 0.1, 0.8), *_curve("retrain", 500, 0.2, 0.99)]
    return Run(result, candidates, [*metrics, {"stage": "compare-1", "step": 9, "loss": 7.5}])


@pytest.fixture
def make() -> Callable[..., Run]:
    """Makes runs of any size."""
    return make_run


@pytest.fixture
def run() -> Run:
    """A small finished run."""
    return make_run(depths=(2, 2), count=120, networks=3, scale=1)


@pytest.fixture
def result(run: Run) -> Result:
    """The result of a small finished run."""
    return run.result
