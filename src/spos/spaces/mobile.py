"""Block search space for small images in which depth, kernels and widths are free.

Inverted residuals as in MobileNetV2, with kernel 3 or 5 and expansion 3 or 6. Every block that
keeps its shape may be skipped, so networks of one cost differ in depth, in where they spend it, and
in their receptive field.

Sources: the blocks are those of Cai et al., "ProxylessNAS", ICLR 2019, Section 4.2, without kernel
7; skipping is that of Su et al., NAS-Bench-Macro, CVPR 2021.
"""

from __future__ import annotations

from torch import nn

from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._mobile import MobileLayout, mobile_supernet
from spos.spaces._stages import Place, cluttered_defaults, sandwich_defaults, small_defaults
from spos.spaces.blocks.mobile import inverted_residual
from spos.training.defaults import DEFAULTS as COMMON_DEFAULTS

#: Kernel and expansion of each block.
_BLOCKS = {"k3_e3": (3, 3), "k3_e6": (3, 6), "k5_e3": (5, 3), "k5_e6": (5, 6)}
#: All options; the first is missing where the shape changes.
OPTIONS = ("skip", *_BLOCKS)

DEFAULTS = {
    "cifar": sandwich_defaults(COMMON_DEFAULTS["cifar"]),
    "small": small_defaults(),
    "tiny": cluttered_defaults(),
}


def layout_for(image_size: int, width: float = 1.0) -> MobileLayout:
    """Lay out networks for images of a size, which reach about 4 x 4 positions at their end.

    At 32 pixels and width 1 it is the preset ``small``.

    Args:
        image_size (int): side of the images in pixels, at least 1.
        width (float): factor of all channels, above 0.

    Example:
        >>> layout_for(32).channels, layout_for(32).strides, layout_for(32).head_channels
        ((16, 32, 64), (2, 2, 1), 192)
        >>> layout_for(224).strides, layout_for(8).strides
        ((2, 2, 2, 2), (1, 2, 1))
    """
    strides: tuple[int, ...] = (1, 2, 1) if image_size < 12 else (2, 2, 1)
    if image_size > 40:
        strides = (2, 2, 2) if image_size <= 80 else (2, 2, 2, 2)
    channels = (16, 32, 64) if len(strides) == 3 else (16, 24, 48, 96)
    return MobileLayout(
        image_size,
        stem_channels=8,
        channels=channels,
        depths=(4,) * len(strides),
        strides=strides,
        head_channels=3 * channels[-1],
        stem_stride=1 if image_size < 24 else 2,
    ).scaled_throughout(width)


PRESETS = {
    "cifar": MobileLayout(
        32, 16, (24, 40, 80), (4, 4, 4), strides=(2, 2, 2), head_channels=320, stem_stride=1
    ),
    # About 3M multiply-adds, so that networks are trained in minutes on a CPU core.
    "small": layout_for(32),
    "tiny": MobileLayout(
        16, 8, (12, 16, 24), (2, 3, 3), strides=(2, 2, 1), head_channels=64, stem_stride=1
    ),
}


def mobile(layout: MobileLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of the mobile space.

    Args:
        layout (MobileLayout): layout such as ``PRESETS["cifar"]``.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = mobile(PRESETS["cifar"], classes=10)
        >>> supernet.space.size == 4**3 * 5**9
        True
    """

    def options(place: Place) -> dict[str, nn.Module]:
        skip: dict[str, nn.Module] = {"skip": nn.Identity()} if place.keeps_shape else {}
        made = {name: inverted_residual(*place.sizes, *row) for name, row in _BLOCKS.items()}
        return {**skip, **made}

    return mobile_supernet(layout, options, classes=classes, image_channels=image_channels)


SPACES["mobile"] = Family(
    paper="Sandler et al., MobileNetV2, CVPR 2018 (blocks); depth and kernels searched",
    presets=PRESETS,
    build=mobile,
    defaults=DEFAULTS,
)
