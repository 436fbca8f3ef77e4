"""Channel search space of the paper, with fixed or searchable blocks.

Source: Guo et al., Section 3.4 and Table 4.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from torch import nn

from spos._util.errors import UserError, nearest
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import Place, scaled_width
from spos.spaces.blocks.shuffle import OPTIONS, choice_block
from spos.spaces.shufflenetv2 import DEFAULTS, Layout, around
from spos.spaces.shufflenetv2 import PRESETS as BLOCK_PRESETS

#: Value of ``layout.blocks`` with which blocks are searched as well.
FREE = "free"


@dataclass(frozen=True)
class ChannelLayout(Layout):
    """Layout of a channel search; see :class:`spos.spaces.shufflenetv2.Layout`.

    Args:
        blocks (str): option of every block, such as ``shuffle3x3``; or option indices of the space
            ``shufflenetv2`` joined by commas, one per block; or ``free`` to search blocks as well.
        scales (tuple[float, ...]): options for the factor of a block's mid channels, which are half
            its output channels; the product is rounded down.
    """

    blocks: str = "shuffle3x3"
    scales: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)


def _presets(blocks: str) -> dict[str, ChannelLayout]:
    return {
        name: ChannelLayout(**asdict(layout), blocks=blocks)
        for name, layout in BLOCK_PRESETS.items()
    }


#: The network of the paper's block and channel search, for the joint preset ``imagenet``.
BLOCK_CHANNEL = "0,6,0,5,3,3,1,5,1,2,1,6,0,3,0,4,2,2,0,5,2,7,1,5,1,4,0,6,2,7,0,4,2,4,1,5,3,4,2,3"

CHANNEL_PRESETS = _presets("shuffle3x3")
# Scale 1 has about the multiply-adds of the others' average network.
CHANNEL_PRESETS["small"] = replace(CHANNEL_PRESETS["small"], channels=(28, 56, 112))
JOINT_PRESETS = _presets(FREE)


def fixed_blocks(layout: ChannelLayout) -> list[str]:
    """Return the option of each block, or an empty list if blocks are searched.

    Raises:
        UserError: ``layout.blocks`` names an unknown option, or its length is not the number of
            blocks.

    Example:
        >>> fixed_blocks(CHANNEL_PRESETS["tiny"])[:2]
        ['shuffle3x3', 'shuffle3x3']
    """
    text, count = layout.blocks, sum(layout.depths)
    if text == FREE:
        return []
    if text in OPTIONS:
        return [text] * count
    if not all(part.isascii() and part.isdigit() for part in text.split(",")):
        raise UserError(f"layout.blocks {text}: {nearest(text, (*OPTIONS, FREE))}")
    indices = [int(part) for part in text.split(",")]
    if len(indices) != count or max(indices) >= len(OPTIONS):
        raise UserError(
            f"layout.blocks {text}: give {count} numbers from 0 to "
            f"{len(OPTIONS) - 1}, one per block"
        )
    return [OPTIONS[index] for index in indices]


def shufflenetv2_channels(
    layout: ChannelLayout, *, classes: int, image_channels: int = 3
) -> Supernet:
    """Build the supernet of the paper's channel search.

    Args:
        layout (ChannelLayout): layout such as ``CHANNEL_PRESETS["imagenet"]``.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = shufflenetv2_channels(JOINT_PRESETS["imagenet"], classes=1000)
        >>> supernet.space.size == 40**20
        True
    """
    fixed = iter(fixed_blocks(layout))

    def block(place: Place) -> nn.Module:
        mid = scaled_width(place.outputs // 2, layout.scales, f"{place.name}.channels")

        def candidate(option: str) -> nn.Module:
            return choice_block(option, *place.sizes, mid, reduction=place.number == 0)

        if layout.blocks != FREE:
            return candidate(next(fixed))
        return OneOf({option: candidate(option) for option in OPTIONS}, name=f"{place.name}.block")

    model = around(layout, block, classes=classes, image_channels=image_channels)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


SPACES["shufflenetv2-channels"] = Family(
    paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (channels)",
    presets=CHANNEL_PRESETS,
    build=shufflenetv2_channels,
    defaults=DEFAULTS,
)
