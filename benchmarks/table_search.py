"""How fast searches find the best network if every score is the network's true accuracy.

The score of a candidate is looked up in a table of trained networks, so that only the search itself
is measured: the regret (accuracy of the best feasible network less that of the best one found) over
the number of evaluated candidates, over many seeds. Candidates outside the budget and repeated ones
cost nothing and are not counted. Rerun the same command to resume.

    python benchmarks/table_search.py --tables data --runs runs/table_search \\
        --out benchmarks/results/table_search
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from ground_truth import GroundTruth, read_ground_truth
from numpy.typing import NDArray
from record import write_record

from spos import Constraint
from spos._util.files import write_atomically
from spos.search import ALGORITHMS, SearchSettings
from spos.search.driver import Course
from spos.search.feasible import Feasible
from spos.search.study import make_distributions
from spos.space import Architecture

#: Suggestions of a sampler of Optuna per evaluation, after which it is taken to be exhausted.
TRIES = 5
SHOWN = (10, 50, 100, 200, 300)


def searched_by_spos(
    truth: GroundTruth,
    constraint: Constraint,
    settings: SearchSettings,
    evaluate: Callable[[list[Architecture]], Sequence[float]] | None = None,
) -> Iterator[Architecture]:
    """Candidates in the order in which an algorithm of spos evaluates them.

    Args:
        truth (GroundTruth): table of the space.
        constraint (Constraint): bounds of the search.
        settings (SearchSettings): settings of the search.
        evaluate (Callable | None): scores of candidates; None for their true accuracy.
    """
    feasible = Feasible(truth.space, truth.table, constraint)
    course = Course(ALGORITHMS.find(settings.algorithm)(feasible, settings))
    while pending := course.pending():
        candidates = [proposal.architecture for proposal in pending]
        scores = truth.look_up(candidates) if evaluate is None else evaluate(candidates)
        course.history.scores.update(zip(candidates, scores, strict=True))
        yield from candidates


def searched_by_optuna(
    truth: GroundTruth, constraint: Constraint, sampler: optuna.samplers.BaseSampler, tries: int
) -> Iterator[Architecture]:
    """Distinct feasible candidates in the order in which a sampler of Optuna suggests them."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = make_distributions(truth.space)
    most = constraint.maximum["flops"]
    seen: set[Architecture] = set()
    for _ in range(tries):
        trial = study.ask(distributions)
        architecture = truth.space.from_names(trial.params)
        row = truth.rows[architecture]
        excess = float(truth.costs["flops"][row]) - most
        trial.set_constraint("flops", excess)
        # The value of an infeasible candidate is not looked at, only its excess.
        study.tell(trial, float(truth.accuracy[row]) if excess <= 0 else 0.0)
        if excess <= 0 and architecture not in seen:
            seen.add(architecture)
            yield architecture


Search = Callable[[GroundTruth, Constraint, int, int], Iterator[Architecture]]


def _spos(algorithm: str, **more: Any) -> Search:
    def search(
        truth: GroundTruth, constraint: Constraint, seed: int, evaluations: int
    ) -> Iterator[Architecture]:
        population = SearchSettings().population
        settings = SearchSettings(
            algorithm=algorithm, seed=seed, iterations=-(-evaluations // population), **more
        )
        return searched_by_spos(truth, constraint, settings)

    return search


def _optuna(make: Callable[[int], optuna.samplers.BaseSampler]) -> Search:
    def search(
        truth: GroundTruth, constraint: Constraint, seed: int, evaluations: int
    ) -> Iterator[Architecture]:
        return searched_by_optuna(truth, constraint, make(seed), TRIES * evaluations)

    return search


SEARCHES: dict[str, Search] = {
    "evolution": _spos("evolution"),
    "random": _spos("random"),
    "TPE": _spos("tpe"),
    "NSGA-II for a front": _spos("nsga2", pareto=("flops",)),
    "Optuna's TPE": _optuna(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True)),
    "Optuna's NSGA-II": _optuna(lambda seed: optuna.samplers.NSGAIISampler(seed=seed)),
}


def regrets(
    truth: GroundTruth, search: Search, budget: float, evaluations: int, seeds: int, kept: Path
) -> NDArray[np.float64]:
    """Regret after each evaluation, shape (seeds, evaluations).

    Args:
        truth (GroundTruth): table of the space.
        search (Search): search to measure.
        budget (float): most multiply-adds.
        evaluations (int): candidates of each search.
        seeds (int): number of searches.
        kept (Path): file of the true accuracies of each seed, one line each, as far as they are
            known.
    """
    best = truth.accuracy[truth.costs["flops"] <= budget].max()
    lines = kept.read_text("utf-8").splitlines(keepends=True)[:seeds] if kept.exists() else []
    for seed in range(len(lines), seeds):
        found = search(truth, Constraint({"flops": budget}), seed, evaluations)
        lines.append(json.dumps(truth.look_up(islice(found, evaluations))) + "\n")
        write_atomically(kept, "".join(lines))
    rows = []
    for line in lines:
        true = json.loads(line)
        true += [min(true)] * (evaluations - len(true))
        rows.append(best - np.maximum.accumulate(true))
    return np.stack(rows)


def draw(path: Path, curves: dict[str, dict[str, NDArray[np.float64]]]) -> None:
    """Draw the median regret with its quartiles, one plot per benchmark."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(11, 4.2), squeeze=False)
    for axis, (title, by_search) in zip(axes[0], curves.items(), strict=True):
        for name, regret in by_search.items():
            low, middle, high = np.quantile(regret, (0.25, 0.5, 0.75), axis=0)
            number = np.arange(1, regret.shape[1] + 1)
            (line,) = axis.plot(number, middle, label=name)
            axis.fill_between(number, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        axis.set(title=title, xlabel="evaluated candidates", ylabel="regret, points of accuracy")
        axis.set_yscale("symlog", linthresh=0.1)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][-1].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=Path, required=True, help="folder of the CSV files")
    parser.add_argument("--runs", type=Path, required=True, help="folder of what is known so far")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES), metavar="NAME"
    )
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--share", type=float, default=0.5, help="of the networks in the budget")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options.runs.mkdir(parents=True, exist_ok=True)
    rows, curves = [], {}
    for name in ("nasbenchmacro", "nasbench201"):
        truth = read_ground_truth(name, options.tables / f"{name}-cifar10.csv")
        budget = float(np.quantile(truth.costs["flops"], options.share))
        title = f"{name}, at most {budget / 1e6:.1f}M multiply-adds"
        curves[title] = {
            search: regrets(
                truth,
                SEARCHES[search],
                budget,
                options.evaluations,
                options.seeds,
                options.runs / f"{name}-{options.share:g}-{options.evaluations}-{search}.jsonl",
            )
            for search in options.searches
        }
        for search, regret in curves[title].items():
            row: dict[str, Any] = {"benchmark": title, "search": search}
            for number in (one for one in SHOWN if one <= options.evaluations):
                column = regret[:, number - 1]
                error = column.std(ddof=1) / np.sqrt(len(column))
                row[f"after {number}"] = f"{column.mean():.3f} ± {error:.3f}"
            row["best found"] = f"{(regret[:, -1] == 0).mean():.0%}"
            rows.append(row)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(options.out / "regret.png", curves)
    write_record(
        options.out / "summary",
        f"Regret with true accuracy as the score, mean of {options.seeds} seeds ± standard error",
        rows,
        quartiles={
            title: {
                search: np.quantile(regret, (0.25, 0.5, 0.75), axis=0).round(4).tolist()
                for search, regret in by_search.items()
            }
            for title, by_search in curves.items()
        },
    )


if __name__ == "__main__":
    main()
