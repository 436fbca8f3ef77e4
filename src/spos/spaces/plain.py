"""A stack of convolution layers with searchable filters, kernels and strides.

Sources: Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017, Section
4.1, for what is searched in a layer; Elsken et al., "Neural Architecture Search: A Survey", JMLR
2019, Section 2, for chain-structured spaces.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from spos._util.errors import UserError
from spos.cost import Cost, CostModel, CostTable, OptionCount, register_cost
from spos.nn import ElasticBatchNorm2d, ElasticLinear, OneOf, Stride, StridedConv2d, Width
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import check_positive, classifier
from spos.training.defaults import DEFAULTS


@dataclass(frozen=True)
class PlainLayout:
    """Layout of the stack of layers.

    Args:
        image_size (int): side of the square input, in pixels.
        layers (int): number of layers, at least 1.
        filters (tuple[int, ...]): options for the output channels of a layer, in ascending order.
        kernels (tuple[int, ...]): options for the side of its kernel in pixels, odd and ascending.
        strides (tuple[int, ...]): options for its stride in pixels, in ascending order.
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
    """A convolution, batch norm and activation, as one stage."""


def plain(layout: PlainLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of a stack of convolution layers.

    A layer has three choices instead of one choice of all combinations, so that a mutation can
    change one of them and widths can be opened on a schedule. A stride of 2 halves height and
    width, rounded up, so it has no effect on a side of 1. Uniformly sampled architectures reach a
    side of 1 in the first half of the layers; bound the cost ``strides`` (:func:`plain_costs`) to
    keep a higher resolution for longer.

    Args:
        layout (PlainLayout): layout such as ``PRESETS["cifar"]``.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

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
    check_positive(layout, "image_size", "layers")
    for name in ("filters", "kernels", "strides"):
        values = getattr(layout, name)
        if not values or values[0] < 1 or list(values) != sorted(set(values)):
            raise UserError(
                f"layout.{name} {', '.join(map(str, values))}: give rising numbers of at least 1"
            )
    inputs: int | Width = image_channels
    layers = nn.Sequential()
    for number in range(1, layout.layers + 1):
        name = f"layer{number}"
        filters = Width(layout.filters, name=f"{name}.filters")
        stride = Stride(layout.strides, name=f"{name}.stride")
        # Each kernel has its own weight, shared by all filters and strides.
        convolutions = {
            f"{kernel}x{kernel}": StridedConv2d(inputs, filters, kernel, stride, bias=False)
            for kernel in layout.kernels
        }
        kernels = OneOf(convolutions, name=f"{name}.kernel")
        norm, activation = ElasticBatchNorm2d(filters), nn.ReLU(inplace=True)
        layers.append(ConvolutionLayer(kernels, norm, activation))
        inputs = filters
    last = ElasticLinear(inputs, classes)
    model = nn.Sequential(OrderedDict(layers=layers, pool=classifier(), classifier=last))
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


def plain_costs(supernet: Supernet, *, eager: bool = True) -> CostModel:
    """Create the cost model, which adds ``strides``, the number of layers with a stride above 1.

    A layer counts by its option, even if the side of its input is already 1.

    Args:
        supernet (Supernet): supernet of this space.
        eager (bool): whether to count every option now instead of on first use.

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


SPACES["plain"] = Family(
    paper="Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017",
    presets=PRESETS,
    build=plain,
    defaults={name: DEFAULTS[name] for name in PRESETS},
    costs=plain_costs,
)
