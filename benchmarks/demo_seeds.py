"""What `make demo` finds with each of several seeds, beside the networks it is compared with.

Rerun the same command to resume; finished runs are kept.

    python benchmarks/demo_seeds.py --seeds 10 --processes 2 --runs runs/demo-seeds \\
        --out benchmarks/results/demo
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from launch import run_command
from record import write_tables
from scipy.stats import t

from spos.report.result import Comparison, Result, read_result


def find(seed: int, out: Path) -> Result:
    """Run the demo with one seed, in the environment of this script."""
    result = out / "result.json"
    if not result.exists() or read_result(result).comparison is None:
        command = ["make", "demo", f"SEED={seed}", f"OUT={out}", f"VENV={sys.prefix}"]
        # The environment of this script is not installed anew.
        command += ["--old-file", f"{sys.prefix}/.installed"]
        run_command(command, out.with_name(f"{out.name}.log"))
    return read_result(result)


def row(seed: int, compared: Comparison, seconds: float) -> dict[str, Any]:
    """A row of the table: test accuracies in percent."""
    scores = [network.test_score for network in compared.networks]
    found = compared.found_test_score
    return {
        "seed": seed,
        "found": f"{found:.1%}",
        "uniform network": f"{compared.uniform.test_score:.1%}" if compared.uniform else "",
        "mean of random": f"{statistics.fmean(scores):.1%}",
        "best of random": f"{max(scores):.1%}",
        "random networks below": f"{sum(score < found for score in scores)} of {len(scores)}",
        "minutes": f"{seconds / 60:.1f}",
    }


def difference(name: str, found: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """A row about the accuracy of the networks found less that of others, in points over seeds."""
    points = [100 * (one - other) for one, other in zip(found, others, strict=True)]
    mean, count = statistics.fmean(points), len(points)
    error = statistics.stdev(points) / count**0.5 if count > 1 else float("nan")
    # The interval of Student's t over the seeds.
    half = float(t.ppf(0.975, max(1, count - 1))) * error
    return {
        "found less": name,
        "mean, points": f"{mean:.1f}",
        "95% interval": f"{mean - half:.1f} to {mean + half:.1f}",
        "least": f"{min(points):.1f}",
        "most": f"{max(points):.1f}",
    }


def draw(compared: Sequence[Comparison], path: Path) -> None:
    """Draw the accuracies of each seed on a line of its own."""
    figure, axes = plt.subplots(figsize=(7, 0.32 * len(compared) + 1.3))
    for place, one in enumerate(compared):
        random = [100 * network.test_score for network in one.networks]
        label = {"label": "random networks"} if not place else {}
        axes.plot(random, [place] * len(random), "o", color="#9aa5b1", **label)
        if one.uniform:
            label = {"label": "the same block everywhere"} if not place else {}
            axes.plot(100 * one.uniform.test_score, place, "s", color="#52606d", **label)
        label = {"label": "found"} if not place else {}
        axes.plot(100 * one.found_test_score, place, "D", color="#d64545", markersize=8, **label)
    axes.set_yticks(range(len(compared)), [f"seed {seed}" for seed in range(len(compared))])
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy in percent, at most 480K multiply-adds")
    axes.grid(axis="x", alpha=0.3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="lower left", frameon=False, ncols=3, bbox_to_anchor=(0, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0")
    parser.add_argument("--processes", type=int, default=1, help="runs at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # As each run has, for the record.
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(find, seed, runs / f"seed-{seed}") for seed in range(options.seeds)]
        results = [job.result() for job in jobs]
    compared = [result.comparison for result in results if result.comparison]
    rows = [
        row(seed, one, sum(result.seconds.values()))
        for seed, (one, result) in enumerate(zip(compared, results, strict=True))
    ]
    found = [one.found_test_score for one in compared]
    scores = [network.test_score for one in compared for network in one.networks]
    uniform = [one.uniform.test_score for one in compared if one.uniform]
    means = [one.random_mean for one in compared]
    below = sum(
        network.test_score < one.found_test_score for one in compared for network in one.networks
    )
    rows.append(
        {
            "seed": "all",
            "found": f"{statistics.fmean(found):.1%}",
            "uniform network": f"{statistics.fmean(uniform):.1%}",
            "mean of random": f"{statistics.fmean(scores):.1%}",
            "best of random": f"{max(scores):.1%}",
            "random networks below": f"{below} of {len(scores)}",
        }
    )
    options.out.mkdir(parents=True, exist_ok=True)
    draw(compared, options.out / "seeds.png")
    differences = [
        difference("the uniform network", found, uniform),
        difference("the mean of the random networks", found, means),
    ]
    write_tables(
        options.out / "summary",
        f"`make demo` with each of {len(rows) - 1} seeds",
        {"Test accuracy": rows, "Differences": differences},
    )


if __name__ == "__main__":
    main()
