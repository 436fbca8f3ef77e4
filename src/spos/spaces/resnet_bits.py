"""Mixed-precision search space of the paper: residual networks with bit-widths per block.

Sources: Guo et al., Section 3.4, and its experiments with ResNet-18 and ResNet-34; He et al., "Deep
Residual Learning for Image Recognition", CVPR 2016, Table 1 and Section 4.2, for the networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from spos._util.errors import UserError
from spos.nn import Bits, FixedBitsConv2d, QuantisedConv2d, Width, bit_pair
from spos.nn.quantised import ACTIVATION_QUANTISER, WEIGHT_QUANTISER
from spos.nn.quantisers import check_quantisers
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._layout import StagedLayout, check_positive, check_scales, check_stages
from spos.spaces.blocks.residual import Size, basic_block
from spos.training.recipes import PLANS

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
    image_size=32,
    stem_kernel=3,
    stem_stride=1,
    pool=False,
    channels=(16, 32, 64),
    depths=(3, 3, 3),
    strides=(1, 2, 2),
)
PRESETS = {
    "imagenet": BitsLayout(image_size=224),
    "imagenet34": BitsLayout(image_size=224, depths=(3, 4, 6, 3)),
    # The ResNet-20 of He et al., Section 4.2, with projections in the shortcuts.
    "cifar": _SMALL,
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

    def block(name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
        shared = Bits(layout.bits, f"{name}.bits")

        def convolution(
            part: str, inputs: Size, outputs: Size, kernel: int, stride: int
        ) -> nn.Module:
            own = Bits(layout.bits, f"{name}.{part}.bits") if layout.per_layer else shared
            return QuantisedConv2d(
                inputs,
                outputs,
                kernel,
                own,
                stride,
                kernel // 2,
                weights=layout.weights,
                activations=layout.activations,
            )

        mid: Size = outputs
        if layout.scales:
            sizes = {str(scale): max(1, int(outputs * scale)) for scale in layout.scales}
            mid = Width(sizes, name=f"{name}.channels")
        return basic_block(inputs, mid, outputs, stride, convolution)

    model = _build_network(layout, block, classes=classes, image_channels=image_channels)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


def uniform(
    layout: BitsLayout, pair: str, *, classes: int, image_channels: int = 3
) -> nn.Sequential:
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
    chosen = bit_pair(pair)

    def convolution(part: str, inputs: Size, outputs: Size, kernel: int, stride: int) -> nn.Module:
        assert isinstance(inputs, int) and isinstance(outputs, int)
        return FixedBitsConv2d(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            chosen,
            weights=layout.weights,
            activations=layout.activations,
        )

    def block(name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
        return basic_block(inputs, outputs, outputs, stride, convolution)

    return _build_network(layout, block, classes=classes, image_channels=image_channels)


def _build_network(
    layout: BitsLayout,
    make_block: Callable[[str, int, int, int], nn.Module],
    *,
    classes: int,
    image_channels: int,
) -> nn.Sequential:
    """Build the network from a function of a block's name, channels and stride."""
    _check(layout)
    inputs = layout.channels[0]
    stem: list[nn.Module] = [
        nn.Conv2d(
            image_channels,
            inputs,
            layout.stem_kernel,
            layout.stem_stride,
            layout.stem_kernel // 2,
            bias=False,
        ),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
    ]
    if layout.pool:
        stem.append(nn.MaxPool2d(3, 2, 1))
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(*stem))
    stages = zip(layout.channels, layout.depths, layout.strides, strict=True)
    for number, (outputs, depth, stride) in enumerate(stages, 1):
        blocks = nn.Sequential()
        for position in range(depth):
            name = f"stage{number}.{position}"
            block = make_block(name, inputs, outputs, stride if position == 0 else 1)
            blocks.append(block)
            inputs = outputs
        model.add_module(f"stage{number}", blocks)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
    model.add_module("classifier", head)
    return model


def _check(layout: BitsLayout) -> None:
    check_stages(layout, "depths", "strides")
    check_positive(layout, "image_size", "stem_stride")
    if layout.stem_kernel < 1 or layout.stem_kernel % 2 == 0:
        raise UserError(f"layout.stem_kernel {layout.stem_kernel}: must be odd, such as 3 or 7")
    if layout.scales:
        check_scales(layout.scales)
    check_quantisers(layout.weights, layout.activations)
    for text in layout.bits:
        bit_pair(text)


SPACES["resnet-bits"] = Family(
    paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (bits)",
    presets=PRESETS,
    build=resnet_bits,
    plans={**PLANS, "imagenet34": PLANS["imagenet"]},
)
