"""The textbook space: a stack of convolution layers, each with filters, kernel and stride searched.

Sources: Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017, Section
4.1, for what is searched in a layer; Elsken et al., "Neural Architecture Search: A Survey", JMLR
2019, Section 2, for chain-structured spaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from spos._util.errors import UserError
from spos.cost import Cost, CostModel, CostTable, OptionCount, register_cost
from spos.nn import ElasticBatchNorm2d, ElasticLinear, OneOf, Stride, StridedConv2d, Width
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._layout import check_positive
from spos.training.recipes import PLANS


@dataclass(frozen=True)
class PlainLayout:
    """The stack of layers.

    Args:
        image_size: the side of the square input, in pixels.
        layers: how many there are, at least 1.
        filters: output channels of a layer to choose from, rising.
        kernels: sides of its kernel to choose from, odd.
        strides: its strides to choose from.
    """

    image_size: int
    layers: int = 20
    filters: tuple[int, ...] = (24, 36, 48, 64)
    kernels: tuple[int, ...] = (3, 5, 7)
    strides: tuple[int, ...] = (1, 2)


STRIDES = register_cost(Cost("strides", label="layers with a stride above 1"))
PRESETS = {
    "cifar": PlainLayout(image_size=32),
    "tiny": PlainLayout(image_size=8, layers=4, filters=(8, 12, 16, 24)),
}


class ConvolutionLayer(nn.Sequential):
    """A convolution with batch norm and activation, as one stage.

    Args:
        inputs: input channels.
        filters: the choice of the output channels.
        kernels: sides of the kernel to choose from; each has a weight of its own, which all
            filters and strides share.
        strides: to choose from.
        name: what the names of its choices begin with.
    """

    def __init__(
        self,
        inputs: int | Width,
        filters: Width,
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        name: str,
    ) -> None:
        stride = Stride(strides, name=f"{name}.stride")
        convolutions = {
            f"{kernel}x{kernel}": StridedConv2d(inputs, filters, kernel, stride, bias=False)
            for kernel in kernels
        }
        super().__init__(
            OneOf(convolutions, name=f"{name}.kernel"),
            ElasticBatchNorm2d(filters),
            nn.ReLU(inplace=True),
        )


def plain(layout: PlainLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of the textbook space.

    A layer has three choices, not one of all combinations: a mutation then changes one of them, and
    sizes can open by schedule. A stride of 2 halves the sides, rounded up, so that on a side of 1
    it acts as a stride of 1. Uniform draws use the image up in the first half of the layers; bound
    the cost ``strides`` (:func:`plain_costs`) to keep it longer.

    Args:
        layout: the layers, such as ``PRESETS["cifar"]``.
        classes: the number of classes, at least 2.
        image_channels: 3 for colour, 1 for grey images.

    Raises:
        UserError: the layout does not fit together.

    Source: Zoph and Le, Section 4.1.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = plain(PRESETS["cifar"], classes=10)
        >>> supernet.space.size == 24**20
        True
        >>> supernet.space.choices[0].name, supernet.space.choices[0].options
        ('layer1.kernel', ('3x3', '5x5', '7x7'))
    """
    _check(layout)
    inputs: int | Width = image_channels
    layers = nn.Sequential()
    for number in range(1, layout.layers + 1):
        name = f"layer{number}"
        filters = Width(layout.filters, name=f"{name}.filters")
        layers.append(ConvolutionLayer(inputs, filters, layout.kernels, layout.strides, name))
        inputs = filters
    model = nn.Sequential()
    model.add_module("layers", layers)
    model.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    model.add_module("classifier", ElasticLinear(inputs, classes))
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


def plain_costs(supernet: Supernet, *, eager: bool = True) -> CostModel:
    """Multiply-adds, parameters, and ``strides``: how many layers have a stride above 1.

    Layers count by their option, be there something left to halve or not.

    Args:
        supernet: of this space.

    Example:
        >>> costs = plain_costs(plain(PRESETS["tiny"], classes=10, image_channels=1))
        >>> costs.range()["strides"]
        (0, 4)
    """
    halving = {
        choice.name: [option for option in choice.options if option != "stride1"]
        for choice in supernet.space.choices
        if choice.name.endswith(".stride")
    }
    return OptionCount(CostTable(supernet, eager=eager), STRIDES.name, halving)


def _check(layout: PlainLayout) -> None:
    check_positive(layout, "image_size", "layers")
    for name in ("filters", "kernels", "strides"):
        values = getattr(layout, name)
        rising = all(low < high for low, high in pairwise(values))
        if not values or values[0] < 1 or not rising:
            raise UserError(
                f"layout.{name} {', '.join(map(str, values))}: give rising numbers of at least 1"
            )


SPACES["plain"] = Family(
    paper="Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017",
    presets=PRESETS,
    build=plain,
    plans={name: PLANS[name] for name in PRESETS},
    costs=plain_costs,
)
