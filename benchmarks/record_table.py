"""Keep the results of several finished runs, side by side in one table.

    python benchmarks/record_table.py --title "Bit-widths on CIFAR-10" --cost bitops \\
        --run "search=runs/bits" --run "uniform w2a2=runs/uniform" \\
        --out benchmarks/results/bits
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from record import write_record

from spos._util.files import read_json
from spos.cost.units import format_quantity


def rows_of(label: str, result: dict[str, Any], cost: str) -> Iterator[dict[str, Any]]:
    """A row for each network that a run has retrained."""
    retrained = {"test_top1": (result["retrain"] or {}).get("test_top1")}
    networks = [(label, {**(result["winner"] or result["network"]), **retrained})]
    compared = (result["comparison"] or {}).get("networks", [])
    networks += [(f"{label}: {network['name']}", network) for network in compared]
    for name, network in networks:
        yield {
            "network": name,
            "architecture": network.get("architecture", network.get("name", "")),
            cost: format_quantity(network[cost]) if cost in network else "",
            "parameters": network["params"],
            "one-shot top-1": _percent(network.get("one_shot_top1")),
            "test top-1": _percent(network.get("test_top1")),
        }


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
        result = read_json(Path(path) / "result.json")
        rows += rows_of(label, result, options.cost)
        kept = options.out / f"run{number}"
        kept.mkdir(parents=True, exist_ok=True)
        for name in ("config.yaml", "result.json", "metrics.jsonl"):
            shutil.copy(Path(path) / name, kept / name)
    write_record(options.out / "summary", options.title, rows)


if __name__ == "__main__":
    main()
