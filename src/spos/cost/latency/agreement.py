"""How far predictions agree with what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How far predictions agree with measurements.

    Args:
        networks: how many were compared.
        error: the mean absolute error, as a share of what was measured.
        bias: the mean error likewise; below 0 where predictions are too small.
        spearman: the rank correlation of Spearman, from -1 to 1; None where all are equal.
        kendall: that of Kendall.
    """

    networks: int
    error: float
    bias: float
    spearman: float | None
    kendall: float | None


def agreement(predicted: Values, measured: Values) -> Agreement:
    """Compare predictions with measurements.

    Args:
        predicted: of each network.
        measured: of the same networks, above 0.

    Example:
        >>> compared = agreement(np.array([9.0, 22.0, 33.0]), np.array([10.0, 20.0, 30.0]))
        >>> round(compared.error, 3), round(compared.bias, 3), compared.spearman
        (0.1, 0.033, 1.0)
    """
    errors = (predicted - measured) / measured
    ranked = len(measured) > 1 and len(set(predicted)) > 1 and len(set(measured)) > 1
    return Agreement(
        len(measured),
        float(np.abs(errors).mean()),
        float(errors.mean()),
        _known(stats.spearmanr(predicted, measured).statistic) if ranked else None,
        _known(stats.kendalltau(predicted, measured).statistic) if ranked else None,
    )


def fit_line(parts: Values, computing: Values, measured: Values) -> tuple[int, int]:
    """What networks take beside their parts, by least squares.

    Args:
        parts: the sum of the parts of each network.
        computing: how many of them compute something.
        measured: of each network.

    Returns:
        What it takes once, and for each part that computes something, in whole nanoseconds. Where
        all networks have as many parts, one cannot be told from the other: all of it is the first.

    Example:
        >>> parts, computing = np.array([100.0, 100.0, 200.0]), np.array([2.0, 3.0, 4.0])
        >>> fit_line(parts, computing, parts + 50 - 5 * computing)
        (50, -5)
    """
    rest = measured - parts
    if len(set(computing)) < 2:
        return round(float(rest.mean())), 0
    columns = np.stack([np.ones_like(computing), computing], axis=1)
    once, each = np.linalg.lstsq(columns, rest, rcond=None)[0]
    return round(float(once)), round(float(each))


def left_out(parts: Values, computing: Values, measured: Values) -> Values:
    """What the fit to all other networks predicts of each network.

    Args:
        parts: as in :func:`fit_line`, of at least 3 networks.
        computing: likewise.
        measured: likewise.

    Source: leave-one-out cross-validation (Stone, 1974).

    Example:
        >>> parts, computing = np.array([100.0, 100.0, 200.0]), np.array([2.0, 2.0, 2.0])
        >>> left_out(parts, computing, np.array([150.0, 160.0, 270.0])).tolist()
        [165.0, 160.0, 255.0]
    """
    predicted = np.empty_like(parts)
    for network in range(len(parts)):
        others = np.arange(len(parts)) != network
        once, each = fit_line(parts[others], computing[others], measured[others])
        predicted[network] = parts[network] + once + each * computing[network]
    return predicted


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
