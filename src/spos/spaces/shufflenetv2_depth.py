"""Block search space of ShuffleNetV2 units in which depth and kernels are free.

The paper's space without its Xception block, and with the option to skip every unit that keeps its
shape: networks of one cost differ in their depth, and in where they spend it. With 4, 8 and 4 units
of kernel 3 they are those of ShuffleNetV2.

Sources: Ma et al., "ShuffleNet V2", ECCV 2018, for the unit; Guo et al., Section 4, for kernels;
skipping is that of Su et al., NAS-Bench-Macro, CVPR 2021.
"""

from __future__ import annotations

from torch import nn

from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import Place, cluttered_defaults, sandwich_defaults, small_defaults
from spos.spaces.shufflenetv2 import Layout, around, candidate_blocks
from spos.training.defaults import DEFAULTS as COMMON_DEFAULTS

#: Units; before them comes ``skip``, where the shape is kept.
BLOCKS = ("shuffle3x3", "shuffle5x5", "shuffle7x7")

PRESETS = {
    "cifar": Layout(
        32, 8, 1, (56, 112, 224), depths=(6, 10, 6), strides=(2, 2, 2), head_channels=336
    ),
    # About 3M multiply-adds, so that networks are trained in minutes on a CPU core.
    "small": Layout(
        32,
        4,
        1,
        (28, 56, 112),
        depths=(6, 10, 6),
        strides=(2, 2, 2),
        head_channels=168,
        dropout=0.0,
    ),
    "tiny": Layout(
        16, 8, 1, (24, 48), depths=(4, 4), strides=(2, 2), head_channels=64, dropout=0.0
    ),
}

DEFAULTS = {
    "cifar": sandwich_defaults(COMMON_DEFAULTS["cifar"]),
    "small": small_defaults(),
    "tiny": cluttered_defaults(),
}


def shufflenetv2_depth(layout: Layout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of units whose number and kernels are searched.

    Args:
        layout (Layout): layout such as ``PRESETS["cifar"]``.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = shufflenetv2_depth(PRESETS["small"], classes=10)
        >>> supernet.space.size == 3**3 * 4**19
        True
    """

    def block(place: Place) -> nn.Module:
        skip: dict[str, nn.Module] = {"skip": nn.Identity()} if place.keeps_shape else {}
        return OneOf({**skip, **candidate_blocks(place, BLOCKS)}, name=place.name)

    model = around(layout, block, classes=classes, image_channels=image_channels)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


SPACES["shufflenetv2-depth"] = Family(
    paper="Ma et al., ShuffleNet V2, ECCV 2018 (units); depth and kernels searched",
    presets=PRESETS,
    build=shufflenetv2_depth,
    defaults=DEFAULTS,
)
