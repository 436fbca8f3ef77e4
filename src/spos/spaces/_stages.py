"""Networks of stages of blocks, with a classifier after a global average pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import nn


class Place(NamedTuple):
    """Position and shape of a block in the network.

    Args:
        stage (int): number of its stage, from 1.
        number (int): number of the block in its stage, from 0.
        inputs (int): input channels.
        outputs (int): output channels.
        stride (int): stride of the block.
    """

    stage: int
    number: int
    inputs: int
    outputs: int
    stride: int

    @property
    def name(self) -> str:
        """Name of the block, such as ``stage1.0``."""
        return f"stage{self.stage}.{self.number}"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Input channels, output channels and stride."""
        return self.inputs, self.outputs, self.stride

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the shape of the input."""
        return self.stride == 1 and self.inputs == self.outputs


def places(layout: Any, inputs: int) -> Iterator[Place]:
    """Iterate over the places of the blocks.

    Args:
        layout (Any): layout with ``channels``, ``depths`` and ``strides`` of the stages.
        inputs (int): channels before the first stage.
    """
    stages = zip(layout.channels, layout.depths, layout.strides, strict=True)
    for stage, (outputs, depth, stride) in enumerate(stages, 1):
        for number in range(depth):
            yield Place(stage, number, inputs, outputs, 1 if number else stride)
            inputs = outputs


def stages(
    layout: Any, inputs: int, make_block: Callable[[Place], nn.Module]
) -> dict[str, nn.Module]:
    """Build the blocks, as one module per stage under names such as ``stage1``."""
    made: dict[str, nn.Sequential] = {}
    for place in places(layout, inputs):
        made.setdefault(f"stage{place.stage}", nn.Sequential()).append(make_block(place))
    return {**made}


def classifier(*layers: nn.Module) -> nn.Sequential:
    """Layers after a global average pooling."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)
