"""Mixed-precision search space of the paper: residual networks with bit-widths per block.

Sources: Guo et al., Section 3.4, and its experiments with ResNet-18 and ResNet-34; He et al., "Deep
Residual Learning for Image Recognition", CVPR 2016, Table 1 and Section 4.2, for the networks.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from torch import nn

from spos._util.errors import UserError
from spos.nn import Bits, QuantisedConv2d
from spos.nn.quantised import ACTIVATION_QUANTISER, WEIGHT_QUANTISER
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import (
    Place,
    StagedLayout,
    check_stages,
    classifier,
    scaled_width,
    small_defaults,
    stages,
)
from spos.spaces.blocks.convolution import Size, convolution
from spos.spaces.blocks.residual import basic_block
from spos.training.defaults import DEFAULTS

#: Pairs of weight and activation bits in the paper.
PAIRS = ("w1a2", "w2a2", "w1a4", "w2a4", "w3a4", "w4a4")


@dataclass(frozen=True)
class BitsLayout(StagedLayout):
    """Layout of a residual network of basic blocks, and its choices.

    The first convolution and the classifier have full precision; all other convolutions, including
    those of shortcuts, are quantised.

    Args:
        image_size (int): side of the square input, in pixels.
        stem_kernel (int): side of the kernel of the first convolution in pixels, odd; the
            convolution has as many output channels as the first stage.
        stem_stride (int): stride of the first convolution, at least 1.
        pool (bool): whether a max pooling of stride 2 follows the first convolution.
        channels (tuple[int, ...]): output channels of each stage, at least 1.
        depths (tuple[int, ...]): number of blocks in each stage, at least 1.
        strides (tuple[int, ...]): stride of the first block of each stage, at least 1.
        bits (tuple[str, ...]): options of every choice of bit-widths, such as ``w2a4``.
        per_layer (bool): whether each convolution chooses its bit-widths instead of each block.
        scales (tuple[float, ...]): options for the factor of the channels between the two
            convolutions of a block, in ascending order; empty does not search channels.
        weights (str): weight quantiser, ``dorefa`` or ``lsq``.
        activations (str): activation quantiser, ``pact`` or ``lsq``.
    """

    image_size: int
    stem_kernel: int = 7
    stem_stride: int = 2
    pool: bool = True
    channels: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    bits: tuple[str, ...] = PAIRS
    per_layer: bool = False
    scales: tuple[float, ...] = ()
    weights: str = WEIGHT_QUANTISER
    activations: str = ACTIVATION_QUANTISER


_SMALL = BitsLayout(
    32, 3, stem_stride=1, pool=False, channels=(16, 32, 64), depths=(3, 3, 3), strides=(1, 2, 2)
)
PRESETS = {
    "imagenet": BitsLayout(image_size=224),
    "imagenet34": BitsLayout(image_size=224, depths=(3, 4, 6, 3)),
    # The ResNet-20 of He et al., Section 4.2, with projections in the shortcuts.
    "cifar": _SMALL,
    # 6.7M multiply-adds, so that networks are trained in minutes on a CPU core.
    "small": replace(_SMALL, stem_stride=2, depths=(2, 2, 2)),
    "tiny": replace(_SMALL, image_size=8, channels=(8, 16), depths=(2, 2), strides=(1, 2)),
}


def resnet_bits(layout: BitsLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of the mixed-precision search.

    Args:
        layout (BitsLayout): layout such as ``PRESETS["imagenet"]``, which is ResNet-18.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid, or an option is not a pair of bit-widths.

    Example:
        >>> supernet = resnet_bits(PRESETS["cifar"], classes=10)
        >>> supernet.space.size == 6**9
        True
        >>> supernet.space.choices[0].name
        'stage1.0.bits'
    """
    check_stages(layout)
    if layout.stem_kernel < 1 or layout.stem_kernel % 2 == 0:
        raise UserError(f"layout.stem_kernel {layout.stem_kernel}: must be odd, such as 3 or 7")
    kinds = {"weights": layout.weights, "activations": layout.activations}

    def block(place: Place) -> nn.Module:
        shared = Bits(layout.bits, f"{place.name}.bits")

        def quantised(
            part: str, inputs: Size, outputs: Size, kernel: int, stride: int
        ) -> nn.Module:
            own = Bits(layout.bits, f"{place.name}.{part}.bits") if layout.per_layer else shared
            return QuantisedConv2d(inputs, outputs, kernel, own, stride, kernel // 2, **kinds)

        mid: Size = place.outputs
        if layout.scales:
            mid = scaled_width(place.outputs, layout.scales, f"{place.name}.channels")
        return basic_block(*place.sizes, mid, quantised)

    inputs = layout.channels[0]
    stem = convolution(image_channels, inputs, layout.stem_kernel, layout.stem_stride)
    if layout.pool:
        stem.append(nn.MaxPool2d(3, 2, 1))
    features = stages(layout, inputs, block)
    last = classifier(nn.Linear(layout.channels[-1], classes))
    model = nn.Sequential(OrderedDict(stem=nn.Sequential(*stem), **features, classifier=last))
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


def uniform(layout: BitsLayout, pair: str, *, classes: int, image_channels: int = 3) -> nn.Module:
    """Build a stand-alone baseline with the same bit-widths in every quantised layer.

    Args:
        layout (BitsLayout): layout of the network; its options are not used.
        pair (str): bit-widths of every quantised layer, such as ``w3a3``; not necessarily one of
            the layout's options.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Returns:
        A network without choices, which ``torch.fx.symbolic_trace`` converts to torch modules.

    Raises:
        UserError: the layout is invalid, or ``pair`` is not a pair of bit-widths.

    Example:
        >>> from spos.cost import count_network
        >>> network = uniform(PRESETS["imagenet"], "w3a3", classes=1000)
        >>> round(count_network(network, (3, 224, 224))["bitops"] / 2**30, 2)
        14.21
    """
    layout = replace(layout, bits=(pair,), per_layer=False, scales=())
    supernet = resnet_bits(layout, classes=classes, image_channels=image_channels)
    return supernet.extract([0] * len(supernet.space))


SPACES["resnet-bits"] = Family(
    paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (bits)",
    presets=PRESETS,
    build=resnet_bits,
    defaults={
        **DEFAULTS,
        "imagenet34": DEFAULTS["imagenet"],
        "small": small_defaults(learning_rate=0.05, weight_decay=1e-4),
    },
)
