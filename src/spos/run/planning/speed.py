"""How fast a machine trains and evaluates networks: its times as lines over the multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass

#: Multiply-adds of a forward pass whose time is measured.
MEASURED = 1e9


@dataclass(frozen=True)
class Line:
    """Time of a batch as a line over the multiply-adds of its images.

    Args:
        fixed (float): seconds of a batch whatever its size, at least 0.
        each (float): seconds per multiply-add, above 0.
    """

    fixed: float
    each: float

    def seconds(self, flops: float, batch_size: int) -> float:
        """Time of a batch of images that take so many multiply-adds each.

        Example:
            >>> Line(0.5, 1e-3).seconds(100, 5)
            1.0
        """
        return self.fixed + self.each * flops * batch_size

    def flops(self, seconds: float, batch_size: int) -> float:
        """Multiply-adds of an image with which a batch takes so long; at least 0.

        Example:
            >>> Line(0.5, 1e-3).flops(1.0, 5)
            100.0
        """
        return max(seconds - self.fixed, 0.0) / (self.each * batch_size)


@dataclass(frozen=True)
class Speed:
    """Measured times of this machine.

    Args:
        threads (int): CPU threads with which they were measured.
        training (Line): a forward and a backward pass, and the step of the optimiser.
        evaluation (Line): a forward pass.
        precision (str): precision of Lightning Fabric in which they were measured.
    """

    threads: int
    training: Line
    evaluation: Line
    precision: str = "32-true"

    def times(self, other: Speed, flops: float) -> float:
        """How many times as fast this speed is as another; the smaller one of both kinds of work.

        Args:
            other (Speed): speed with another number of threads.
            flops (float): multiply-adds of a batch.

        Example:
            >>> fast, slow = Line(0.0, 1e-9), Line(0.0, 4e-9)
            >>> Speed(2, fast, fast).times(Speed(1, slow, fast), 1e6)
            1.0
        """
        return min(
            other.training.seconds(flops, 1) / self.training.seconds(flops, 1),
            other.evaluation.seconds(flops, 1) / self.evaluation.seconds(flops, 1),
        )


def images_of_step(batch_size: int, flops: float) -> int:
    """Images of a step that is measured: a few of a costly network tell as much as a whole batch.

    Example:
        >>> images_of_step(64, 1e6), images_of_step(64, 100e6), images_of_step(64, 1e12)
        (64, 10, 2)
    """
    return min(batch_size, max(2, round(MEASURED / flops)))
