"""The memory format of tensors in a training."""

from __future__ import annotations

import torch
from torch import nn

#: Input channels below which torch's strided 1x1 convolutions are not safe in channels_last.
SAFE_CHANNELS = 8


def supports_channels_last(model: nn.Module, device: torch.device) -> bool:
    """Check whether a model can be trained in the memory format channels_last.

    On the CPU, torch 2.13 writes beyond the end of an array in the backward pass of a 1x1
    convolution with a stride and fewer than 8 input channels in this format.

    Args:
        model (nn.Module): model to train.
        device (torch.device): device of the training.

    Example:
        >>> cpu = torch.device("cpu")
        >>> supports_channels_last(nn.Conv2d(4, 8, 1, stride=2), cpu)
        False
        >>> supports_channels_last(nn.Conv2d(8, 8, 1, stride=2), cpu)
        True
    """
    if device.type != "cpu":
        return True
    return not any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels // module.groups < SAFE_CHANNELS
        for module in model.modules()
    )
