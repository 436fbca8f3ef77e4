"""Train random networks of one cost in full, some of them twice: ground truth for a space.

The table tells how much networks of equal cost differ, and how much repeated trainings of one
network do; `ranking.py` judges supernets by it. Rerun the same command to resume.

    python benchmarks/truth_table.py --space mobile --preset small --max-flops 3M \\
        --set data.test=10000 --data folder:data/cifar10-train.zip --processes 2 \\
        --runs runs/paper-small/truth --out benchmarks/results/truth_mobile
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from launch import SPOS, run_command
from record import write_record

from spos import Architecture, Constraint, CostTable
from spos._util.files import write_atomically
from spos._util.randomness import generator
from spos.cost.units import COUNT
from spos.report.result import read_result
from spos.run.config import read_layout
from spos.search import Feasible
from spos.spaces import family

#: The lower end of the band as a share of the upper one.
BAND = 0.9


def draw(
    space: str,
    preset: str,
    assignments: Sequence[str],
    channels: int,
    most: float,
    count: int,
    cost: str = "flops",
) -> list[Architecture]:
    """Draw distinct random networks of the band."""
    layout = read_layout(space, preset, [one for one in assignments if one.startswith("layout.")])
    with torch.device("meta"):
        table = CostTable(family(space).build(layout, classes=10, image_channels=channels))
    band = Constraint({cost: most}, {cost: BAND * most})
    return Feasible(table.space, table, band).draw(count, generator(0, "truth"))


def train(command: Sequence[str], architecture: Architecture, seed: int, out: Path) -> Path:
    """Train one network in full by the command line, as a user would."""
    result = out / "result.json"
    if not result.exists() or read_result(result).test_score is None:
        given = ["--network", str(architecture), "--seed", str(seed), "--out", str(out)]
        run_command([*SPOS, "retrain", *command, *given], out.with_name(f"{out.name}.log"))
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--space", required=True)
    parser.add_argument("--preset", default="cifar")
    parser.add_argument("--set", action="append", default=[], help="setting of the layout or run")
    parser.add_argument("--max-flops", required=True, help="upper end of the band, such as 3.5M")
    parser.add_argument("--data", required=True, help="data source, as of spos retrain")
    parser.add_argument("--image-channels", type=int, default=3)
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--twice", type=int, default=12, help="networks with a second seed")
    parser.add_argument("--processes", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    most = COUNT.parse(options.max_flops)
    space = (options.space, options.preset, options.set, options.image_channels)
    chosen = draw(*space, most, options.networks)
    command = ["--space", options.space, "--preset", options.preset, "--data", options.data]
    command += ["--threads", "1", *(part for one in options.set for part in ("--set", one))]
    # The second seeds come last, so that a stopped command has trained every network once first.
    jobs = [(number, 0) for number in range(len(chosen))]
    jobs += [(number, 1) for number in range(min(options.twice, len(chosen)))]

    def job(one: tuple[int, int]) -> Path:
        number, seed = one
        return train(command, chosen[number], seed, runs / f"{number:02}-{seed}")

    with ThreadPoolExecutor(options.processes) as pool:
        results = [read_result(path) for path in pool.map(job, jobs)]
    rows = []
    scores: dict[int, list[float]] = {}
    for (number, seed), result in zip(jobs, results, strict=True):
        assert result.network is not None and result.test_score is not None
        scores.setdefault(number, []).append(result.test_score)
        rows.append(
            {
                "arch": str(chosen[number]),
                "seed": seed,
                "flops": result.network.costs["flops"],
                "params": result.network.costs["params"],
                "test_top1": round(100 * result.test_score, 3),
            }
        )
    options.out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(options.out / "table.csv", text.getvalue())
    once = [100 * own[0] for own in scores.values()]
    repeated = [100 * (own[1] - own[0]) / 2**0.5 for own in scores.values() if len(own) > 1]
    summary: dict[str, Any] = {
        "networks": len(once),
        "mean": f"{statistics.fmean(once):.2f}",
        "best": f"{max(once):.2f}",
        "worst": f"{min(once):.2f}",
        "standard deviation of networks": f"{statistics.stdev(once):.2f}" if once[1:] else "",
    }
    if repeated:
        noise = statistics.fmean(value**2 for value in repeated) ** 0.5
        summary["standard deviation of trainings"] = f"{noise:.2f}"
    title = f"Test top-1 of networks of {options.space}, {BAND:.0%} to 100% of {options.max_flops}"
    write_record(options.out / "summary", title, [summary])


if __name__ == "__main__":
    main()
