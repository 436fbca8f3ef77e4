"""The outputs of the networks of a supernet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos.cost.part import on_meta, run
from spos.nn.supernet import Supernet


def output_of(supernet: Supernet) -> Tensor:
    """The output of the first network for one image, on the meta device.

    Args:
        supernet (Supernet): supernet on any device.

    Raises:
        UserError: the network does not run, or its output is not a tensor.
    """
    return _output(on_meta(supernet), [0] * len(supernet.space))


def _output(supernet: Supernet, architecture: Sequence[int]) -> Tensor:
    network = supernet.extract(architecture)
    output = run(network, torch.empty(1, *supernet.input_shape, device="meta"))
    if not isinstance(output, Tensor):
        raise UserError(f"the supernet gives a {type(output).__name__}, not a tensor of outputs")
    return output


def check_outputs(supernet: Supernet, classes: int, *, everywhere: bool = False) -> None:
    """Check that a network has one output for each class.

    Args:
        supernet (Supernet): supernet on any device.
        classes (int): number of classes.
        everywhere (bool): whether to check the networks of each option everywhere, which have all
            options between them, and not the first alone.

    Raises:
        UserError: it has others, or does not run.

    Example:
        >>> from torch import nn
        >>> from spos import OneOf
        >>> layer = OneOf({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3)})
        >>> check_outputs(Supernet(layer, (4,)), classes=2)
        Traceback (most recent call last):
        ...
        spos.UserError: the model gives outputs of shape [N, 3]; allowed for 2 classes: [N, 2]
    """
    meta, counts = on_meta(supernet), supernet.space.option_counts
    for option in range(max(counts) if everywhere else 1):
        architecture = [min(option, count - 1) for count in counts]
        _, *shape = _output(meta, architecture).shape
        if shape != [classes]:
            given = ", ".join(["N", *map(str, shape)])
            which = f" with the options {','.join(map(str, architecture))}" if option else ""
            raise UserError(
                f"the model gives outputs of shape [{given}]{which}; allowed for {classes} "
                f"classes: [N, {classes}]"
            )
