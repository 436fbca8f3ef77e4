"""What the study of a search costs beside the evaluation of its candidates.

Adds trials to a study on disk and reads those of a large one, by spos and by Optuna alone.

    python benchmarks/study_speed.py --out benchmarks/results/study
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from record import write_tables

from spos._util.randomness import generator
from spos.search import evaluations, open_study
from spos.search.adding import add_trial
from spos.search.candidate import Candidate
from spos.search.study import make_trial
from spos.space import Architecture, Choice, SearchSpace

#: The layers and options of the paper's space.
SPACE = SearchSpace(Choice(f"block{place}", ("a", "b", "c", "d")) for place in range(20))


def trials(count: int) -> list[optuna.trial.FrozenTrial]:
    """Finished trials of random architectures."""
    drawn = generator(0, "trials").integers(4, size=(count, len(SPACE)))
    return [
        make_trial(
            SPACE,
            Candidate(Architecture(one.tolist()), 0, 0, "random", 0.5, {"flops": 1, "params": 1}),
            "first",
            [0.5],
        )
        for one in drawn
    ]


def seconds(work: Callable[..., object], *arguments: Any) -> float:
    """Seconds of a core that work takes in this process."""
    began = time.process_time()
    work(*arguments)
    return time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--added", type=int, default=200, help="trials added in each way")
    parser.add_argument("--known", type=int, default=20_000, help="trials of the large study")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # As each run has, for the record.
    new = trials(options.added)
    adding: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[optuna.Study, Any], None]] = {
            "Optuna": lambda study, trial: study.add_trial(trial),
            "spos": add_trial,
        }
        for name, add in ways.items():
            study = open_study(Path(folder) / f"{name}.db", "a", SPACE)
            # The first one imports and compiles what all need.
            add(study, new[0])
            each = [seconds(add, study, one) for one in new[1:]]
            adding.append(
                {"way": name, "ms of a core for a trial, median": f"{1000 * np.median(each):.2f}"}
            )
        path = Path(folder) / "large.db"
        large = open_study(path, "a", SPACE)
        for one in trials(options.known):
            add_trial(large, one)
        reading = [
            {
                "way": name,
                "seconds of a core": f"{seconds(work):.1f}",
            }
            for name, work in (
                ("spos", lambda: evaluations(open_study(path, "a", SPACE))),
                ("Optuna", lambda: open_study(path, "a", SPACE).get_trials()),
            )
        ]
    write_tables(
        options.out / "summary",
        f"The study of a search over {len(SPACE)} layers",
        {
            f"Adding {options.added} trials one by one": adding,
            f"Reading {options.known} trials": reading,
        },
    )


if __name__ == "__main__":
    main()
