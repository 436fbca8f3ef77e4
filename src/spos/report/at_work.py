"""The trained network at work: which classes it takes for which, and its worst mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spos.report.attachments import Predictions

#: Classes up to which the confusion matrix is whole; of more, those that are confused most.
WHOLE = 20
MOST_CONFUSED = 12
#: Confusions and classes that are listed.
LISTED = 10


@dataclass(frozen=True)
class MatrixRow:
    """The images of a class: how many were given each class shown, and any other class."""

    name: str
    cells: tuple[int, ...]
    other: int
    images: int


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix, whole or of some classes."""

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
class AtWork:
    """What the trained network does on the test images.

    Args:
        images (int): number of test images.
        wrong (int): number of those that are misclassified.
        matrix (Matrix | None): confusion matrix; None where there is nothing to show.
        confusions (tuple[Confusion, ...]): the most frequent confusions.
        classes (tuple[ClassRow, ...]): classes by accuracy, the lowest first.
    """

    images: int
    wrong: int
    matrix: Matrix | None
    confusions: tuple[Confusion, ...]
    classes: tuple[ClassRow, ...]


def collect_at_work(predictions: Predictions | None) -> AtWork | None:
    """Collect what the trained network does; None where no predictions were recorded."""
    if predictions is None or not predictions.counts:
        return None
    names = predictions.classes
    counts = {(true, predicted): n for true, predicted, n in predictions.counts}
    images: Counter[int] = Counter()
    for (true, _), n in counts.items():
        images[true] += n
    wrong = Counter({pair: n for pair, n in counts.items() if pair[0] != pair[1]})
    classes = []
    for true, total in sorted(images.items()):
        correct = counts.get((true, true), 0)
        classes.append(ClassRow(names[true], correct / total, *interval(correct, total), total))
    whole = len(names) <= WHOLE
    shown = range(len(names)) if whole else _most_confused(wrong)
    rows = []
    for true in shown:
        cells = tuple(counts.get((true, predicted), 0) for predicted in shown)
        rows.append(MatrixRow(names[true], cells, images[true] - sum(cells), images[true]))
    return AtWork(
        images=images.total(),
        wrong=wrong.total(),
        matrix=Matrix(tuple(names[one] for one in shown), tuple(rows), whole) if rows else None,
        confusions=tuple(
            Confusion(names[true], names[predicted], n, n / images[true])
            for (true, predicted), n in wrong.most_common(LISTED)
        ),
        classes=tuple(sorted(classes, key=lambda one: one.accuracy)),
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


def _most_confused(wrong: Counter[tuple[int, int]]) -> Sequence[int]:
    """Classes in whole pairs, so that every frequent confusion has its cell."""
    chosen: set[int] = set()
    for pair, _ in wrong.most_common():
        if len(chosen | set(pair)) > MOST_CONFUSED:
            break
        chosen.update(pair)
    return sorted(chosen)
