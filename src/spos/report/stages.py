"""The stages of the candidates of a search, to draw any of them with its costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spos.report.result import StageCosts
from spos.space import Architecture


@dataclass(frozen=True)
class CandidateStages:
    """The stages of the candidates of a search.

    Args:
        distinct (tuple[StageCosts, ...]): each different stage once.
        places (Mapping[str, str]): places of the stages of each architecture in ``distinct``, such
            as ``"0,3,7"``.
    """

    distinct: tuple[StageCosts, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    def of(self, architecture: Architecture) -> list[StageCosts]:
        """The stages of an architecture, from input to output; empty where they are unknown."""
        known = self.places.get(str(architecture))
        return [self.distinct[int(place)] for place in known.split(",")] if known else []
