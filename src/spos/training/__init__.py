"""Training: one loop, the methods that decide what a step trains, checkpoints."""

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.training.checkpoint import Checkpoints
    from spos.training.loop import train
    from spos.training.method import METHODS, Method, Pass
    from spos.training.recipe import Recipe, SupernetRecipe
    from spos.training.teacher import Teacher

__all__ = [
    "METHODS",
    "Checkpoints",
    "Method",
    "Pass",
    "Recipe",
    "SupernetRecipe",
    "Teacher",
    "train",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__)
