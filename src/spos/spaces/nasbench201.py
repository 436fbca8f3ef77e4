"""Search space of NAS-Bench-201: one cell of 6 operations, repeated throughout the network.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search", ICLR 2020, Section 2.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from spos._util.errors import UserError, nearest
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._layout import check_positive, check_stages, proxy_plans
from spos.spaces.blocks.cells import convolution, operation

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


PLANS = proxy_plans()


class DenseCell(nn.Module):
    """A cell whose nodes sum one operation on each earlier node; the last node is the output.

    Args:
        edges (Mapping[str, nn.Module]): operation of each edge in :data:`EDGES`, such as ``0->2``.
    """

    def __init__(self, edges: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges[edge] for edge in EDGES)

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        edges = iter(self.edges)
        for _ in range(1, NODES):
            total = next(edges)(nodes[0])
            for node in nodes[1:]:
                total = total + next(edges)(node)
            nodes.append(total)
        return nodes[-1]


class ResidualReduction(nn.Module):
    """A residual block that halves the resolution.

    Source: Dong and Yang, Section 2.1.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            convolution(inputs, outputs, 3, 2), convolution(outputs, outputs, 3)
        )
        # Without ceil_mode, pooling rounds odd sides down where the convolution rounds them up.
        pool = nn.AvgPool2d(2, 2, ceil_mode=True)
        self.shortcut = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.shortcut(x) + self.main(x)
        return result


def architecture_string(names: Mapping[str, str]) -> str:
    """Return an architecture in the notation of the benchmark.

    Raises:
        UserError: an edge is missing.

    Example:
        >>> architecture_string(dict.fromkeys(EDGES, "skip_connect"))
        '|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|\
skip_connect~2|'
    """
    missing = [edge for edge in EDGES if edge not in names]
    if missing:
        raise UserError(f"the architecture lacks the edge '{missing[0]}'")
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
    names: dict[str, str] = {}
    nodes = text.strip().split("+")
    form = "|OP~0|+|OP~0|OP~1|+|OP~0|OP~1|OP~2|"
    if len(nodes) != NODES - 1:
        raise UserError(
            f"architecture '{text}' has {len(nodes)} nodes, not {NODES - 1}: write {form}"
        )
    for node, part in enumerate(nodes, 1):
        found = re.fullmatch(r"\|(.*)\|", part)
        edges = found[1].split("|") if found else []
        if len(edges) != node:
            raise UserError(
                f"node {node} of architecture '{text}' is '{part}', not {node} operations between "
                f"bars: write {form}"
            )
        for source, edge in enumerate(edges):
            name, tilde, number = edge.rpartition("~")
            if not tilde or number != str(source):
                raise UserError(
                    f"'{edge}' in node {node} of architecture '{text}': nearest valid is "
                    f"'{name if tilde else edge}~{source}'; write {form}"
                )
            if name not in OPTIONS:
                raise UserError(
                    f"unknown operation '{name}' in architecture '{text}': {nearest(name, OPTIONS)}"
                )
            names[f"{source}->{node}"] = name
    return names


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
    check_stages(layout, "depths")
    check_positive(layout, "image_size")

    def cell(channels: int) -> nn.Module:
        def edge(name: str) -> nn.Module:
            return OneOf({o: operation(o, channels, channels) for o in OPTIONS}, name=name)

        return DenseCell({name: edge(name) for name in EDGES})

    inputs = layout.channels[0]
    stem = nn.Conv2d(image_channels, inputs, 3, 1, 1, bias=False)
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(stem, nn.BatchNorm2d(inputs)))
    for number, (channels, depth) in enumerate(zip(layout.channels, layout.depths, strict=True), 1):
        if number > 1:
            model.add_module(f"reduction{number}", ResidualReduction(inputs, channels))
        model.add_module(f"stage{number}", nn.Sequential(*(cell(channels) for _ in range(depth))))
        inputs = channels
    head = nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs, classes),
    )
    model.add_module("classifier", head)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


SPACES["nasbench201"] = Family(
    paper="Dong and Yang, NAS-Bench-201, ICLR 2020",
    presets=PRESETS,
    build=nasbench201,
    plans=PLANS,
    translate=translate,
    notation=architecture_string,
)
