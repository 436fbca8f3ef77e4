"""Cell networks found by other searches: NASNet-A, PNASNet-5 and DARTS (second order).

All are built as for evaluation, without the auxiliary classifier and drop path of training.
With ``small`` they have the stem for CIFAR.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain

from torch import Tensor, nn

from spos.spaces.blocks.cells import Cell, Wiring
from spos.spaces.zoo import NETWORKS, Network

# Zoph et al., Figure 4. The released network also concatenates the last cell but one in normal
# cells, and node 3 in reduction cells though node 5 reads it; its published costs include both.
NASNET_A = {
    "normal": Wiring(
        (
            *(("sep_conv_5x5", 1), ("sep_conv_3x3", 0)),
            *(("sep_conv_5x5", 0), ("sep_conv_3x3", 0)),
            *(("avg_pool_3x3", 1), ("skip_connect", 0)),
            *(("avg_pool_3x3", 0), ("avg_pool_3x3", 0)),
            *(("sep_conv_3x3", 1), ("skip_connect", 1)),
        ),
        concat=(0, 2, 3, 4, 5, 6),
    ),
    "reduce": Wiring(
        (
            *(("sep_conv_5x5", 1), ("sep_conv_7x7", 0)),
            *(("max_pool_3x3", 1), ("sep_conv_7x7", 0)),
            *(("avg_pool_3x3", 1), ("sep_conv_5x5", 0)),
            *(("skip_connect", 3), ("avg_pool_3x3", 2)),
            *(("sep_conv_3x3", 2), ("max_pool_3x3", 1)),
        ),
        concat=(3, 4, 5, 6),
    ),
}

# Liu et al., "Progressive Neural Architecture Search", Figure 1: one cell for both strides.
PNASNET_5 = Wiring(
    (
        *(("sep_conv_5x5", 0), ("max_pool_3x3", 0)),
        *(("sep_conv_7x7", 1), ("max_pool_3x3", 1)),
        *(("sep_conv_5x5", 1), ("sep_conv_3x3", 1)),
        *(("sep_conv_3x3", 4), ("max_pool_3x3", 1)),
        *(("sep_conv_3x3", 0), ("skip_connect", 1)),
    ),
    concat=(2, 3, 4, 5, 6),
)

# Liu et al., "DARTS", Figures 4 and 5: the cells of the second-order search.
DARTS_V2 = {
    "normal": Wiring(
        (
            *(("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
            *(("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
            *(("sep_conv_3x3", 1), ("skip_connect", 0)),
            *(("skip_connect", 0), ("dil_conv_3x3", 2)),
        ),
        concat=(2, 3, 4, 5),
    ),
    "reduce": Wiring(
        (
            *(("max_pool_3x3", 0), ("max_pool_3x3", 1)),
            *(("skip_connect", 2), ("max_pool_3x3", 1)),
            *(("max_pool_3x3", 0), ("skip_connect", 2)),
            *(("skip_connect", 2), ("max_pool_3x3", 1)),
        ),
        concat=(2, 3, 4, 5),
    ),
}

Planned = tuple[Wiring, int, int]
"""Wiring, filters and stride of a cell."""


class _Stem(nn.Module):
    """The two outputs that the first cell reads."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.first(x)
        return first, self.second(first)


class _LastCell(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[1]


def nasnet_a_mobile(*, classes: int, image_channels: int = 3, small: bool = False) -> nn.Sequential:
    """NASNet-A (4 @ 1056).

    Source: Zoph et al., Section 4.2; stem and concatenations after the released definition.

    Example:
        >>> network = nasnet_a_mobile(classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        5289978
    """
    normal, reduce = NASNET_A["normal"], NASNET_A["reduce"]
    cells: list[Planned] = [] if small else [(reduce, 11, 2), (reduce, 22, 2)]
    cells += [(normal, 44, 1)] * 4
    cells += [(reduce, 88, 2), *[(normal, 88, 1)] * 4]
    cells += [(reduce, 176, 2), *[(normal, 176, 1)] * 4]
    stem = _cifar_stem(image_channels, 44) if small else _released_stem(image_channels)
    return _network(stem, cells, classes, head=(nn.ReLU(), nn.Dropout(0.5)), raw=not small)


def pnasnet_5_mobile(
    *, classes: int, image_channels: int = 3, small: bool = False
) -> nn.Sequential:
    """PNASNet-5 with 3 cells per stage and 54 filters.

    Source: Liu et al., "Progressive Neural Architecture Search", ECCV 2018, Section 5.3; the stem
    after the released definition.

    Example:
        >>> network = pnasnet_5_mobile(classes=10, small=True)
        >>> network[-1][-1].in_features
        1080
    """
    cells: list[Planned] = [] if small else [(PNASNET_5, 13, 2), (PNASNET_5, 27, 2)]
    cells += [(PNASNET_5, 54, 1)] * 3
    cells += [(PNASNET_5, 108, 2), *[(PNASNET_5, 108, 1)] * 2]
    cells += [(PNASNET_5, 216, 2), *[(PNASNET_5, 216, 1)] * 2]
    stem = _cifar_stem(image_channels, 54) if small else _released_stem(image_channels)
    return _network(stem, cells, classes, head=(nn.ReLU(), nn.Dropout(0.5)), raw=not small)


def darts_v2_imagenet(
    *, classes: int, image_channels: int = 3, small: bool = False
) -> nn.Sequential:
    """The network of second-order DARTS for ImageNet: 14 cells, 48 channels.

    Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, Section 3.4.

    Example:
        >>> network = darts_v2_imagenet(classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        4718752
    """
    normal, reduce = DARTS_V2["normal"], DARTS_V2["reduce"]
    cells: list[Planned] = [(normal, 48, 1)] * 4
    cells += [(reduce, 96, 2), *[(normal, 96, 1)] * 4]
    cells += [(reduce, 192, 2), *[(normal, 192, 1)] * 4]
    if small:
        return _network(_cifar_stem(image_channels, 48), cells, classes)
    first = nn.Sequential(
        nn.Conv2d(image_channels, 24, 3, 2, 1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        nn.Conv2d(24, 48, 3, 2, 1, bias=False),
        nn.BatchNorm2d(48),
    )
    second = nn.Sequential(nn.ReLU(), nn.Conv2d(48, 48, 3, 2, 1, bias=False), nn.BatchNorm2d(48))
    return _network((_Stem(first, second), 48, True), cells, classes)


Stem = tuple[_Stem, int, bool]
"""Stem, channels of both of its outputs, and whether the second has half the resolution."""


def _released_stem(image_channels: int) -> Stem:
    # Without padding: the released definition gives 111 pixels from 224.
    convolution = nn.Conv2d(image_channels, 32, 3, 2, bias=False)
    return _Stem(nn.Sequential(convolution, nn.BatchNorm2d(32)), nn.Identity()), 32, False


def _cifar_stem(image_channels: int, filters: int) -> Stem:
    outputs = 3 * filters
    convolution = nn.Conv2d(image_channels, outputs, 3, 1, 1, bias=False)
    return _Stem(nn.Sequential(convolution, nn.BatchNorm2d(outputs)), nn.Identity()), outputs, False


def _network(
    stem: Stem,
    cells: Sequence[Planned],
    classes: int,
    *,
    head: Sequence[nn.Module] = (),
    raw: bool = False,
) -> nn.Sequential:
    """Stack cells.

    Args:
        stem (Stem): layers before the cells.
        cells (Sequence[Planned]): cells in order.
        classes (int): number of classes.
        head (Sequence[nn.Module]): activation before pooling, and dropout after it.
        raw (bool): whether the first cell reads the stem's first output without projection.
    """
    module, last, halve = stem
    before = last
    body = nn.Sequential()
    for number, (wiring, filters, stride) in enumerate(cells):
        cell = Cell(
            wiring,
            before,
            last,
            filters,
            stride=stride,
            halve=halve,
            project=not (raw and number == 0),
        )
        body.append(cell)
        before, last, halve = last, cell.channels, stride == 2
    pooled = chain(head[:1], (nn.AdaptiveAvgPool2d(1), nn.Flatten()), head[1:])
    classifier = nn.Sequential(_LastCell(), *pooled, nn.Linear(last, classes))
    return nn.Sequential(OrderedDict(stem=module, cells=body, classifier=classifier))


NETWORKS["nasnet_a_mobile"] = Network(
    paper="Zoph et al., Learning Transferable Architectures, CVPR 2018",
    build=nasnet_a_mobile,
)
NETWORKS["pnasnet_5_mobile"] = Network(
    paper="Liu et al., Progressive Neural Architecture Search, ECCV 2018",
    build=pnasnet_5_mobile,
)
NETWORKS["darts_v2_imagenet"] = Network(
    paper="Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019",
    build=darts_v2_imagenet,
)
