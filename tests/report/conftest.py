"""Results of runs that never took place, with the shape of real ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

OPTIONS = ["shuffle3x3", "shuffle5x5", "shuffle7x7", "xception3x3"]
COST = (20_000, 24_000, 30_000, 38_000)
GAIN = (0.0, 0.004, 0.008, 0.011)


@dataclass
class Run:
    """What a report is made of."""

    result: dict[str, Any]
    candidates: list[dict[str, Any]]
    metrics: list[dict[str, Any]]

    @property
    def arguments(self) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
        return self.result, self.candidates, self.metrics


def _candidate(draw: random.Random, depth: int, iteration: int, scale: int) -> dict[str, Any]:
    weights = [1, 1 + iteration * 0.1, 1 + iteration * 0.3, 1 + iteration * 0.2]
    options = draw.choices(range(4), weights, k=depth)
    gain = sum(GAIN[option] for option in options) / depth * 20
    accuracy = round((0.66 + gain + draw.gauss(0, 0.015)) * 216) / 216
    return {
        "architecture": ",".join(map(str, options)),
        "one_shot_top1": accuracy,
        "flops": sum(COST[option] for option in options) * scale,
        "params": sum(COST[option] for option in options) * scale // 40,
        "iteration": iteration,
        "origin": draw.choice(["crossover", "mutation", "random"]) if iteration else "random",
    }


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
    draw = random.Random(0)
    names = [f"stage{s}.{n}" for s, depth in enumerate(depths, 1) for n in range(depth)]
    limit = 31_000 * scale * len(names)
    candidates: list[dict[str, Any]] = []
    while len(candidates) < count:
        candidate = _candidate(draw, len(names), len(candidates) // 50, scale)
        candidates += [candidate] if candidate["flops"] <= limit else []
    top = sorted(candidates, key=lambda c: -c["one_shot_top1"])[:10]
    winner: dict[str, Any] | None = None
    if top:
        best = top[0]
        options = [int(option) for option in best["architecture"].split(",")]
        winner = {k: best[k] for k in ("architecture", "flops", "params", "one_shot_top1")}
        winner["names"] = {n: OPTIONS[o] for n, o in zip(names, options, strict=True)}
        winner["stages"] = [
            {"name": "first_conv", "flops": 4608 * scale, "params": 100},
            *(
                {
                    "name": f"features.{n}",
                    "choices": {names[n]: OPTIONS[o]},
                    "flops": COST[o] * scale,
                    "params": COST[o] * 5,
                }
                for n, o in enumerate(options)
            ),
            {"name": "conv_last", "flops": 98304 * scale, "params": 6400},
            {"name": "classifier", "flops": 1280 * scale, "params": 1280},
        ]
    compared = [
        {
            **{k: c[k] for k in ("architecture", "flops", "params", "one_shot_top1")},
            "name": f"random {number}",
            "test_top1": round((0.938 + draw.gauss(0, 0.006)) * 359) / 359,
        }
        for number, c in enumerate(candidates[:networks], 1)
    ]
    result = {
        "spos": "0.1.0",
        "space": {
            "name": "shufflenetv2",
            "preset": "cifar",
            "size": str(4 ** len(names)),
            "choices": [{"name": name, "options": OPTIONS} for name in names],
        },
        "data": {
            "source": "digits",
            "classes": [str(digit) for digit in range(10)],
            "image_size": 8,
            "channels": 1,
            "train": 1222,
            "validation": 216,
            "test": 359,
            "skipped": [],
            "notes": ["216 of 1,438 training images are split off for validation"],
        },
        "constraint": {"text": "", "maximum": {"flops": limit}, "minimum": {}},
        "search": {
            "algorithm": "evolution",
            "population": 50,
            "iterations": 20,
            "parents": 10,
            "evaluated": count,
            "exhausted": False,
        },
        "winner": winner,
        "retrain": {"test_top1": 0.9526, "steps": 500},
        "top": top,
        "comparison": {
            "networks": compared,
            "random_mean": 0.938,
            "random_std": 0.006,
            "found_test_top1": 0.9526,
        }
        if compared
        else None,
        "seconds": {"train": 33.1, "search": 10.2, "retrain": 12.3, "compare": 750.0},
        "seeds": {"run": 0, "search": 0},
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.3.1"},
        "device": "cpu",
    }
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
