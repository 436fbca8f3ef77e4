"""An exported network that can be run, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Runnable:
    """A model file that was opened.

    Args:
        run: from uint8 [N, C, S, S] to the outputs, on the CPU.
        engine: what runs it, with its version.
    """

    run: Callable[[Tensor], Tensor]
    engine: str
