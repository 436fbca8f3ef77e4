"""Search a vision transformer: its depth, width, heads and MLP ratios, under a limit on FLOPs.

Run it with ``python examples/vision_transformer.py runs/transformer``: some three minutes on one
core with handwritten digits. ``... runs/fashion fashion`` takes Fashion-MNIST, if it is installed,
and much longer.

There is no batch norm in it, so that evaluation has nothing to recalibrate.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spos import OneOf, Supernet
from spos.nn import ElasticConv2d, ElasticLayerNorm, ElasticLinear, Searchable, Width
from spos.nn.region import use
from spos.run import run
from spos.spaces import SPACES, Family
from spos.training.defaults import Defaults
from spos.training.recipe import Recipe

#: Features of one head, the same for any number of them (Chen et al., "AutoFormer", ICCV 2021).
HEAD = 8


class Multiple(Width):
    """A width that is a multiple of another one, such as the hidden features of an MLP.

    Args:
        base: the other width.
        factors: from the smallest to the largest.
        name: of the choice.
    """

    def __init__(self, base: Width, factors: tuple[int, ...], name: str) -> None:
        super().__init__({f"{factor}x": factor * base.largest for factor in factors}, name)
        self.base = base
        self.factors = factors

    @property
    def current(self) -> int:
        return self.factors[self.active] * self.base.current


class Positions(nn.Module):
    """Adds what is learned of every position.

    Args:
        table: features by positions.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table.t()


class ElasticPositions(Searchable):
    """The same for a searched number of features: how your own layer is made elastic.

    It runs on a slice of the largest table, noted by ``use`` so that a step moves nothing else of
    it, and says what it is once the choice is made.

    Args:
        features: the width.
        positions: how many there are.
    """

    def __init__(self, features: Width, positions: int) -> None:
        super().__init__()
        self.features = features
        self.full = Positions(0.02 * torch.randn(features.largest, positions))

    def forward(self, x: Tensor) -> Tensor:
        return x + use(self.full.table, self.features.current).t()

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return Positions(self.full.table[: self.features.current].detach().clone())


class Attention(nn.Module):
    """Self-attention with a searched number of heads: the first ones of the largest number."""

    def __init__(self, width: Width, heads: tuple[int, ...], name: str) -> None:
        super().__init__()
        inner = Width({str(count): count * HEAD for count in heads}, name)
        self.query = ElasticLinear(width, inner)
        self.key = ElasticLinear(width, inner)
        self.value = ElasticLinear(width, inner)
        self.output = ElasticLinear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        # From (batch, positions, heads x features) to (batch, heads, positions, features).
        query, key, value = (
            layer(x).unflatten(2, (-1, HEAD)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.output(mixed.transpose(1, 2).flatten(2))


class Residual(nn.Module):
    """What a branch makes of the normalised stream, added to it."""

    def __init__(self, width: Width, branch: nn.Module) -> None:
        super().__init__()
        self.norm = ElasticLayerNorm(width)
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(self.norm(x))


class Embedding(nn.Module):
    """From images to a sequence of patches."""

    def __init__(self, image_channels: int, width: Width, patch: int) -> None:
        super().__init__()
        self.patches = ElasticConv2d(image_channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.patches(x).flatten(2).transpose(1, 2)


class Mean(nn.Module):
    """The mean over the positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


@dataclass(frozen=True)
class Layout:
    """The settings of the space, which a run may change."""

    image_size: int = 8
    patch: int = 2
    widths: tuple[int, ...] = (16, 24, 32)
    heads: tuple[int, ...] = (1, 2, 4)
    ratios: tuple[int, ...] = (1, 2, 4)
    depth: int = 4
    # Blocks that a network may do without.
    optional: int = 2


def block(layout: Layout, width: Width, name: str) -> nn.Sequential:
    hidden = Multiple(width, layout.ratios, f"{name}.ratio")
    mlp = nn.Sequential(ElasticLinear(width, hidden), nn.GELU(), ElasticLinear(hidden, width))
    return nn.Sequential(
        Residual(width, Attention(width, layout.heads, f"{name}.heads")),
        Residual(width, mlp),
    )


def build(layout: Layout, *, classes: int, image_channels: int) -> Supernet:
    # One object, which every layer of the residual stream reads.
    width = Width(layout.widths, name="width")
    blocks: list[nn.Module] = []
    for number in range(1, layout.depth + 1):
        name = f"block{number}"
        blocks.append(block(layout, width, name))
        if number > layout.depth - layout.optional:
            blocks[-1] = OneOf({"block": blocks[-1], "skip": nn.Identity()}, name)
    positions = (layout.image_size // layout.patch) ** 2
    model = nn.Sequential(
        Embedding(image_channels, width, layout.patch),
        ElasticPositions(width, positions),
        *blocks,
        nn.Sequential(ElasticLayerNorm(width), Mean(), ElasticLinear(width, classes)),
    )
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


def recipe(steps: int) -> Recipe:
    return Recipe(
        steps=steps,
        batch_size=64,
        learning_rate=0.1,
        schedule="cosine",
        warmup_steps=steps // 10,
        gradient_clip=1.0,
        augment="crop",
    )


SPACES["transformer"] = Family(
    paper="none",
    presets={"digits": Layout(), "fashion": Layout(image_size=28, patch=4, widths=(32, 48, 64))},
    build=build,
    defaults={
        "digits": Defaults(
            recipe(2000), recipe(2000), calibration=2, data="digits", validation=0.3
        ),
        "fashion": Defaults(recipe(6000), recipe(6000), calibration=2, data="fashion-mnist"),
    },
)
BUDGETS = {"digits": 400_000, "fashion": 4_000_000}


def search(
    out: Path, preset: str = "digits", settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Search and retrain, to what ``result.json`` holds.

    Args:
        out: the run directory.
        preset: ``digits`` or ``fashion``.
        settings: sections of the configuration beside those here.
    """
    given = {
        "space": {"name": "transformer", "preset": preset},
        "search": {"population": 20, "iterations": 5},
        "constraint": {"maximum": {"flops": BUDGETS[preset]}},
    }
    return run(out, {**given, **(settings or {})})


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, *preset = sys.argv[1:] or ["runs/transformer"]
    result = search(Path(out), *preset)
    winner = result.winner
    for name, option in winner.names.items():
        print(f"{name}: {option}")
    print(f"{winner.costs['flops']} multiply-adds, {winner.costs['params']} parameters")
    print(f"test top-1 {result.retrain.test_score:.3f}")
