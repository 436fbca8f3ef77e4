"""The records of a search: proposals, evaluated candidates, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spos.space import Architecture


@dataclass(frozen=True)
class Proposal:
    """A candidate before it is evaluated.

    Args:
        architecture (Architecture): proposed architecture.
        iteration (int): iteration of the search that proposed it, from 0.
        position (int): position in the population of the iteration, from 0.
        origin (str): origin of the proposal, such as ``"random"``, ``"crossover"`` or
            ``"mutation"``; ``"known"`` if it was evaluated before the search was started.
    """

    architecture: Architecture
    iteration: int
    position: int
    origin: str


@dataclass(frozen=True)
class Candidate(Proposal):
    """An evaluated architecture, as in the result of a run.

    Args:
        score (float): one-shot score by the fitness of the search, higher is better; in
            classification the negative loss.
        costs (Mapping[str, int]): costs by name; ``flops`` are multiply-adds.
        metric_score (float | None): one-shot score by the metric of the run, such as the top-1
            accuracy in [0, 1], if the best candidates were evaluated by it as well.
        dropped_after (int | None): number of validation images that the score is an estimate by, if
            the candidate was dropped in a race; None if it was scored on all.
    """

    score: float
    costs: Mapping[str, int] = field(default_factory=dict)
    metric_score: float | None = None
    dropped_after: int | None = None

    @property
    def rank(self) -> tuple[bool, float]:
        """What sorts candidates from the best score down, those dropped in a race last."""
        return self.dropped_after is not None, -self.score


@dataclass(frozen=True)
class SearchResult:
    """The result of a search, the same whether or not it was interrupted.

    Args:
        top (tuple[Candidate, ...]): the best candidates, best first, as many as the search has
            parents.
        candidates (tuple[Candidate, ...]): all candidates, by iteration and position.
        evaluated (int): number of candidates that were not known before the search was started.
        exhausted (bool): whether the search ended early because no further architecture is
            feasible.
        front (tuple[Candidate, ...]): candidates that no other candidate dominates, cheapest first;
            empty unless the search minimises costs.
    """

    top: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    evaluated: int
    exhausted: bool
    front: tuple[Candidate, ...] = ()
