"""The outputs of the networks of a supernet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    meta = on_meta(supernet)
    for number, architecture in enumerate(_everywhere(supernet)):
        if number and not everywhere:
            break
        _, *shape = _output(meta, architecture).shape
        if shape != [classes]:
            given = ", ".join(["N", *map(str, shape)])
            which = f" with the options {','.join(map(str, architecture))}" if number else ""
            raise UserError(
                f"the model gives outputs of shape [{given}]{which}; allowed for {classes} "
                f"classes: [N, {classes}]"
            )


def check_repeats(supernet: Supernet) -> None:
    """Check that networks compute the same each time in evaluation.

    The scores of candidates and the accuracy of what is found would be those of chance otherwise.

    Args:
        supernet (Supernet): supernet with weights, on the CPU.

    Raises:
        UserError: one does not.

    Example:
        >>> from torch import nn
        >>> from spos import OneOf
        >>> layer = OneOf({"noise": nn.Dropout(), "none": nn.Identity()})
        >>> check_repeats(Supernet(layer, (4,)))
    """
    inputs = torch.rand(2, *supernet.input_shape, generator=torch.Generator().manual_seed(0))
    for architecture in _everywhere(supernet):
        network = supernet.extract(architecture).eval()
        with torch.no_grad():
            one, other = network(inputs), network(inputs)
        # Sums of several threads may differ in their last digits.
        if isinstance(one, Tensor) and not torch.allclose(one, other, 1e-3, 1e-3, equal_nan=True):
            raise UserError(
                "the model computes something else each time in evaluation: use modules such as "
                "nn.Dropout, which know when they are trained"
            )


def _everywhere(supernet: Supernet) -> Iterator[list[int]]:
    """The architectures of one option everywhere, which have all options between them."""
    counts = supernet.space.option_counts
    for option in range(max(counts)):
        yield [min(option, count - 1) for count in counts]
