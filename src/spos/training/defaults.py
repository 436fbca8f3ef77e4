"""The default settings of the presets, known to work."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spos.training.recipe import Recipe, SupernetRecipe


@dataclass(frozen=True)
class Defaults:
    """The default settings of a preset.

    Args:
        supernet (Recipe): optimisation settings of the supernet; a plain recipe is converted to a
            :class:`spos.training.SupernetRecipe` with uniform paths.
        retrain (Recipe): optimisation settings of the winner.
        calibration (int): training images for batch-norm recalibration, at least 2.
        data (str): data source, such as ``digits``.
        validation (int | float): training images held out for the search, a number or a fraction.
    """

    supernet: Recipe
    retrain: Recipe
    calibration: int
    data: str
    validation: int | float = 0.1
    images: int = 1_797

    def __post_init__(self) -> None:
        if not isinstance(self.supernet, SupernetRecipe):
            object.__setattr__(self, "supernet", SupernetRecipe(**vars(self.supernet)))


_IMAGENET = Recipe(steps=150_000, batch_size=1024, learning_rate=0.5, augment="imagenet")
_CIFAR = Recipe(steps=100_000, batch_size=128, learning_rate=0.1, nesterov=True, warmup_steps=1000)
_TINY = Recipe(steps=2000, batch_size=64, learning_rate=0.1, warmup_steps=50, augment="crop")
DEFAULTS = {
    # Guo et al., Section 4: the setting of the paper.
    "imagenet": Defaults(
        supernet=_IMAGENET,
        retrain=replace(_IMAGENET, steps=300_000),
        calibration=20_000,
        data="folder:imagenet",
        validation=50_000,
        images=1_281_167,
    ),
    "cifar": Defaults(
        supernet=_CIFAR,
        retrain=replace(_CIFAR, weight_decay=5e-4, schedule="cosine"),
        calibration=10_000,
        data="folder:cifar10",
        images=50_000,
    ),
    "tiny": Defaults(
        supernet=_TINY,
        retrain=replace(_TINY, steps=500),
        calibration=512,
        data="digits",
        validation=0.3,
    ),
}
