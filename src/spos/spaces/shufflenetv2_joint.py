"""Joint search space of blocks and channels of the paper.

Source: Guo et al., Section 4.2 (search of blocks and channels).
"""

from spos.spaces import SPACES, Family
from spos.spaces.shufflenetv2 import DEFAULTS
from spos.spaces.shufflenetv2_channels import BLOCK_CHANNEL, JOINT_PRESETS, shufflenetv2_channels

SPACES["shufflenetv2-joint"] = Family(
    paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (joint)",
    presets=JOINT_PRESETS,
    build=shufflenetv2_channels,
    defaults=DEFAULTS,
    networks={"spos_block_channel": ("imagenet", BLOCK_CHANNEL)},
)
