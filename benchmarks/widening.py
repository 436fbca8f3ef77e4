"""What the warm-up of widths and the optimiser bring to a supernet of blocks and channels.

Trains the same supernet in several ways on CIFAR-10's training images and measures the one-shot
accuracy of the same 50 random networks in each. A stopped command resumes where it was.

    python benchmarks/widening.py --config benchmarks/joint_cpu.yaml --runs runs/widening \\
        --out benchmarks/results/widening
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from record import write_record

from spos._util.console import ConsoleListener
from spos._util.records import read_record
from spos.run import run
from spos.run.outcome import SearchOutcome
from spos.search import Candidate

#: How each supernet is trained: the share of the steps over which widths open, and the optimiser.
WAYS = {
    "all widths from the start": (0.0, "PathSGD"),
    "widths open over the first half": (0.5, "PathSGD"),
    "all widths from the start, torch's SGD": (0.0, "SGD"),
}


def measure(
    given: dict[str, Any], out: Path, share: float, optimizer: str
) -> tuple[Candidate, ...]:
    """Train one supernet and evaluate random networks; what is done is not done again."""
    steps = given["supernet"]["steps"]
    supernet = {**given["supernet"], "widening_steps": round(share * steps)}
    listener = ConsoleListener()
    torch_sgd = patch("spos.training.optimizer.PathSGD", torch.optim.SGD)
    with torch_sgd if optimizer == "SGD" else nullcontext():
        run(out, {**given, "supernet": supernet}, ("train", "search"), listener=listener)
    listener.close()
    path = out / "search.json"
    return read_record(SearchOutcome, path, upgrade=SearchOutcome.upgrade).candidates


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    given = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    options.runs.mkdir(parents=True, exist_ok=True)
    rows, scores = [], {}
    for number, (way, (share, optimizer)) in enumerate(WAYS.items()):
        candidates = measure(given, options.runs / str(number), share, optimizer)
        accuracies = [candidate.score for candidate in candidates]
        scores[way] = {str(c.architecture): c.score for c in candidates}
        rows.append(
            {
                "supernet": way,
                "mean one-shot top-1": f"{statistics.fmean(accuracies):.2%}",
                "standard deviation": f"{statistics.stdev(accuracies):.2%}",
                "worst": f"{min(accuracies):.2%}",
                "best": f"{max(accuracies):.2%}",
            }
        )
    assert len({tuple(sorted(one)) for one in scores.values()}) == 1, "not the same networks"
    title = "One-shot accuracy of 50 random networks by how the supernet is trained"
    write_record(options.out / "summary", title, rows, one_shot_top1=scores)


if __name__ == "__main__":
    main()
