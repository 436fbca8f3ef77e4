"""How the best candidates of a search improve: evolution against random search on one supernet.

Reads the runs that `paper_small.py` leaves, and draws the one-shot score of the best candidate and
the mean of the ten best over the candidates evaluated so far, as the paper does (Guo et al.,
Figure 5), with bands over the seeds. Scores are compared within a supernet: each seed counts from
the mean of its own first candidates.

    python benchmarks/search_curves.py --runs runs/paper-small \\
        --out benchmarks/results/paper_small/curves
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray
from record import write_record

from spos._util.files import read_own

#: Searches by the name of their runs.
SEARCHES = {"evolution": "evolution", "random": "random search"}
TOP = 10
#: Measures of the candidates so far.
BEST, MEAN = "best", f"mean of the {TOP} best"


def course(scores: Sequence[float]) -> dict[str, NDArray[np.float64]]:
    """The best score and the mean of the best ones, after each candidate from the tenth on.

    Example:
        >>> found = course([0.0] * 9 + [1.0, 2.0])
        >>> found["best"].tolist(), found["mean of the 10 best"].tolist()
        ([1.0, 2.0], [0.1, 0.3])
    """
    best = [np.sort(scores[:count])[-TOP:] for count in range(TOP, len(scores) + 1)]
    return {BEST: np.array([one[-1] for one in best]), MEAN: np.array([one.mean() for one in best])}


def read_courses(runs: Path, name: str) -> dict[int, dict[str, NDArray[np.float64]]]:
    """The course of each seed of a search, counted from the mean of its first candidates."""
    courses = {}
    for path in sorted(runs.glob(f"{name}-*/search.json")):
        seed = re.fullmatch(rf"{name}-(\d+)", path.parent.name)
        if seed is None:
            continue
        candidates = read_own(path)["candidates"]
        first = [one["score"] for one in candidates if one["iteration"] == 0]
        scores = [one["score"] - float(np.mean(first)) for one in candidates]
        courses[int(seed[1])] = course(scores)
    return courses


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    courses = {name: read_courses(options.runs, name) for name in SEARCHES}
    seeds = sorted(set.intersection(*map(set, courses.values())))
    if not seeds:
        parser.error(f"--runs {options.runs}: no seed has been searched in both ways")
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    rows = []
    for axis, measure in zip(axes, (BEST, MEAN), strict=True):
        for name, label in SEARCHES.items():
            values = np.stack([courses[name][seed][measure] for seed in seeds])
            number = np.arange(TOP, TOP + values.shape[1])
            (line,) = axis.plot(number, values.mean(0), label=label)
            spread = values.std(0)
            low, high = values.mean(0) - spread, values.mean(0) + spread
            axis.fill_between(number, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
            shown = {f"after {TOP + at}": f"{values[:, at].mean():.4f}" for at in _shown(values)}
            rows.append({"score": measure, "search": label, "seeds": len(seeds), **shown})
        axis.set(title=measure, xlabel="candidates")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("one-shot score above the first")
    axes[1].legend(frameon=False, loc="lower right")
    figure.tight_layout()
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "curves.png", dpi=130)
    write_record(options.out / "summary", "One-shot scores over the candidates", rows)


def _shown(values: NDArray[np.float64]) -> list[int]:
    last = values.shape[1] - 1
    return sorted({round(share * last) for share in (0, 0.25, 0.5, 1)})


if __name__ == "__main__":
    main()
