"""What a search learned: the options of its best candidates, iteration by iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spos.report.result import ChoiceFacts, Result
from spos.search.candidate import Candidate

#: Options up to which three heat maps are shown, side by side; of more, the first and the last.
SIDE_BY_SIDE = 6
#: Candidates among which shares are counted if the search has no number of parents.
BEST = 10


@dataclass(frozen=True)
class HeatMap:
    """Shares of the options of each choice.

    Args:
        caption (str): after which iteration.
        rows (tuple[tuple[str, tuple[float | None, ...]], ...]): name of each choice, and the share
            of each option in [0, 1]; None for an option that the choice does not have.
    """

    caption: str
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


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
    first, middle, last = iterations[0], iterations[len(iterations) // 2], iterations[-1]
    best = {
        iteration: sorted(
            (one for one in candidates if one.iteration <= iteration), key=lambda one: -one.score
        )[:count]
        for iteration in (first, middle, last)
    }
    choices = result.space.choices
    grouped, groups = group_choices(choices), []
    for options, places in grouped:
        shown = (first, middle, last) if len(options) <= SIDE_BY_SIDE else (first, last)
        maps = [
            HeatMap(
                f"after iteration {iteration}",
                tuple(
                    (choices[place].name, _shares(choices[place], place, options, best[iteration]))
                    for place in places
                ),
            )
            for iteration in dict.fromkeys(shown)
        ]
        ends = dict.fromkeys((choices[places[0]].name, choices[places[-1]].name))
        title = " to ".join(ends) if len(grouped) > 1 else ""
        groups.append(OptionGroup(title, options, tuple(maps)))
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
) -> tuple[float | None, ...]:
    taken = [choice.options[one.architecture[place]] for one in best]
    return tuple(
        taken.count(option) / len(taken) if option in choice.options else None for option in options
    )
