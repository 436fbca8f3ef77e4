"""Keep the results of several finished runs, side by side in one table.

    python benchmarks/record_table.py --title "Bit-widths on CIFAR-10" --cost bitops \\
        --run "search=runs/bits" --run "uniform w2a2=runs/uniform" \\
        --out benchmarks/results/bits
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from record import write_record

from spos.cost.units import COUNT
from spos.report.result import Result, read_result


def rows_of(label: str, result: Result, cost: str) -> Iterator[dict[str, Any]]:
    """A row for each network that a run has retrained."""

    def row(
        name: str, network: str, costs: Mapping[str, int], score: float | None, test: float | None
    ) -> dict[str, Any]:
        return {
            "network": name,
            "architecture": network,
            cost: COUNT.format(costs[cost]) if cost in costs else "",
            "parameters": costs["params"],
            "one-shot top-1": _percent(score),
            "test top-1": _percent(test),
        }

    if found := result.winner:
        yield row(label, str(found.architecture), found.costs, found.score, result.test_score)
    elif named := result.network:
        yield row(label, named.name, named.costs, None, result.test_score)
    for one in result.comparison.networks if result.comparison else ():
        name = f"{label}: {one.name}"
        yield row(name, one.architecture, one.costs, one.score, one.test_score)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", action="append", required=True, metavar="LABEL=DIR")
    parser.add_argument("--cost", default="flops", help="the cost to show")
    parser.add_argument("--title", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(options.run, 1):
        label, _, path = text.partition("=")
        result = read_result(Path(path) / "result.json")
        rows += rows_of(label, result, options.cost)
        kept = options.out / f"run{number}"
        kept.mkdir(parents=True, exist_ok=True)
        for name in ("config.yaml", "result.json", "metrics.jsonl"):
            shutil.copy(Path(path) / name, kept / name)
    write_record(options.out / "summary", options.title, rows)


if __name__ == "__main__":
    main()
