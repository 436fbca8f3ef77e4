"""Layer-wise block search space of FBNet.

Source: Wu et al., "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural
Architecture Search", CVPR 2019, Section 3.1, Tables 1 and 2, Figure 3. Details that the paper does
not specify follow the authors' release, on which the published costs are based:

- A block with expansion 1 has no first 1x1 convolution; with groups, it shuffles its input instead.
- The convolutions of the blocks have biases in addition to batch norms.
- A layer that changes the shape also has all 9 options: its ``skip`` is a 1x1 convolution with the
  layer's stride, batch norm and activation. In all other layers ``skip`` is the identity. The space
  therefore has the 9^22 architectures of the paper.

FBNet-B then has 291.0 M multiply-adds and 4.82 M parameters; the paper reports 295 M and 4.5 M.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from spos._util.errors import UserError
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._mobile import TINY, MobileLayout, mobile_supernet
from spos.spaces._stages import Place
from spos.spaces.blocks.convolution import convolution
from spos.spaces.blocks.mobile import inverted_residual
from spos.training.defaults import DEFAULTS

#: Kernel, expansion and groups of each option but the skip.
_BLOCKS = {
    f"k{kernel}_{name}": (kernel, *row)
    for kernel in (3, 5)
    for name, row in {"e1": (1, 1), "e1_g2": (1, 2), "e3": (3, 1), "e6": (6, 1)}.items()
}
OPTIONS = (*_BLOCKS, "skip")

#: FBNet-B, for the preset ``imagenet``.
PUBLISHED = {"fbnet_b": "0,3,4,0,0,7,6,3,7,7,7,8,6,7,0,4,6,7,4,7,7,3"}

_IMAGENET = MobileLayout(
    image_size=224,
    stem_channels=16,
    channels=(16, 24, 32, 64, 112, 184, 352),
    depths=(1, 4, 4, 4, 4, 4, 1),
    strides=(1, 2, 2, 2, 1, 2, 1),
    head_channels=1984,
)
PRESETS = {
    "imagenet": _IMAGENET,
    # Half the channels, so that it can be trained on a CPU.
    "cifar": replace(
        _IMAGENET.scaled_throughout(0.5),
        image_size=32,
        stem_stride=1,
        strides=(1, 1, 2, 2, 1, 2, 1),
    ),
    "tiny": TINY,
}


def fbnet(layout: MobileLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of the FBNet space.

    Args:
        layout (MobileLayout): layout such as ``PRESETS["imagenet"]``; the channels of its first
            convolution and of its stages are even.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = fbnet(PRESETS["imagenet"], classes=1000)
        >>> supernet.space.size == 9**22
        True
    """
    for number, channels in enumerate((layout.stem_channels, *layout.channels)):
        if channels % 2:
            where = f"stage {number} has" if number else "stem_channels:"
            raise UserError(
                f"{where} {channels} channels: blocks of 2 groups need an even number, nearest "
                f"{channels + 1}"
            )

    def options(place: Place) -> dict[str, nn.Module]:
        return {option: candidate(option, place) for option in OPTIONS}

    return mobile_supernet(layout, options, classes=classes, image_channels=image_channels)


def candidate(option: str, place: Place) -> nn.Module:
    """Build the block of an option."""
    if option != "skip":
        return inverted_residual(*place.sizes, *_BLOCKS[option], bias=True)
    if place.keeps_shape:
        return nn.Identity()
    return nn.Sequential(*convolution(place.inputs, place.outputs, stride=place.stride))


SPACES["fbnet"] = Family(
    paper="Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design, CVPR 2019",
    presets=PRESETS,
    build=fbnet,
    defaults=DEFAULTS,
    networks={name: ("imagenet", text) for name, text in PUBLISHED.items()},
)
