"""Agreement of predictions with measurements, and the fit of a latency table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Agreement of predictions with measurements.

    Args:
        networks (int): number of networks compared.
        error (float): mean absolute error as a fraction of the measured value.
        bias (float): mean error as a fraction of the measured value; negative if predictions are
            too small.
        spearman (float | None): Spearman rank correlation, in [-1, 1]; None if all values are
            equal.
        kendall (float | None): Kendall rank correlation, in [-1, 1]; None if all values are equal.
    """

    networks: int
    error: float
    bias: float
    spearman: float | None
    kendall: float | None


def agreement(predicted: Values, measured: Values) -> Agreement:
    """Compare predictions with measurements.

    Args:
        predicted (Values): predicted latency of each network, in nanoseconds.
        measured (Values): measured latency of each network in nanoseconds, above 0.

    Example:
        >>> compared = agreement(np.array([9.0, 22.0, 33.0]), np.array([10.0, 20.0, 30.0]))
        >>> round(compared.error, 3), round(compared.bias, 3), compared.spearman
        (0.1, 0.033, 1.0)
    """
    # It takes half a second to import, and most commands compare nothing.
    from scipy import stats

    errors = (predicted - measured) / measured
    ranked = len(set(predicted)) > 1 and len(set(measured)) > 1
    return Agreement(
        len(measured),
        float(np.abs(errors).mean()),
        float(errors.mean()),
        float(stats.spearmanr(predicted, measured).statistic) if ranked else None,
        float(stats.kendalltau(predicted, measured).statistic) if ranked else None,
    )


def fit_line(parts: Values, computing: Values, measured: Values) -> tuple[int, int]:
    """Fit the time that networks take in addition to their parts, by least squares.

    Args:
        parts (Values): sum of the parts of each network, in nanoseconds.
        computing (Values): number of parts of each network that compute something.
        measured (Values): measured latency of each network, in nanoseconds.

    Returns:
        The additional time per network and per part that computes something, in whole nanoseconds.
        If all networks have the same number of such parts, the two cannot be separated: the second
        is then 0.

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
    """Predict the latency of each network from a fit to all other networks.

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
