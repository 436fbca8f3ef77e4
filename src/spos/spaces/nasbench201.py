"""Search space of NAS-Bench-201: one cell of 6 operations, repeated throughout the network.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search", ICLR 2020, Section 2.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from torch import Tensor, nn

from spos._util.errors import UserError, nearest
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import check_stages, classifier, proxy_defaults
from spos.spaces.blocks.cells import operation
from spos.spaces.blocks.convolution import convolution

OPTIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: Nodes of a cell. Node 0 is the input; every other node reads all nodes before it.
NODES = 4
EDGES = tuple(f"{source}->{node}" for node in range(1, NODES) for source in range(node))


@dataclass(frozen=True)
class CellLayout:
    """Layout of a network of cells, with a residual block of stride 2 between two stages.

    Args:
        image_size (int): side of the square input, in pixels.
        channels (tuple[int, ...]): channels of the cells of each stage, at least 1.
        depths (tuple[int, ...]): number of cells in each stage, at least 1.
    """

    image_size: int
    channels: tuple[int, ...] = (16, 32, 64)
    depths: tuple[int, ...] = (5, 5, 5)


PRESETS = {
    "cifar": CellLayout(image_size=32),
    "proxy": CellLayout(image_size=32, channels=(8, 16, 32), depths=(1, 1, 1)),
    "tiny": CellLayout(image_size=8, channels=(8, 16), depths=(1, 1)),
}


_PROXIES = proxy_defaults()
_PROXY = _PROXIES["proxy"]
# After fewer steps the loss ranks networks by chance: pooling is learned before convolutions are.
DEFAULTS = {**_PROXIES, "proxy": replace(_PROXY, supernet=replace(_PROXY.supernet, steps=20_000))}


class DenseCell(nn.Module):
    """A cell whose nodes sum one operation on each earlier node; the last node is the output.

    Args:
        edges (Iterable[nn.Module]): operations in the order of :data:`EDGES`.
    """

    def __init__(self, edges: Iterable[nn.Module]) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)

    def forward(self, x: Tensor) -> Tensor:
        nodes, edges = [x], iter(self.edges)
        for _ in range(1, NODES):
            nodes.append(reduce(add, (next(edges)(node) for node in nodes)))
        return nodes[-1]


class ResidualReduction(nn.Module):
    """A residual block that halves the resolution.

    Source: Dong and Yang, Section 2.1.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first = operation("nor_conv_3x3", inputs, outputs, 2)
        self.main = nn.Sequential(first, operation("nor_conv_3x3", outputs, outputs))
        # Without ceil_mode, pooling rounds odd sides down where the convolution rounds them up.
        pool = nn.AvgPool2d(2, 2, ceil_mode=True)
        self.shortcut = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.shortcut(x) + self.main(x)
        return result


def architecture_string(names: Mapping[str, str]) -> str:
    """Return an architecture in the notation of the benchmark.

    Example:
        >>> architecture_string(dict.fromkeys(EDGES, "skip_connect"))
        '|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|\
skip_connect~2|'
    """
    nodes = (
        "|".join(f"{names[f'{source}->{node}']}~{source}" for source in range(node))
        for node in range(1, NODES)
    )
    return "+".join(f"|{node}|" for node in nodes)


def parse_architecture_string(text: str) -> dict[str, str]:
    """Parse an architecture in the notation of the benchmark.

    Args:
        text (str): notation such as ``|none~0|+|none~0|none~1|+|none~0|none~1|none~2|``.

    Returns:
        The operation of each edge, for :meth:`spos.space.SearchSpace.from_names`.

    Raises:
        UserError: the text does not follow the notation, or an operation is unknown.

    Example:
        >>> names = parse_architecture_string(
        ...     "|none~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
        ... )
        >>> names["1->2"], names["2->3"]
        ('skip_connect', 'avg_pool_3x3')
    """
    form = architecture_string(dict.fromkeys(EDGES, "OP"))
    forms, nodes = form.split("+"), text.strip().split("+")
    if len(nodes) != len(forms):
        raise UserError(
            f"architecture '{text}' has {len(nodes)} nodes, not {len(forms)}: write {form}"
        )
    operations: list[str] = []
    for number, (part, expected) in enumerate(zip(nodes, forms, strict=True), 1):
        found = re.fullmatch(re.escape(expected).replace("OP", "([^|~]*)"), part)
        if not found:
            raise UserError(
                f"node {number} of architecture '{text}' is '{part}', not {expected}: write {form}"
            )
        operations += found.groups()
    for name in operations:
        if name not in OPTIONS:
            raise UserError(
                f"unknown operation '{name}' in architecture '{text}': {nearest(name, OPTIONS)}"
            )
    return dict(zip(EDGES, operations, strict=True))


def translate(text: str) -> str:
    """Convert the notation of the benchmark to JSON; return other text unchanged.

    Raises:
        UserError: the text resembles the notation but is invalid.

    Example:
        >>> translate("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")[:20]
        '{"0->1": "none", "0-'
    """
    if "~" not in text and not text.lstrip().startswith("|"):
        return text
    return json.dumps(parse_architecture_string(text))


def nasbench201(layout: CellLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of NAS-Bench-201.

    All cells share the 6 choices, so an architecture is one cell. As in the benchmark, operations
    count towards the costs even if no path leads from them to the output.

    Args:
        layout (CellLayout): layout such as ``PRESETS["cifar"]``, the network of the benchmark.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Source: Dong and Yang, Section 2.1.

    Example:
        >>> supernet = nasbench201(PRESETS["tiny"], classes=10)
        >>> supernet.space.size
        15625
    """
    check_stages(layout)

    def cell(channels: int) -> nn.Module:
        return DenseCell(
            OneOf({name: operation(name, channels, channels) for name in OPTIONS}, name=edge)
            for edge in EDGES
        )

    inputs = layout.channels[0]
    model = nn.Sequential()
    stem = convolution(image_channels, inputs, 3, activation=None)
    model.add_module("stem", nn.Sequential(*stem))
    for number, (channels, depth) in enumerate(zip(layout.channels, layout.depths, strict=True), 1):
        if number > 1:
            model.add_module(f"reduction{number}", ResidualReduction(inputs, channels))
        model.add_module(f"stage{number}", nn.Sequential(*(cell(channels) for _ in range(depth))))
        inputs = channels
    pooled = classifier(nn.Linear(inputs, classes))
    head = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), *pooled)
    model.add_module("classifier", head)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


SPACES["nasbench201"] = Family(
    paper="Dong and Yang, NAS-Bench-201, ICLR 2020",
    presets=PRESETS,
    build=nasbench201,
    defaults=DEFAULTS,
    translate=translate,
    notation=architecture_string,
)
