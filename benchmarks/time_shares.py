"""How the time of a run is best divided between supernet and retraining.

All runs have the same number of training steps, counted as steps of one network: a share of them
trains the supernet, a step of which costs several, and of the rest a part is for the retraining of
the network found, and the other for the networks that it is compared with. Beside them, the uniform
network is trained from scratch in all of the steps, which is what one would do without a search.
Rerun the same command to resume; finished runs are kept.

    python benchmarks/time_shares.py --data data/cifar10-train.zip --runs runs/time-shares \\
        --out benchmarks/results/time_shares
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from first_command import cut_folder
from inherited import trained
from launch import SPOS, run_command
from record import write_record

from spos.report.result import read_result

#: Share of a training in which its learning rate rises.
WARMUP = 0.05
#: Kernel 5 and expansion 3 in every layer of ``mobile``: 2.99M multiply-adds.
UNIFORM = ",".join(["2,3,3,3"] * 3)


def recipe(section: str, steps: int, rate: float) -> list[str]:
    """Settings of a training."""
    given = {
        "steps": steps,
        "batch_size": 32,
        "warmup_steps": int(WARMUP * steps),
        "learning_rate": rate,
    }
    return [part for name, one in given.items() for part in ("--set", f"{section}.{name}={one}")]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help=".zip with one folder per class")
    parser.add_argument("--case", default="1500:10", help="images:classes")
    parser.add_argument("--tests", type=int, default=3000, help="test images")
    parser.add_argument("--steps", type=int, default=5000, help="of one network, in all")
    parser.add_argument(
        "--price", type=float, default=2.3, help="steps that one of a supernet costs"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.55, 0.4, 0.25, 0.1])
    parser.add_argument("--kept", type=float, default=0.15, help="share for planning and search")
    parser.add_argument(
        "--parts",
        type=float,
        nargs="+",
        default=[0.5, 1],
        help="of the time after the search, for the training of the network found",
    )
    parser.add_argument("--uniform", default=UNIFORM, help="network without a search")
    parser.add_argument("--max-flops", default="3M")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    folder = runs / "images"
    cut_folder(options.data, *map(int, options.case.split(":")), options.tests, folder)
    common = ["--data", f"folder:{folder}", "--space", "mobile", "--preset", "small"]
    rows: list[dict[str, Any]] = []

    def add(share: float, part: float, supernet: int, retraining: int, scores: list[float]) -> None:
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        rows.append(
            {
                "share of the supernet": f"{share:.0%}" if supernet else "no search",
                "of the rest for the network found": f"{part:.0%}" if supernet else "",
                "steps of the supernet": supernet,
                "steps of the retraining": retraining,
                "test": f"{statistics.fmean(scores):.1%}",
                "deviation": f"{spread:.1%}",
                "each seed": ", ".join(f"{score:.1%}" for score in scores),
            }
        )

    for share, part in itertools.product(options.shares, options.parts):
        supernet = int(share * options.steps / options.price)
        retraining = int(part * (1 - options.kept - share) * options.steps)
        scores = []
        for seed in range(options.seeds):
            given = [*common, "--seed", str(seed), "--max-flops", options.max_flops]
            given += ["--retrain-from", "supernet", "--population", "24", "--iterations", "4"]
            given += ["--set", "search.naswot_weight=0.5", *recipe("supernet", supernet, 0.1)]
            given += recipe("retrain", retraining, 0.05)
            result = trained(runs / f"{seed}-{share:g}-{part:g}", given, compare=0)
            assert result.test_score is not None
            scores.append(result.test_score)
        add(share, part, supernet, retraining, scores)
    # Without a search there is nothing to plan, but the images are read.
    alone, scores = int((1 - options.kept / 2) * options.steps), []
    for seed in range(options.seeds):
        out = runs / f"{seed}-uniform"
        if not (out / "result.json").exists():
            command = [*SPOS, "retrain", *common, "--threads", "1", "--seed", str(seed)]
            command += ["--network", options.uniform, *recipe("retrain", alone, 0.1)]
            run_command([*command, "--out", str(out)], out.with_name(f"{out.name}.log"))
        score = read_result(out / "result.json").test_score
        assert score is not None
        scores.append(score)
    add(0.0, 0.0, 0, alone, scores)
    options.out.mkdir(parents=True, exist_ok=True)
    title = (
        f"Accuracy of the network found, by the share of {options.steps:,} steps for the supernet"
    )
    write_record(options.out / "summary", title, rows)


if __name__ == "__main__":
    main()
