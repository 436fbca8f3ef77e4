"""Short trainings from the weights of the supernet beside those from scratch.

A supernet is trained and searched once for each seed. The network found, random ones of its cost
and the uniform one are then trained for several numbers of steps, from scratch and from the weights
of the supernet. Rerun the same command to resume; finished runs are kept.

    python benchmarks/inherited.py --data data/cifar10-train.zip --case 1500:10 --steps 100,400 \\
        --rates 0.02,0.1 --runs runs/inherited --out benchmarks/results/inherited
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from first_command import cut_folder
from launch import SPOS, run_command
from record import write_record

from spos.report.result import Result, read_result


def trained(out: Path, options: Sequence[str], compare: int = 2) -> Result:
    """Run ``spos run`` unless it has ended, and read its result.

    Args:
        out: run directory.
        options: of the command.
        compare: number of random networks; 0 for the network found alone.
    """
    path = out / "result.json"
    known = read_result(path) if path.exists() else None
    if known is None or (known.comparison if compare else known.retrain) is None:
        command = [*SPOS, "run", "--threads", "1", *options, "--out", str(out)]
        command += ["--compare", str(compare)] if compare else []
        run_command(command, out.with_name(f"{out.name}.log"))
    return read_result(path)


def row(seed: int, steps: int, weights: str, rate: str, result: Result) -> dict[str, Any]:
    """A row of the table: accuracies in percent of the test images."""
    compared = result.comparison
    assert compared is not None
    return {
        "seed": seed,
        "steps": steps,
        "weights": weights,
        "learning rate": rate,
        "found": f"{compared.found_test_score:.1%}",
        "mean of random": f"{statistics.fmean(one.test_score for one in compared.networks):.1%}",
        "uniform": f"{compared.uniform.test_score:.1%}" if compared.uniform else "",
        "test images": result.data.test,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help=".zip with one folder per class")
    parser.add_argument("--case", default="1500:10", help="images:classes")
    parser.add_argument("--tests", type=int, default=3000, help="test images")
    parser.add_argument("--supernet-steps", type=int, default=800)
    parser.add_argument("--steps", default="100,400", help="steps of the trainings, by commas")
    parser.add_argument("--rates", default="0.02,0.1", help="learning rates with the supernet")
    parser.add_argument("--scratch-rate", default="0.1", help="learning rate from scratch")
    parser.add_argument("--max-flops", default="2.6M")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    count, classes = map(int, options.case.split(":"))
    folder = runs / "images"
    cut_folder(options.data, count, classes, options.tests, folder)
    steps = sorted(map(int, options.steps.split(",")))
    ways = [("scratch", options.scratch_rate)]
    ways += [("supernet", rate) for rate in options.rates.split(",")]
    rows = []
    for seed in range(options.seeds):
        base: Path | None = None
        for length, (weights, rate) in itertools.product(steps, ways):
            given = ["--retrain-steps", str(length), "--retrain-from", weights]
            given += ["--set", f"retrain.learning_rate={rate}"]
            if base is None:
                given += ["--data", f"folder:{folder}", "--space", "mobile", "--preset", "small"]
                given += ["--supernet-steps", str(options.supernet_steps), "--seed", str(seed)]
                given += ["--max-flops", options.max_flops, "--population", "24"]
                given += ["--iterations", "6"]
            else:
                given += ["--reuse", str(base)]
            out = runs / f"{seed}-{length}-{weights}-{rate}"
            result = trained(out, given)
            base = base or out
            rows.append(row(seed, length, weights, rate, result))
    options.out.mkdir(parents=True, exist_ok=True)
    title = "Short trainings, from scratch and from the weights of the supernet"
    write_record(options.out / "summary", title, rows)


if __name__ == "__main__":
    main()
