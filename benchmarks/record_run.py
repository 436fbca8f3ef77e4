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

from spos._util.files import read_json


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    winner = result["winner"]
    found = {
        "name": "found",
        **{key: winner[key] for key in ("architecture", "flops", "params", "one_shot_top1")},
        "test_top1": result["retrain"]["test_top1"],
    }
    return [
        {
            "network": network["name"],
            "architecture": network["architecture"],
            "FLOPs": f"{network['flops'] / 1e6:.3f}M",
            "parameters": network["params"],
            "one-shot top-1": f"{network['one_shot_top1']:.2%}",
            "test top-1": f"{network['test_top1']:.2%}",
        }
        for network in (found, *result["comparison"]["networks"])
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    result = read_json(options.run / "result.json")
    scores = [network["test_top1"] for network in result["comparison"]["networks"]]
    found = result["retrain"]["test_top1"]
    summary = {
        "found": found,
        "random mean": statistics.fmean(scores),
        "random standard deviation": statistics.stdev(scores),
        "random networks that the found one beats": sum(found > score for score in scores),
        "random networks": len(scores),
        "seconds": result["seconds"],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "metrics.jsonl", "result.json", "report.html"):
        shutil.copy(options.run / name, options.out / name)
    title = f"Block search on {result['data']['source']}, {result['constraint']['text']}"
    write_record(options.out / "summary", title, rows_of(result), summary=summary)


if __name__ == "__main__":
    main()
