"""The effect of each choice on the score of candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spos.cost.cost import find_cost
from spos.report.result import Result
from spos.search.candidate import Candidate

#: Fewest candidates with an option, and without it, for an effect to be shown.
FEWEST = 5
#: Effects that are shown at once; the others unfold.
SHOWN = 12

Values = npt.NDArray[np.float64]
Show = Callable[[float], str]


@dataclass(frozen=True)
class Effect:
    """The difference between candidates with an option in a layer and those without.

    Args:
        choice (str): name of the layer's choice.
        option (str): name of the option.
        candidates (int): number of candidates with the option.
        gain (float): mean score of those less that of the others.
        error (float): half of the 95% interval of the gain.
        cost (float): mean primary cost of those less that of the others.
        adjusted (float | None): gain between candidates of equal cost, by a linear fit; None where
            the cost follows from the option.
    """

    choice: str
    option: str
    candidates: int
    gain: float
    error: float
    cost: float
    adjusted: float | None


@dataclass(frozen=True)
class EffectRow:
    """An effect as text, with the places of its bar in percent of the column's width."""

    name: str
    option: str
    candidates: str
    gain: str
    better: bool
    cost: str
    adjusted: str
    low: float
    high: float
    middle: float


@dataclass(frozen=True)
class EffectTable:
    """Effects, the largest first.

    Args:
        rows (tuple[EffectRow, ...]): those that are shown at once.
        more (tuple[EffectRow, ...]): the others.
        zero (float): place of no effect in percent of the column's width.
        left_out (int): options that too few candidates have, or lack.
        unit (str): unit of the gains in words; empty for that of the score.
    """

    rows: tuple[EffectRow, ...]
    more: tuple[EffectRow, ...]
    zero: float
    left_out: int
    unit: str


def measure_effects(result: Result, candidates: Sequence[Candidate]) -> tuple[list[Effect], int]:
    """Measure the effect of each option of each choice, the largest first.

    Of a choice with two options only the better one is listed, as the other one has the opposite
    effect.

    Args:
        result (Result): result of the run.
        candidates (Sequence[Candidate]): all candidates of its search.

    Returns:
        The effects, and the number of options that too few candidates have, or lack.
    """
    if len(candidates) < 2 * FEWEST:
        return [], 0
    scores = np.array([one.score for one in candidates], dtype=np.float64)
    costs = np.array([one.costs.get(result.primary_cost, 0) for one in candidates], np.float64)
    options = np.array([tuple(one.architecture) for one in candidates])
    effects, left_out = [], 0
    for place, choice in enumerate(result.space.choices):
        found = [
            _measure(choice.name, name, options[:, place] == option, scores, costs)
            for option, name in enumerate(choice.options)
        ]
        known = [effect for effect in found if effect]
        left_out += len(found) - len(known)
        if len(choice.options) == 2 and len(known) == 2:
            known = [max(known, key=lambda one: one.gain)]
        effects += known
    return sorted(effects, key=lambda one: -abs(one.gain)), left_out


def _measure(
    choice: str, option: str, taken: npt.NDArray[np.bool_], scores: Values, costs: Values
) -> Effect | None:
    count = int(taken.sum())
    if min(count, len(taken) - count) < FEWEST:
        return None
    gain, error = _difference(scores[taken], scores[~taken])
    return Effect(
        choice=choice,
        option=option,
        candidates=count,
        gain=gain,
        error=error,
        cost=float(costs[taken].mean() - costs[~taken].mean()),
        adjusted=_at_equal_cost(taken, scores, costs),
    )


def _difference(one: Values, other: Values) -> tuple[float, float]:
    """The difference of two means, and half of its 95% interval.

    Source: Welch, "The generalization of 'Student's' problem when several different population
    variances are involved", Biometrika 1947.
    """
    # It takes half a second to import, and most commands write no report.
    from scipy.stats import ttest_ind

    gain = float(one.mean() - other.mean())
    if not one.var() and not other.var():
        return gain, 0.0
    ends = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    return gain, float(ends.high - ends.low) / 2


def _at_equal_cost(taken: npt.NDArray[np.bool_], scores: Values, costs: Values) -> float | None:
    spread = costs.std()
    if not spread:
        return None
    columns = np.stack([np.ones(len(costs)), (costs - costs.mean()) / spread, taken], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(columns, scores, rcond=1e-9)
    return float(solution[2]) if rank == 3 else None


def effects_table(result: Result, candidates: Sequence[Candidate]) -> EffectTable | None:
    """The effects as a table; None where too few candidates show any."""
    effects, left_out = measure_effects(result, candidates)
    if not effects:
        return None
    ends = [0.0, *(one.gain + sign * one.error for one in effects for sign in (-1, 1))]
    lower, upper = min(ends), max(ends)
    scale = 100 / ((upper - lower) or 1.0)
    show = _written(abs(effects[0].gain), result.one_shot.share)
    rows = [_row(result, one, lower, scale, show) for one in effects]
    return EffectTable(
        rows=tuple(rows[:SHOWN]),
        more=tuple(rows[SHOWN:]),
        zero=-lower * scale,
        left_out=left_out,
        unit=", in percentage points" if result.one_shot.share else "",
    )


def _row(result: Result, effect: Effect, lower: float, scale: float, show: Show) -> EffectRow:
    cost = find_cost(result.primary_cost)
    written = cost.format(abs(effect.cost))
    return EffectRow(
        name=effect.choice,
        option=effect.option,
        candidates=f"{effect.candidates:,}",
        gain=f"{show(effect.gain)} ± {show(effect.error).lstrip('+')}",
        better=effect.gain > 0,
        cost=("+" if effect.cost >= 0 else "−") + written,
        adjusted="–" if effect.adjusted is None else show(effect.adjusted),
        low=(effect.gain - effect.error - lower) * scale,
        high=(effect.gain + effect.error - lower) * scale,
        middle=(effect.gain - lower) * scale,
    )


def _written(largest: float, share: bool) -> Show:
    """How to write differences of scores up to the largest one; of shares in percentage points.

    Example:
        >>> _written(0.05, True)(0.0123), _written(0.0456, False)(-0.0123)
        ('+1.2', '−0.012')
    """
    digits = 1 if share else max(0, 1 - math.floor(math.log10(largest or 1.0)))
    return lambda value: f"{value * (100 if share else 1):+.{digits}f}".replace("-", "−")
