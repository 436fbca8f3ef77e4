"""How well the one-shot scores of trained supernets rank networks whose true accuracy is known.

Scores networks of a benchmark with the supernet of each run, and compares the ranking with the
trained accuracies of the benchmark's table: over all networks, the better half, the best tenth, and
a band of equal cost, beside rankings that need no training. Then searches under several budgets,
and looks up how good the networks found really are. Scores are kept, so that a stopped command
continues where it was.

    spos train --space nasbenchmacro --preset proxy --data folder:cifar10-train.zip --out runs/a
    python benchmarks/ranking.py nasbenchmacro --table data/nasbenchmacro-cifar10.csv \\
        --run runs/a --out benchmarks/results/ranking_macro
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ground_truth import GroundTruth, read_ground_truth
from numpy.typing import NDArray
from opened import choose_validation, open_run
from record import write_tables
from scipy.stats import kendalltau, rankdata, spearmanr
from table_search import searched_by_spos
from torch import Tensor
from torch.nn import functional as F

from spos import Architecture, Constraint
from spos._util.files import write_atomically
from spos._util.randomness import generator
from spos.run.directory import RunDirectory
from spos.run.network import load_checkpoint
from spos.run.scoring import Scorer
from spos.run.task import Task, zscores
from spos.search import SearchSettings

Floats = NDArray[np.float64]

RESAMPLES = 1000
#: Budgets, as shares of the networks of the space that are within them.
BUDGETS = (0.1, 0.25, 0.5, 0.75)
SEARCHES = ("evolution", "random")
#: Weight of the standardised number of layers beside the standardised loss.
LAYERS = 0.5


class Recorder:
    """A metric that keeps several scores of a candidate: its loss, accuracy and z-score."""

    def __init__(self) -> None:
        self._sums, self._images = np.zeros(3), 0

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        """Add the scores of a batch, and return the loss."""
        loss = F.cross_entropy(outputs.float(), targets, reduction="sum")
        sums = [loss, (outputs.argmax(1) == targets).sum(), zscores(outputs, targets).sum()]
        self._sums += [float(one) for one in sums]
        self._images += len(targets)
        return float(sums[0])

    def take(self) -> list[float]:
        """Mean scores over the images since the last call."""
        means = self._sums / self._images
        self._sums, self._images = np.zeros(3), 0
        return [float(one) for one in means]


class Scores:
    """One-shot scores of a run's supernet, kept in a file.

    Args:
        run (Path): run directory with a trained supernet.
        path (Path): file of the scores.
        truth (GroundTruth): table of the space.
        images (tuple[int, int]): numbers of images for recalibration and validation.
    """

    def __init__(self, run: Path, path: Path, truth: GroundTruth, images: tuple[int, int]) -> None:
        self._recorder = Recorder()
        self._context = open_run(run, images[0], Task("several scores", metric=self._recorder))
        self._path, self._truth, self._validation = path, truth, images[1]
        self._known: dict[str, list[float]] = {}
        self._evaluate: Callable[..., Iterator[tuple[Architecture, float]]] | None = None
        if path.exists():
            stored = json.loads(path.read_text())
            assert stored["images"] == list(images), f"{path} has scores of other images"
            self._known = stored["scores"]
        self._images = images

    def __call__(self, rows: Sequence[int]) -> Floats:
        """Loss, accuracy and z-score of networks, shape (networks, 3)."""
        wanted = {row: Architecture(self._truth.options[row].tolist()) for row in rows}
        new = [one for one in wanted.values() if str(one) not in self._known]
        for start in range(0, len(new), 100):
            for architecture, _ in self._evaluator()(new[start : start + 100]):
                self._known[str(architecture)] = self._recorder.take()
            content = {"images": self._images, "scores": self._known}
            write_atomically(self._path, json.dumps(content))
        return np.array([self._known[str(wanted[row])] for row in rows])

    def _evaluator(self) -> Callable[..., Iterator[tuple[Architecture, float]]]:
        if self._evaluate is None:
            context, data = self._context, self._context.data
            few = choose_validation(context, self._validation)
            object.__setattr__(data, "validation", few)
            supernet, _ = load_checkpoint(context)
            self._evaluate = Scorer(context, supernet)
        return self._evaluate

    @property
    def facts(self) -> dict[str, Any]:
        recipe = self._context.config.supernet
        trained = RunDirectory(self._context.directory.path).path / "train.json"
        seconds = json.loads(trained.read_text())["seconds"]
        return {"method": recipe.method, "steps": recipe.steps, "minutes": round(seconds / 60, 1)}


def standard(values: NDArray[Any]) -> Floats:
    """Values with mean 0 and standard deviation 1."""
    return np.asarray((values - values.mean()) / (values.std() or 1.0), dtype=np.float64)


def interval(
    function: Callable[..., Any], true: Floats, by: Floats, random: np.random.Generator
) -> str:
    """A rank correlation with the 95% interval of the bootstrap over networks."""
    if len(true) < 3:
        return "-"
    drawn = random.integers(len(true), size=(RESAMPLES, len(true)))
    values = [function(true[rows], by[rows]).statistic for rows in drawn]
    low, high = np.nanquantile(values, (0.025, 0.975))
    return f"{function(true, by).statistic:.3f} [{low:.2f}, {high:.2f}]"


def correlations(
    truth: GroundTruth, drawn: list[int], band: list[int], rankings: dict[str, Floats]
) -> list[dict[str, Any]]:
    """Rows of correlations, one per ranking; ``rankings`` are over ``drawn`` and then ``band``."""
    true = truth.accuracy[drawn + band]
    first = np.arange(len(drawn))
    ordered = first[np.argsort(-true[: len(drawn)], kind="stable")]
    groups = {
        "all": first,
        "better half": ordered[: len(drawn) // 2],
        "best tenth": ordered[: len(drawn) // 10],
        "band": np.arange(len(drawn), len(drawn) + len(band)),
    }
    rows = []
    for name, by in rankings.items():
        row: dict[str, Any] = {"ranking": name}
        for group, members in groups.items():
            random = generator(0, "bootstrap", group)
            row[f"tau, {group}"] = interval(kendalltau, true[members], by[members], random)
        row["rho, all"] = interval(spearmanr, true[first], by[first], generator(0, "rho"))
        for group in ("all", "band"):
            best = groups[group][by[groups[group]].argmax()] if len(groups[group]) else None
            row[f"best of {group} by it"] = "-" if best is None else f"{true[best]:.2f}"
        rows.append(row)
    return rows


def found_by_search(
    truth: GroundTruth, score: Callable[[Sequence[int]], Floats], budget: float, evaluations: int
) -> dict[str, Any]:
    """True accuracy of the networks that searches find by their scores under a budget."""
    inside = truth.accuracy[truth.costs["flops"] <= budget]
    row: dict[str, Any] = {"budget": f"{budget / 1e6:.1f}M", "mean": f"{inside.mean():.2f}"}
    for count in (5, 10):
        random = generator(0, "best of", count)
        best = random.choice(inside, (10_000, count)).max(1)
        row[f"best of {count} random, by truth"] = f"{best.mean():.2f}"
    for algorithm in SEARCHES:
        population = min(50, evaluations)
        settings = SearchSettings(
            algorithm=algorithm, population=population, iterations=evaluations // population
        )
        scores: dict[Architecture, float] = {}

        def evaluate(
            candidates: Sequence[Architecture], scores: dict[Architecture, float] = scores
        ) -> list[float]:
            values = score([truth.rows[one] for one in candidates]).tolist()
            scores.update(zip(candidates, values, strict=True))
            return values

        for _ in searched_by_spos(truth, Constraint({"flops": budget}), settings, evaluate):
            pass
        ranked = sorted(scores, key=scores.__getitem__, reverse=True)
        best_ten = truth.look_up(ranked[:10])
        row[algorithm] = f"{best_ten[0]:.2f}"
        row[f"best of {algorithm}'s top 10, by truth"] = f"{max(best_ten):.2f}"
    row["best there is"] = f"{inside.max():.2f}"
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space", help="of the catalogue, such as nasbenchmacro")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--run", type=Path, action="append", required=True, dest="runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--band", type=int, default=300)
    parser.add_argument("--evaluations", type=int, default=200, help="of a search; 0 for none")
    parser.add_argument("--calibration", type=int, default=768, help="images")
    parser.add_argument("--validation", type=int, default=1000, help="images")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    layout = RunDirectory(options.runs[0]).resolve_config({}, ())[0].layout
    truth = read_ground_truth(options.space, options.table, layout)
    order = generator(0, "networks").permutation(len(truth.accuracy))
    drawn = order[: options.networks].tolist()
    band = order[truth.band()[order]][: options.band].tolist()
    chosen = drawn + band
    rankings = {
        "multiply-adds": truth.costs["flops"][chosen],
        "parameters": truth.costs["params"][chosen],
        "layers": truth.layers()[chosen].astype(float),
    }
    (options.out / "scores").mkdir(parents=True, exist_ok=True)
    facts, searches = [], []
    losses: list[Floats] = []
    for run in options.runs:
        scores = Scores(
            run,
            options.out / "scores" / f"{run.name}.json",
            truth,
            (options.calibration, options.validation),
        )
        facts.append({"run": run.name, **scores.facts})
        values = scores(chosen)
        losses.append(-values[:, 0])
        rankings[f"{run.name}: loss"] = -values[:, 0]
        rankings[f"{run.name}: accuracy"] = values[:, 1]
        rankings[f"{run.name}: z-score"] = values[:, 2]
        rankings[f"{run.name}: ranks of loss and multiply-adds"] = rankdata(
            -values[:, 0]
        ) + rankdata(truth.costs["flops"][chosen])
        rankings[f"{run.name}: loss and layers"] = standard(-values[:, 0]) + LAYERS * standard(
            truth.layers()[chosen]
        )
        for share in BUDGETS if options.evaluations else ():
            budget = float(np.quantile(truth.costs["flops"], share))
            row = found_by_search(
                truth, lambda rows, by=scores: -by(rows)[:, 0], budget, options.evaluations
            )
            searches.append({"run": run.name, **row})
    if len(losses) > 1:
        rankings["mean rank of the losses of all runs"] = sum(map(rankdata, losses))
    write_tables(
        options.out / "summary",
        f"Ranking of {options.space}: {len(drawn)} networks, and {len(band)} of a band of cost",
        {
            "Supernets": facts,
            "Rank correlation with the true accuracy (95% interval over networks)": correlations(
                truth, drawn, band, rankings
            ),
            f"True accuracy of what {options.evaluations} evaluations find": searches,
        },
    )
    draw(options.out / "ranking.png", truth, drawn, band, rankings)


def draw(
    path: Path, truth: GroundTruth, drawn: list[int], band: list[int], rankings: dict[str, Floats]
) -> None:
    """Draw the loss over the true accuracy for each run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = {name: by for name, by in rankings.items() if name.endswith(": loss")}
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    size = (4.6 * columns, 4.2 * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis, (name, by) in zip(axes.flat, shown.items(), strict=False):
        count = len(drawn)
        axis.scatter(truth.accuracy[drawn], -by[:count], s=8, alpha=0.6, label="all")
        axis.scatter(truth.accuracy[band], -by[count:], s=8, alpha=0.6, label="band")
        axis.set(title=name, xlabel="true accuracy, %", ylabel="one-shot loss")
        axis.invert_yaxis()
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
