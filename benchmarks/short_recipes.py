"""What other recipes make of the network that a run found, each training from the same weights.

The run is one of minutes, such as that of the first command of the README: its supernet and search
are reused, so the network is the same, and only its training differs. Rerun the same command to
resume.

    python benchmarks/short_recipes.py --run runs/first/1500-10-5m-0 --runs runs/recipes \\
        --recipes retrain.augment=cutout retrain.batch_size=32,retrain.steps=3050 \\
        --out benchmarks/results/short_recipes
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch import SPOS, run_command
from record import write_record

from spos.report.result import Result, read_result


def retrained(run: Path, recipe: str, out: Path) -> Result:
    """Train the network that a run found by another recipe, in a run that reuses it.

    Args:
        run: the finished run.
        recipe: settings, separated by commas.
        out: run directory.
    """
    if not (out / "result.json").exists():
        command = [*SPOS, "run", "--reuse", str(run), "--threads", "1", "--workers", "1"]
        command += [part for setting in recipe.split(",") for part in ("--set", setting)]
        run_command([*command, "--out", str(out)], out.with_name(f"{out.name}.log"))
    return read_result(out / "result.json")


def row(recipe: str, result: Result) -> dict[str, Any]:
    """A row of the table, in percent of the test images."""
    assert result.winner and result.retrain and result.test_score is not None
    score, count = result.test_score, result.data.test
    return {
        "recipe": recipe,
        "steps": result.retrain.steps,
        "test": f"{score:.1%}",
        "standard error": f"{(score * (1 - score) / count) ** 0.5:.1%}",
        "network": result.winner.architecture,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="finished run, of minutes")
    parser.add_argument("--recipes", nargs="+", required=True, help="SETTING=VALUE,SETTING=VALUE")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs, run = options.runs.resolve(), options.run.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    rows = [row("as planned", read_result(run / "result.json"))]
    for recipe in options.recipes:
        rows.append(row(recipe, retrained(run, recipe, runs / recipe.replace(",", "-"))))
    options.out.mkdir(parents=True, exist_ok=True)
    write_record(options.out / "summary", "One network, trained by several recipes", rows)


if __name__ == "__main__":
    main()
