"""What the scores of a run are called, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spos.report.chart import PERCENT, PLAIN, Axis, padded_range


def percent(share: float) -> str:
    """A share in percent, in as many digits as tell it from all and from none.

    Example:
        >>> percent(0.9534), percent(0.9996), percent(0.0004), percent(1.0)
        ('95.3%', '99.96%', '0.04%', '100.0%')
    """
    texts = [f"{share:.{digits}%}" for digits in range(1, 5)]
    return next((text for text in texts if float(text[:-1]) not in (0, 100)), texts[0])


@dataclass(frozen=True)
class Measure:
    """The metric of a run.

    Args:
        name (str): name of the metric.
        share (bool): whether its scores are shares in [0, 1].
        negated (bool): whether a score is the negative of what people read, as of a loss.

    Example:
        >>> Measure().show(0.9534), Measure("mean error", share=False).show(-0.12345)
        ('95.3%', '-0.1235')
        >>> Measure("loss", share=False, negated=True).show(-0.4567)
        '0.457'
    """

    name: str = "top-1"
    share: bool = True
    negated: bool = False

    @property
    def top1(self) -> bool:
        """Whether scores are the share of images classified correctly."""
        return self.name == "top-1"

    @property
    def noun(self) -> str:
        """What a score is called in a sentence."""
        return "accuracy" if self.top1 else self.name

    def show(self, score: float | None) -> str:
        """A score as people read it; a dash where there is none."""
        if score is None:
            return "–"
        if self.negated:
            return f"{-score:.3f}"
        return percent(score) if self.share else f"{score:.4g}"

    def difference(self, value: float) -> str:
        """A difference of scores; of shares in percentage points."""
        return f"{value * 100:.1f} points" if self.share else f"{value:.2g}"

    def standard_error(self, score: float | None, images: int | None) -> float | None:
        """Standard error of a score on so many images; None where it is unknown.

        Example:
            >>> Measure().standard_error(0.9, 100)
            0.03
            >>> round(Measure().standard_error(1.0, 98), 3)
            0.01
        """
        # That of other metrics depends on more than their value.
        if not self.top1 or not images or score is None:
            return None
        # Where all are right, as if one more were wrong and one right: 0 would claim certainty.
        least = 1 / (images + 2)
        share = min(max(score, least), 1 - least)
        return math.sqrt(share * (1 - share) / images)

    def axis(self, label: str, scores: Sequence[float], share: float = 0.05) -> Axis:
        """An axis of scores with air around them; equal scores have an axis too."""
        smallest = 0.02 if self.share else 0.02 * max(map(abs, scores)) or 0.02
        ticks = "format(-datum.value, ',~f')" if self.negated else PLAIN
        return Axis(label, *padded_range(scores, smallest, share), PERCENT if self.share else ticks)
