"""A count of what the evaluation of candidates shares."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class SharedStages:
    """The stages of evaluated candidates, and how many of them were computed.

    Candidates that begin alike share these stages, which are then computed once.

    Args:
        candidates (int): number of evaluated candidates.
        stages (int): number of all their stages.
        computed (int): number of stages that were computed.
    """

    candidates: int = 0
    stages: int = 0
    computed: int = 0

    def count(self, stages: int, computed: int) -> None:
        """Count a candidate.

        Args:
            stages (int): number of its stages.
            computed (int): how many of them were computed for it alone.

        Example:
            >>> shared = SharedStages()
            >>> shared.count(8, computed=5)
            >>> shared
            SharedStages(candidates=1, stages=8, computed=5)
        """
        self.candidates += 1
        self.stages += stages
        self.computed += computed

    def take(self) -> dict[str, int]:
        """Return the counts by name, and count from 0 again."""
        counts = asdict(self)
        self.candidates = self.stages = self.computed = 0
        return counts
