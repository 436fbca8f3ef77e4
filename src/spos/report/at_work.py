"""The trained network at work: which classes it takes for which, and its worst mistakes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from spos.cost.cost import find_cost
from spos.report.predictions import Predictions
from spos.report.result import Result

#: Classes up to which the confusion matrix is whole; of more, those that are confused most.
WHOLE = 20
MOST_CONFUSED = 12
#: Confusions and classes that are listed.
LISTED = 10


@dataclass(frozen=True)
class MatrixRow:
    """The images of a class: how many were given each class shown, and any other class."""

    name: str
    cells: tuple[tuple[int, float], ...]
    other: int
    images: int


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix, whole or of some classes; a cell is a number and its share of the row."""

    names: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    whole: bool


@dataclass(frozen=True)
class ClassRow:
    """The accuracy of a class in [0, 1], with its 95% interval."""

    name: str
    accuracy: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Confusion:
    """A class that was taken for another one, and the share of its images."""

    true: str
    predicted: str
    images: int
    share: float


@dataclass(frozen=True)
class Shown:
    """A misclassified image: as a PNG in Base64, what it is, and what it was taken for."""

    image: str
    true: str
    predicted: str
    probability: float
    true_probability: float


@dataclass(frozen=True)
class AtWork:
    """What the trained network does on the test images.

    Args:
        images (int): number of test images.
        wrong (int): number of those that are misclassified.
        matrix (Matrix | None): confusion matrix; None where there is nothing to show.
        confusions (tuple[Confusion, ...]): the most frequent confusions.
        classes (tuple[ClassRow, ...]): classes by accuracy, the lowest first.
        mistakes (tuple[Shown, ...]): the worst-classified images.
        latency (str): latency of the network in a sentence; empty if it is not known.
    """

    images: int
    wrong: int
    matrix: Matrix | None
    confusions: tuple[Confusion, ...]
    classes: tuple[ClassRow, ...]
    mistakes: tuple[Shown, ...]
    latency: str


def collect_at_work(result: Result, predictions: Predictions | None) -> AtWork | None:
    """Collect what the trained network does; None where no predictions were recorded."""
    if predictions is None or not predictions.counts:
        return None
    names = predictions.classes
    images: Counter[int] = Counter()
    correct: Counter[int] = Counter()
    wrong: dict[tuple[int, int], int] = {}
    for true, predicted, count in predictions.counts:
        images[true] += count
        if true == predicted:
            correct[true] = count
        else:
            wrong[true, predicted] = count
    ranked = sorted(wrong.items(), key=lambda pair: -pair[1])
    classes = [
        ClassRow(names[one], correct[one] / total, *interval(correct[one], total), total)
        for one, total in sorted(images.items())
    ]
    return AtWork(
        images=images.total(),
        wrong=sum(wrong.values()),
        matrix=_matrix(predictions, images, ranked),
        confusions=tuple(
            Confusion(names[true], names[predicted], count, count / images[true])
            for (true, predicted), count in ranked[:LISTED]
        ),
        classes=tuple(sorted(classes, key=lambda one: one.accuracy)),
        mistakes=tuple(
            Shown(
                one.image,
                names[one.true],
                names[one.predicted],
                one.probability,
                one.true_probability,
            )
            for one in predictions.mistakes
        ),
        latency=_latency(result),
    )


def interval(correct: int, images: int) -> tuple[float, float]:
    """The 95% interval of a share.

    Args:
        correct (int): number of images classified correctly.
        images (int): number of images, at least 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 1927.

    Example:
        >>> tuple(round(end, 3) for end in interval(9, 10))
        (0.596, 0.982)
    """
    # It takes half a second to import, and most commands write no report.
    from scipy.stats import binomtest

    ends = binomtest(correct, images).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def _matrix(
    predictions: Predictions, images: Counter[int], ranked: list[tuple[tuple[int, int], int]]
) -> Matrix | None:
    count = len(predictions.classes)
    shown = list(range(count))
    if count > WHOLE:
        # Whole pairs, so that every frequent confusion has its cell.
        chosen: list[int] = []
        for pair, _ in ranked:
            new = [one for one in pair if one not in chosen]
            if len(chosen) + len(new) > MOST_CONFUSED:
                break
            chosen += new
        shown = sorted(chosen)
    if not shown:
        return None
    numbers = {(true, predicted): n for true, predicted, n in predictions.counts}
    rows = []
    for true in shown:
        counts = [numbers.get((true, predicted), 0) for predicted in shown]
        total = images[true]
        rows.append(
            MatrixRow(
                name=predictions.classes[true],
                cells=tuple((n, n / total if total else 0.0) for n in counts),
                other=total - sum(counts),
                images=total,
            )
        )
    names = tuple(predictions.classes[one] for one in shown)
    return Matrix(names, tuple(rows), whole=count <= WHOLE)


def _latency(result: Result) -> str:
    facts, network = result.latency, result.winner or result.network
    if facts is None or network is None or "latency" not in network.costs:
        return ""
    images = "one image" if facts.batch == 1 else f"{facts.batch} images"
    threads = f", {facts.threads} thread{'' if facts.threads == 1 else 's'}"
    return (
        f"{find_cost('latency').format(network.costs['latency'])} for {images} on {facts.device} "
        f"({facts.backend}{threads if facts.accelerator == 'cpu' else ''}), the sum of its "
        "measured parts"
    )
