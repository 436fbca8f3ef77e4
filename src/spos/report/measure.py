"""What the scores of a run are called, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spos.report.chart import percent_labels


@dataclass(frozen=True)
class Measure:
    """The metric of a run.

    Args:
        name: of the metric.
        share: whether its scores are shares in [0, 1].

    Example:
        >>> Measure().show(0.9534), Measure("mean error", share=False).show(-0.12345)
        ('95.3%', '-0.1235')
    """

    name: str = "top-1"
    share: bool = True

    @property
    def top1(self) -> bool:
        """Whether scores are the share of images classified correctly."""
        return self.name == "top-1"

    @property
    def noun(self) -> str:
        """What a score is called in a sentence."""
        return "accuracy" if self.top1 else self.name

    def show(self, value: float | None) -> str:
        """A score as people read it; a dash where there is none."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{value:.1%}" if self.share else f"{value:.4g}"

    def difference(self, value: float) -> str:
        """A difference of scores; of shares in percentage points."""
        return f"{value * 100:.1f} points" if self.share else f"{value:.2g}"

    def labels(self, ticks: Sequence[float]) -> list[str]:
        """The ticks of an axis of scores."""
        return percent_labels(ticks) if self.share else [f"{tick:.4g}" for tick in ticks]

    def least(self, values: Sequence[float]) -> float:
        """The smallest extent of an axis that holds scores, so that equal ones have an axis too."""
        return 0.02 if self.share else 0.02 * max(map(abs, values)) or 0.02


def measure(result: Mapping[str, Any]) -> Measure:
    """The metric that a result names; top-1 where it names none, as results did before.

    Example:
        >>> measure({}), measure({"metric": {"name": "mean error", "share": False}}).noun
        (Measure(name='top-1', share=True), 'mean error')
    """
    named = result.get("metric")
    return Measure(named["name"], bool(named["share"])) if named else Measure()
