"""Cell networks found by other searches: NASNet-A, PNASNet-5 and DARTS (second order).

All are built as for evaluation, without the auxiliary classifier and drop path of training.
With ``small`` they have the stem for CIFAR.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from spos.spaces._stages import classifier
from spos.spaces.blocks.cells import Cell, Wiring, operation
from spos.spaces.blocks.convolution import convolution
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

#: Wiring, filters and stride of a cell.
Planned = tuple[Wiring, int, int]


class _Stem(nn.Module):
    """The two outputs that the first cell reads."""

    def __init__(
        self, channels: int, first: Sequence[nn.Module], second: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.channels, self.halves = channels, second is not None
        self.first, self.second = nn.Sequential(*first), second or nn.Identity()

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
    cells = _stages(NASNET_A["normal"], NASNET_A["reduce"], 44, (4, 4))
    return _released(NASNET_A["reduce"], cells, classes, image_channels, small)


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
    cells = _stages(PNASNET_5, PNASNET_5, 54, (3, 2))
    return _released(PNASNET_5, cells, classes, image_channels, small)


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
    cells = _stages(DARTS_V2["normal"], DARTS_V2["reduce"], 48, (4, 4))
    if small:
        return _network(_cifar_stem(image_channels, 48), cells, classes)
    first = convolution(image_channels, 24, 3, 2) + convolution(24, 48, 3, 2, activation=None)
    return _network(_Stem(48, first, operation("nor_conv_3x3", 48, 48, 2)), cells, classes)


def _stages(normal: Wiring, reduce: Wiring, filters: int, counts: tuple[int, int]) -> list[Planned]:
    """Plan three stages, given the normal cells in the first one and in the others."""
    first, others = counts
    cells: list[Planned] = [(normal, filters, 1)] * first
    for wider in (2 * filters, 4 * filters):
        cells += [(reduce, wider, 2), *[(normal, wider, 1)] * others]
    return cells


def _cifar_stem(image_channels: int, filters: int) -> _Stem:
    channels = 3 * filters
    return _Stem(channels, convolution(image_channels, channels, 3, activation=None))


def _released(
    reduce: Wiring, cells: list[Planned], classes: int, image_channels: int, small: bool
) -> nn.Sequential:
    """Build a network after the released definition of NASNet, unless it is for small images."""
    filters = cells[0][1]
    head = (nn.ReLU(), nn.Dropout(0.5))
    if small:
        return _network(_cifar_stem(image_channels, filters), cells, classes, head=head)
    # Without padding: the released definition gives 111 pixels from 224.
    stem = _Stem(32, (nn.Conv2d(image_channels, 32, 3, 2, bias=False), nn.BatchNorm2d(32)))
    cells = [(reduce, filters // 4, 2), (reduce, filters // 2, 2), *cells]
    return _network(stem, cells, classes, head=head, raw=True)


def _network(
    stem: _Stem,
    cells: list[Planned],
    classes: int,
    *,
    head: tuple[nn.Module, ...] = (),
    raw: bool = False,
) -> nn.Sequential:
    """Stack cells.

    Args:
        stem (_Stem): layers before the cells.
        cells (list[Planned]): cells in order.
        classes (int): number of classes.
        head (tuple[nn.Module, ...]): activation before pooling, and dropout after it.
        raw (bool): whether the first cell reads the stem's first output without projection.
    """
    before = last = stem.channels
    halve, body = stem.halves, nn.Sequential()
    for number, (wiring, filters, stride) in enumerate(cells):
        project = not (raw and number == 0)
        cell = Cell(wiring, before, last, filters, stride=stride, halve=halve, project=project)
        body.append(cell)
        before, last, halve = last, cell.channels, stride == 2
    pooled = classifier(*head[1:], nn.Linear(last, classes))
    end = nn.Sequential(_LastCell(), *head[:1], *pooled)
    return nn.Sequential(OrderedDict(stem=stem, cells=body, classifier=end))


for _build, _paper in (
    (nasnet_a_mobile, "Zoph et al., Learning Transferable Architectures, CVPR 2018"),
    (pnasnet_5_mobile, "Liu et al., Progressive Neural Architecture Search, ECCV 2018"),
    (darts_v2_imagenet, "Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019"),
):
    NETWORKS[_build.__name__] = Network(_paper, _build)
