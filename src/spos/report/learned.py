"""What a search learned: the options of its best candidates, and the effect of each option."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spos.report.facts import ChoiceFacts
from spos.report.result import Result
from spos.search.candidate import Candidate

#: Options up to which three heat maps are shown, side by side; of more, the first and the last.
SIDE_BY_SIDE = 6
#: Candidates among which shares are counted if the search has no number of parents.
BEST = 10
#: Fewest candidates with an option, and without it, for an effect to be shown.
FEWEST = 5

Row = tuple[str, tuple[float | None, ...]]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeatMap:
    """Shares of the options of each choice.

    Args:
        caption (str): after which iteration.
        rows (tuple[Row, ...]): name of each choice, and the share of each option in [0, 1]; None
            for an option that the choice does not have.
    """

    caption: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class OptionGroup:
    """Choices with the same options, and a heat map for each of some iterations.

    Args:
        title (str): name of the group; empty if there is only one.
        options (tuple[str, ...]): headings of the columns.
        maps (tuple[HeatMap, ...]): heat maps, from the first iteration.
    """

    title: str
    options: tuple[str, ...]
    maps: tuple[HeatMap, ...]


@dataclass(frozen=True)
class Learned:
    """The shares among the ``count`` best candidates, by group of choices."""

    count: int
    groups: tuple[OptionGroup, ...]


def collect_shares(result: Result, candidates: Sequence[Candidate]) -> Learned | None:
    """Count the options of the best candidates after some iterations.

    Args:
        result (Result): result of the run.
        candidates (Sequence[Candidate]): all candidates of its search.

    Returns:
        The shares; None for a search of fewer than two iterations.
    """
    iterations = sorted({one.iteration for one in candidates})
    if len(iterations) < 2:
        return None
    count = (result.search and result.search.parents) or BEST
    shown = iterations[0], iterations[len(iterations) // 2], iterations[-1]
    ranked = sorted(candidates, key=lambda one: one.rank)
    best = {at: [one for one in ranked if one.iteration <= at][:count] for at in shown}
    choices = result.space.choices
    grouped, groups = group_choices(choices), []
    for options, places in grouped:
        maps = tuple(
            HeatMap(
                f"after iteration {at}",
                tuple(_shares(choices[place], place, options, best[at]) for place in places),
            )
            for at in dict.fromkeys(shown if len(options) <= SIDE_BY_SIDE else shown[::2])
        )
        ends = dict.fromkeys((choices[places[0]].name, choices[places[-1]].name))
        groups.append(OptionGroup(" to ".join(ends) if len(grouped) > 1 else "", options, maps))
    return Learned(count, tuple(groups))


def group_choices(choices: Sequence[ChoiceFacts]) -> list[tuple[tuple[str, ...], list[int]]]:
    """Group choices whose options are those of another one, or some of them.

    Returns:
        The options of each group with the places of its choices.

    Example:
        >>> kernels, fewer = ("skip", "3x3", "5x5"), ("3x3", "5x5")
        >>> names = {"a": fewer, "b": kernels, "width": ("16", "32")}
        >>> group_choices([ChoiceFacts(name, options) for name, options in names.items()])
        [(('skip', '3x3', '5x5'), [0, 1]), (('16', '32'), [2])]
    """
    largest: list[tuple[str, ...]] = []
    for options in sorted({choice.options for choice in choices}, key=lambda one: (-len(one), one)):
        if not any(set(options) <= set(other) for other in largest):
            largest.append(options)
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, choice in enumerate(choices):
        options = next(one for one in largest if set(choice.options) <= set(one))
        groups.setdefault(options, []).append(place)
    return list(groups.items())


def _shares(
    choice: ChoiceFacts, place: int, options: Sequence[str], best: Sequence[Candidate]
) -> Row:
    taken = [choice.options[one.architecture[place]] for one in best]
    shares = (taken.count(one) / len(taken) if one in choice.options else None for one in options)
    return choice.name, tuple(shares)


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
class EffectTable:
    """Effects, the largest first.

    Args:
        effects (list[Effect]): the effects, at least one.
        left_out (int): options that too few candidates have, or lack.
        share (bool): whether scores are shares, whose differences are in percentage points.
    """

    effects: list[Effect]
    left_out: int
    share: bool

    def place(self, gain: float) -> float:
        """Where a gain lies in its column: the intervals of all effects, and 0, fill the width."""
        ends = [0.0, *(one.gain + sign * one.error for one in self.effects for sign in (-1, 1))]
        lower, upper = min(ends), max(ends)
        return (gain - lower) * (100 / ((upper - lower) or 1.0))

    def show(self, gain: float) -> str:
        """A gain in as many digits as the largest one needs.

        Example:
            >>> largest = Effect("a", "b", 9, gain=0.0456, error=0.0, cost=0.0, adjusted=None)
            >>> [EffectTable([largest], 0, share).show(-0.0123) for share in (True, False)]
            ['−1.2', '−0.012']
        """
        largest = abs(self.effects[0].gain) or 1.0
        digits = 1 if self.share else max(0, 1 - math.floor(math.log10(largest)))
        return f"{gain * (100 if self.share else 1):+.{digits}f}".replace("-", "−")


def effects_table(result: Result, candidates: Sequence[Candidate]) -> EffectTable | None:
    """Measure the effect of each option of each choice.

    Of a choice with two options only the better one is listed, as the other one has the opposite
    effect.

    Args:
        result (Result): result of the run.
        candidates (Sequence[Candidate]): all candidates of its search.

    Returns:
        The effects; None where too few candidates show any.
    """
    if len(candidates) < 2 * FEWEST:
        return None
    scores = np.array([one.score for one in candidates], dtype=np.float64)
    costs = np.array([one.costs.get(result.primary_cost, 0) for one in candidates], np.float64)
    options = np.array([tuple(one.architecture) for one in candidates])
    effects: list[Effect] = []
    left_out = 0
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
    effects.sort(key=lambda one: -abs(one.gain))
    return EffectTable(effects, left_out, result.one_shot.share) if effects else None


def _measure(
    choice: str, option: str, taken: npt.NDArray[np.bool_], scores: Values, costs: Values
) -> Effect | None:
    count = int(taken.sum())
    if min(count, len(taken) - count) < FEWEST:
        return None
    gain, error = _difference(scores[taken], scores[~taken])
    cost = float(costs[taken].mean() - costs[~taken].mean())
    adjusted = _at_equal_cost(taken, scores, costs)
    return Effect(choice, option, count, gain, error, cost, adjusted)


def _difference(one: Values, other: Values) -> tuple[float, float]:
    """The difference of two means, and half of its 95% interval.

    Source: Welch, "The generalization of 'Student's' problem when several different population
    variances are involved", Biometrika 1947.
    """
    # It takes half a second to import, and most commands write no report.
    from scipy.stats import ttest_ind

    gain = float(one.mean() - other.mean())
    if not np.ptp(one) and not np.ptp(other):
        return gain, 0.0
    with warnings.catch_warnings():
        # Of scores that are all equal on one side, as of several names of one network.
        warnings.simplefilter("ignore", RuntimeWarning)
        ends = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    return gain, float(ends.high - ends.low) / 2


def _at_equal_cost(taken: npt.NDArray[np.bool_], scores: Values, costs: Values) -> float | None:
    spread = costs.std()
    if not spread:
        return None
    columns = np.stack([np.ones(len(costs)), (costs - costs.mean()) / spread, taken], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(columns, scores, rcond=1e-9)
    return float(solution[2]) if rank == 3 else None
