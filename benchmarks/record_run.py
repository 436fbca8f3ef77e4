"""Keep the result of a finished run: its result.json, config, curves, report, and a table.

    spos run --data folder:data/cifar10-train.zip --config benchmarks/cifar_cpu.yaml --compare 5 \\
        --out runs/cifar
    python benchmarks/record_run.py runs/cifar --out benchmarks/results/cifar_block_search
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record import write_record

from spos._util.errors import UserError
from spos.report.result import ComparedNetwork, Result, read_result
from spos.search import Candidate


def rows_of(result: Result) -> list[dict[str, Any]]:
    """A row for the network found and for each random one beside it."""
    assert result.winner and result.comparison
    networks: list[tuple[str, Candidate | ComparedNetwork, float]] = [
        ("found", result.winner, result.comparison.found_test_score),
        *((one.name, one, one.test_score) for one in result.comparison.networks),
    ]
    return [
        {
            "network": name,
            "architecture": str(network.architecture),
            "FLOPs": f"{network.costs['flops'] / 1e6:.3f}M",
            "parameters": network.costs["params"],
            "one-shot top-1": f"{network.score:.2%}",
            "test top-1": f"{test_score:.2%}",
        }
        for name, network, test_score in networks
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    result = read_result(options.run / "result.json")
    if not result.comparison:
        raise UserError(f"{options.run} has no comparison: run it again with --compare")
    scores = [network.test_score for network in result.comparison.networks]
    found = result.comparison.found_test_score
    summary = {
        "found": found,
        "random mean": statistics.fmean(scores),
        "random standard deviation": statistics.stdev(scores),
        "random networks that the found one beats": sum(found > score for score in scores),
        "random networks": len(scores),
        "seconds": dict(result.seconds),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "metrics.jsonl", "result.json", "report.html"):
        shutil.copy(options.run / name, options.out / name)
    title = f"Block search on {result.data.source}, {result.constraint.text}"
    write_record(options.out / "summary", title, rows_of(result), summary=summary)


if __name__ == "__main__":
    main()
