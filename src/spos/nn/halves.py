"""The even and the odd channels of a feature map, as the units of ShuffleNetV2 part them."""

from __future__ import annotations

from torch import Tensor, nn


class Halves(nn.Module):
    """Part the even channels from the odd ones, which shuffles the channels of two branches.

    Source: Ma et al., "ShuffleNet V2", ECCV 2018, Section 4.

    Example:
        >>> import torch
        >>> even, odd = Halves()(torch.arange(4.0).reshape(1, 4, 1, 1))
        >>> even.flatten().tolist(), odd.flatten().tolist()
        ([0.0, 2.0], [1.0, 3.0])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, 0::2], x[:, 1::2]


def trainable_halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Part the channels as :class:`Halves` does, with another backward pass.

    It writes one gradient in channels_last, in place of two that are half zeros and are added.

    Args:
        x (Tensor): feature maps with an even number of channels, shape (batch, channels, height,
            width).

    Example:
        >>> import torch
        >>> x = torch.randn(2, 6, 3, 3)
        >>> all(map(torch.equal, trainable_halves(x), Halves()(x)))
        True
    """
    last = x.permute(0, 2, 3, 1)
    even, odd = last.reshape(*last.shape[:3], -1, 2).unbind(4)
    return even.permute(0, 3, 1, 2), odd.permute(0, 3, 1, 2)
