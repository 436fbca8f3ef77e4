"""Networks of stages of blocks: their layouts, places and classifiers, and default settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from torch import nn

from spos._util.errors import UserError
from spos._util.settings import LARGEST_SIDE
from spos.nn import Width
from spos.training.defaults import DEFAULTS, Defaults
from spos.training.recipe import Recipe


class Place(NamedTuple):
    """Position and shape of a block in the network.

    Args:
        stage (int): number of its stage, from 1.
        number (int): number of the block in its stage, from 0.
        inputs (int): input channels.
        outputs (int): output channels.
        stride (int): stride of the block.
    """

    stage: int
    number: int
    inputs: int
    outputs: int
    stride: int

    @property
    def name(self) -> str:
        """Name of the block, such as ``stage1.0``."""
        return f"stage{self.stage}.{self.number}"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Input channels, output channels and stride."""
        return self.inputs, self.outputs, self.stride

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the shape of the input."""
        return self.stride == 1 and self.inputs == self.outputs


def places(layout: Any, inputs: int) -> Iterator[Place]:
    """Iterate over the places of the blocks.

    Args:
        layout (Any): layout with ``channels``, ``depths`` and ``strides`` of the stages.
        inputs (int): channels before the first stage.
    """
    stages = zip(layout.channels, layout.depths, layout.strides, strict=True)
    for stage, (outputs, depth, stride) in enumerate(stages, 1):
        for number in range(depth):
            yield Place(stage, number, inputs, outputs, 1 if number else stride)
            inputs = outputs


def stages(
    layout: Any, inputs: int, make_block: Callable[[Place], nn.Module]
) -> dict[str, nn.Module]:
    """Build the blocks, as one module per stage under names such as ``stage1``."""
    made: dict[str, nn.Sequential] = {}
    for place in places(layout, inputs):
        made.setdefault(f"stage{place.stage}", nn.Sequential()).append(make_block(place))
    return {**made}


def classifier(*layers: nn.Module) -> nn.Sequential:
    """Layers after a global average pooling."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)


Own = TypeVar("Own", bound="StagedLayout")

#: Largest factor of channels.
MOST = 16
#: Largest number of blocks: far more than in the deepest networks.
MOST_BLOCKS = 2000


@dataclass(frozen=True)
class StagedLayout:
    """A layout of a sequence of stages; subclasses define their ``channels``."""

    def scaled(self: Own, width: float) -> Own:
        """Scale the channels of all stages, rounded to the nearest multiple of 4.

        Raises:
            UserError: ``width`` is not a number above 0.

        Example:
            >>> from spos.spaces.shufflenetv2 import PRESETS
            >>> PRESETS["imagenet"].scaled(0.5).channels
            (32, 80, 160, 320)
        """
        if not isinstance(width, (int, float)) or not 0 < width < math.inf:
            raise UserError(f"width {width}: must be a number above 0")
        counts: tuple[int, ...] = vars(self)["channels"]
        scaled: Any = {"channels": tuple(_scale(count, width) for count in counts)}
        return replace(self, **scaled)

    def scaled_throughout(self: Own, width: float) -> Own:
        """Scale all channels, also those before and after the stages.

        Raises:
            UserError: ``width`` is not a number above 0.

        Example:
            >>> from spos.spaces.shufflenetv2 import PRESETS
            >>> PRESETS["imagenet"].scaled_throughout(0.5).head_channels
            512
        """
        if width == 1:
            return self
        around = ("stem_channels", "first_channels", "head_channels")
        counts = {name: getattr(self, name, 0) for name in around}
        scaled: Any = {name: _scale(count, width) for name, count in counts.items() if count}
        return replace(self.scaled(width), **scaled)


def _scale(count: int, width: float) -> int:
    return max(4, round(count * width / 4) * 4)


def check_stages(layout: Any) -> None:
    """Check the settings that layouts of stages have in common.

    Raises:
        UserError: the settings have different numbers of stages, or one is out of range.
    """
    names = [name for name in ("channels", "depths", "strides") if hasattr(layout, name)]
    counts = [len(getattr(layout, name)) for name in names]
    if not any(counts):
        raise UserError("layout.channels (): a layout needs at least 1 stage")
    if len(set(counts)) > 1:
        given = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
        raise UserError(f"layout has {given}: give one of each per stage")
    for name in names:
        if min(getattr(layout, name)) < 1:
            raise UserError(f"layout.{name} {getattr(layout, name)}: each must be at least 1")
    if sum(layout.depths if "depths" in names else ()) > MOST_BLOCKS:
        raise UserError(
            f"layout.depths {layout.depths}: at most {MOST_BLOCKS} blocks in all stages together"
        )
    single = ("image_size", "stem_channels", "stem_stride", "head_channels")
    check_positive(layout, *(name for name in single if hasattr(layout, name)))
    if not 0 <= getattr(layout, "dropout", 0) < 1:
        raise UserError(f"layout.dropout {layout.dropout}: must be in [0, 1)")


def check_positive(layout: Any, *names: str) -> None:
    """Check that settings of a layout are at least 1, and that images are no larger than any.

    Raises:
        UserError: a setting is out of range.
    """
    if layout.image_size > LARGEST_SIDE:
        raise UserError(f"layout.image_size {layout.image_size}: must be at most {LARGEST_SIDE}")
    for name in names:
        if getattr(layout, name) < 1:
            raise UserError(f"layout.{name} {getattr(layout, name)}: must be at least 1")


def scaled_width(channels: int, scales: tuple[float, ...], name: str) -> Width:
    """A choice of factors of channels, whose products are rounded down.

    Raises:
        UserError: ``scales`` is empty, not in ascending order or out of range.
    """
    rising = list(scales) == sorted(set(scales))
    if not scales or not rising or not 0 < scales[0] <= scales[-1] <= MOST:
        raise UserError(
            f"layout.scales {', '.join(map(str, scales))}: give numbers above 0, at most {MOST}, "
            "from the smallest to the largest"
        )
    return Width({str(scale): max(1, int(channels * scale)) for scale in scales}, name=name)


def sandwich_defaults(defaults: Defaults, **changes: Any) -> Defaults:
    """Train by the sandwich rule in half the steps, each of which trains two paths.

    Args:
        defaults (Defaults): default settings of a preset.
        **changes: further settings of the supernet's recipe.
    """
    recipe: dict[str, Any] = {
        "method": "sandwich",
        "steps": defaults.supernet.steps // 2,
        **changes,
    }
    return replace(defaults, supernet=replace(defaults.supernet, **recipe))


def small_defaults(**changes: Any) -> Defaults:
    """Settings for networks that train in minutes on a CPU core: CIFAR-10 six times.

    Args:
        **changes: further settings of both recipes.
    """
    cifar = DEFAULTS["cifar"]
    supernet = replace(cifar.supernet, batch_size=32, warmup_steps=50, **changes)
    retrain = replace(cifar.retrain, steps=4200, batch_size=64, warmup_steps=100, **changes)
    defaults = replace(cifar, supernet=supernet, retrain=retrain, calibration=2000)
    return sandwich_defaults(defaults, steps=7500)


def cluttered_defaults() -> Defaults:
    """Settings for the cluttered digits, trained in minutes on a CPU core."""
    defaults = sandwich_defaults(DEFAULTS["tiny"], augment="none")
    retrain = replace(defaults.retrain, augment="none", nesterov=True)
    return replace(defaults, data="digits:cluttered", retrain=retrain)


def proxy_defaults() -> dict[str, Defaults]:
    """Plans of a space of a benchmark, whose preset ``proxy`` trains in minutes on a CPU core."""

    def shorten(recipe: Recipe) -> Recipe:
        return replace(recipe, steps=2500, batch_size=64, warmup_steps=50)

    cifar = DEFAULTS["cifar"]
    supernet, retrain = shorten(cifar.supernet), shorten(cifar.retrain)
    proxy = replace(cifar, supernet=supernet, retrain=retrain, calibration=2000)
    return {"cifar": cifar, "tiny": DEFAULTS["tiny"], "proxy": proxy}
