"""What a search finds in minutes: by the loss alone, and with the NASWOT score beside it.

A supernet of each seed is trained as `spos run --time 5m` trains one, and searched once with each
weight of the score. The networks found and random ones of their cost are then trained from the
weights of the supernet, as such a run does. Rerun the same command to resume; finished runs are
kept.

    python benchmarks/short_search.py --data data/cifar10-train.zip --case 1500:10 \\
        --weights 0,0.5,1 --seeds 4 --processes 2 \\
        --runs runs/short-search --out benchmarks/results/short_search
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from first_command import cut_folder
from inherited import trained
from record import write_tables
from scipy import stats

RANDOM = "random networks"


def search_supernet(
    seed: int, weights: Sequence[str], compare: int, given: Sequence[str], runs: Path
) -> dict[str, list[float]]:
    """Accuracies found with the supernet of a seed, by the row of the table."""
    found: dict[str, list[float]] = {}
    base: Path | None = None
    for weight in weights:
        out = runs / f"{seed}-{weight}"
        options = ["--workers", "1", "--set", f"search.naswot_weight={weight}"]
        if base is None:
            options += ["--seed", str(seed), *given]
        else:
            options += ["--reuse", str(base)]
        result = trained(out, options, 0 if base else compare)
        assert result.retrain is not None and result.retrain.test_score is not None
        found[f"loss, {weight} NASWOT"] = [result.retrain.test_score]
        if base is None and result.comparison is not None:
            found[RANDOM] = [one.test_score for one in result.comparison.networks]
        base = base or out
    return found


def table(found: Sequence[dict[str, list[float]]]) -> list[dict[str, Any]]:
    """Mean accuracies in percent, and paired differences from the first row over the seeds."""
    rows = []
    first, *_ = names = list(found[0])
    means = {name: [100 * statistics.fmean(one[name]) for one in found] for name in names}
    for name, values in means.items():
        row: dict[str, Any] = {
            "networks": name,
            "supernets": len(values),
            "trainings": sum(len(one[name]) for one in found),
            "test top-1": f"{statistics.fmean(values):.2f}",
            "of each supernet": ", ".join(f"{value:.1f}" for value in values),
        }
        less = [own - other for own, other in zip(values, means[first], strict=True)]
        if name != first:
            row["less the first"] = f"{statistics.fmean(less):+.2f}"
        if name != first and len(less) > 1:
            low, high = stats.ttest_1samp(less, 0).confidence_interval()
            row["95% interval"] = f"{low:+.2f} to {high:+.2f}"
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help=".zip with one folder per class")
    parser.add_argument("--case", default="1500:10", help="images:classes")
    parser.add_argument("--tests", type=int, default=5000, help="test images")
    parser.add_argument("--weights", default="0,0.5,1", help="of the score, by commas")
    parser.add_argument("--supernet-steps", type=int, default=2400)
    parser.add_argument("--steps", type=int, default=600, help="steps of the other trainings")
    parser.add_argument("--max-flops", default="3M")
    parser.add_argument("--compare", type=int, default=2, help="random networks of a supernet")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--processes", type=int, default=1, help="supernets at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    count, classes = map(int, options.case.split(":"))
    cut_folder(options.data, count, classes, options.tests, runs / "images")
    given = ["--data", f"folder:{runs / 'images'}", "--space", "mobile", "--preset", "small"]
    given += ["--max-flops", options.max_flops, "--population", "50", "--iterations", "6"]
    given += ["--supernet-steps", str(options.supernet_steps)]
    given += ["--retrain-steps", str(options.steps), "--retrain-from", "supernet"]
    for setting in (
        *("data.validation=0.15", "supernet.batch_size=32", "run.calibration=512"),
        # Half of the rate from scratch, as in a plan.
        *("retrain.learning_rate=0.05", "retrain.warmup_steps=30"),
    ):
        given += ["--set", setting]
    search = partial(
        search_supernet,
        weights=options.weights.split(","),
        compare=options.compare,
        given=given,
        runs=runs,
    )
    with ThreadPoolExecutor(options.processes) as pool:
        found = list(pool.map(search, range(options.seeds)))
    options.out.mkdir(parents=True, exist_ok=True)
    title = "What a search of minutes finds, by the scores of candidates"
    write_tables(options.out / "summary", title, {"Test accuracy": table(found)})


if __name__ == "__main__":
    main()
