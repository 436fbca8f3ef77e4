"""Training: one loop, the methods that decide what a step trains, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.training.checkpoint import Checkpoints
    from spos.training.loop import train
    from spos.training.recipe import Recipe

__all__ = ["Checkpoints", "Recipe", "train"]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(
        __name__,
        {
            "Checkpoints": "spos.training.checkpoint",
            "Recipe": "spos.training.recipe",
            "train": "spos.training.loop",
        },
    )
