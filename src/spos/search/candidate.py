"""What a search deals in: a proposal, the same with its score, and what came of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spos.space import Architecture


@dataclass(frozen=True)
class Proposal:
    """A candidate before it is evaluated.

    Args:
        architecture (Architecture): what is proposed.
        iteration (int): iteration of the search that proposed it, from 0.
        position (int): position in the population of the iteration, from 0.
        origin (str): how it came about, such as ``"random"``, ``"crossover"`` or ``"mutation"``;
            ``"known"`` where it was evaluated before the search began.
    """

    architecture: Architecture
    iteration: int
    position: int
    origin: str


@dataclass(frozen=True)
class Candidate(Proposal):
    """An evaluated architecture: the one record from its evaluation to the result of a run.

    Args:
        score (float): one-shot score by the metric of the run, higher is better; for
            classification the top-1 accuracy in [0, 1].
        costs (Mapping[str, int]): costs by name; ``flops`` are multiply-adds.
    """

    score: float
    costs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchResult:
    """What a search found, the same whether or not it was interrupted.

    Args:
        top (tuple[Candidate, ...]): the best candidates, best first, as many as the search has
            parents.
        candidates (tuple[Candidate, ...]): all candidates, by iteration and position.
        evaluated (int): how many of them were not known before the search began.
        exhausted (bool): whether the search ended early because no further architecture is
            feasible.
        front (tuple[Candidate, ...]): the candidates that no other one dominates, cheapest first;
            empty unless the search minimised costs as well.
    """

    top: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    evaluated: int
    exhausted: bool
    front: tuple[Candidate, ...] = ()
