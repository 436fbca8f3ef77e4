"""Block search space of ProxylessNAS.

The network has stages of inverted residuals as in MobileNetV2, with kernel 3, 5 or 7 and expansion
3 or 6. All blocks but the first of a stage may be skipped.

The first searched stage has 32 channels, as in the authors' network for mobile phones, instead of
the 24 of MobileNetV2. With 32, Proxyless-R (mobile) has its published 320,427,584 multiply-adds and
4,080,512 parameters (the paper reports 320 M and 4.0 M); with 24 it would have 304,227,008 and
4,073,520. ``layout.channels`` sets the number.

Source: Cai et al., "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
ICLR 2019, Section 4.2.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._mobile import TINY, MobileLayout, mobile_supernet
from spos.spaces._stages import Place
from spos.spaces.blocks.mobile import inverted_residual
from spos.training.defaults import DEFAULTS

#: Kernel and expansion of each block.
_BLOCKS = {f"k{k}_e{e}": (k, e) for k in (3, 5, 7) for e in (3, 6)}
OPTIONS = (*_BLOCKS, "skip")

#: Proxyless-R for mobile phones, for the preset ``imagenet``.
PUBLISHED = {"proxyless_r": "2,0,6,6,4,0,2,2,5,2,2,2,3,2,2,2,5,5,4,4,5"}

_IMAGENET = MobileLayout(
    image_size=224,
    stem_channels=32,
    first_channels=16,
    channels=(32, 40, 80, 96, 192, 320),
    depths=(4, 4, 4, 4, 4, 1),
    strides=(2, 2, 2, 1, 2, 1),
    head_channels=1280,
)
PRESETS = {
    "imagenet": _IMAGENET,
    # Half the channels, so that it can be trained on a CPU.
    "cifar": replace(
        _IMAGENET.scaled_throughout(0.5), image_size=32, stem_stride=1, strides=(1, 2, 2, 1, 2, 1)
    ),
    "tiny": replace(TINY, first_channels=8),
}


def proxylessnas(layout: MobileLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of the ProxylessNAS space.

    Args:
        layout (MobileLayout): layout such as ``PRESETS["imagenet"]``.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = proxylessnas(PRESETS["imagenet"], classes=1000)
        >>> supernet.space.size == 6**6 * 7**15
        True
    """

    def options(place: Place) -> dict[str, nn.Module]:
        made = {
            name: inverted_residual(*place.sizes, *sizes, activation=nn.ReLU6)
            for name, sizes in _BLOCKS.items()
        }
        return {**made, "skip": nn.Identity()} if place.number else made

    return mobile_supernet(
        layout, options, classes=classes, image_channels=image_channels, activation=nn.ReLU6
    )


SPACES["proxylessnas"] = Family(
    paper="Cai et al., ProxylessNAS: Direct Neural Architecture Search, ICLR 2019",
    presets=PRESETS,
    build=proxylessnas,
    defaults=DEFAULTS,
    networks={name: ("imagenet", text) for name, text in PUBLISHED.items()},
)
