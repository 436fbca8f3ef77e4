"""Which way of searching finds the better network in the same time, under one limit.

Each search gets about the same wall-clock time for supernet and search together, its network is
retrained alike, over several seeds; beside them random search over the supernet of SPOS, and a
random network of the cost of the one that SPOS found. A stopped command resumes where it was.

    python benchmarks/search_quality.py --config benchmarks/quality_cpu.yaml --max-flops 3000000 \\
        --runs runs/quality --out benchmarks/results/search_quality
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from record import write_record

from spos._util.console import ConsoleListener
from spos.report.result import Result
from spos.run import run

#: A bound is no part of the loss of these searches: without this they pay for what is within it.
_WITHIN = {"charge": "above-limit"}
#: Settings of each search: as many steps as take the same time where this was run.
SEARCHES: dict[str, dict[str, Any]] = {
    "SPOS": {
        "supernet": {"steps": 3200},
        "search": {"algorithm": "evolution", "iterations": 5},
    },
    "FBNet": {
        "supernet": {"steps": 350},
        "search": {"algorithm": "fbnet"},
        "differentiable": _WITHIN,
    },
    "ProxylessNAS": {
        "supernet": {"steps": 1900},
        "search": {"algorithm": "proxylessnas"},
        "differentiable": _WITHIN,
    },
}


def merged(*sections: dict[str, Any]) -> dict[str, Any]:
    """Settings, later ones on top."""
    result: dict[str, Any] = {}
    for given in sections:
        for name, values in given.items():
            result[name] = {**result.get(name, {}), **values}
    return result


def results_of(
    given: dict[str, Any], folder: Path, seed: int, steps: dict[str, int]
) -> dict[str, Result]:
    """The results of all searches with one seed, by the name of the search."""
    results = {}
    listener = ConsoleListener()
    own = {"run": {"seed": seed}, "search": {"seed": seed}}
    for name, settings in SEARCHES.items():
        chosen = {"supernet": {"steps": steps[name]}} if name in steps else {}
        out = folder / f"{name.lower().replace(',', '').replace(' ', '-')}-{seed}"
        spos = name == "SPOS"
        results[name] = run(
            out, merged(given, settings, own, chosen), listener=listener, compare=1 if spos else 0
        )
        if spos:
            random = merged(given, settings, own, chosen, {"search": {"algorithm": "random"}})
            results["random search"] = run(
                folder / f"random-{seed}", random, listener=listener, reuse=out
            )
    listener.close()
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--max-flops", type=float, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", nargs="*", default=[], metavar="SEARCH=N")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    given = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    given["constraint"] = {"maximum": {"flops": options.max_flops}}
    steps = {name: int(n) for name, _, n in (text.partition("=") for text in options.steps)}
    options.runs.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in options.seeds:
        for name, result in results_of(given, options.runs, seed, steps).items():
            assert result.retrain and result.winner
            spent = result.seconds
            searched = spent.get("train", 0.0) + spent["search"]
            found.setdefault(name, []).append(
                {
                    "seed": seed,
                    "test_score": result.retrain.test_score,
                    "seconds": searched,
                    "architecture": str(result.winner.architecture),
                    "flops": result.winner.costs["flops"],
                }
            )
            for other in result.comparison.networks if result.comparison else ():
                found.setdefault("random network", []).append(
                    {
                        "seed": seed,
                        "test_score": other.test_score,
                        "seconds": 0.0,
                        "architecture": other.architecture,
                        "flops": other.costs["flops"],
                    }
                )
    rows = []
    for name, networks in sorted(found.items(), key=lambda item: -_mean(item[1])):
        scores = [network["test_score"] for network in networks]
        rows.append(
            {
                "search": name,
                "test top-1 of each seed": ", ".join(f"{score:.2%}" for score in scores),
                "mean": f"{statistics.fmean(scores):.2%}",
                "multiply-adds": ", ".join(f"{n['flops'] / 1e6:.2f}M" for n in networks),
                "minutes of search": ", ".join(f"{n['seconds'] / 60:.1f}" for n in networks),
            }
        )
    title = f"Networks of at most {options.max_flops / 1e6:g}M multiply-adds, each search as long"
    write_record(options.out / "summary", title, rows, networks=found)


def _mean(networks: list[dict[str, Any]]) -> float:
    return statistics.fmean(network["test_score"] for network in networks)


if __name__ == "__main__":
    main()
