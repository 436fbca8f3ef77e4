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
        everywhere (bool): whether to check one network for each option, which has that option in
            every choice, instead of the first network alone.

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
    meta, (first, *others) = on_meta(supernet), _everywhere(supernet)
    for architecture in (first, *(others if everywhere else ())):
        _, *shape = _output(meta, architecture).shape
        if shape != [classes]:
            given = ", ".join(["N", *map(str, shape)])
            which = (
                f" with the options {','.join(map(str, architecture))}" if any(architecture) else ""
            )
            raise UserError(
                f"the model gives outputs of shape [{given}]{which}; allowed for {classes} "
                f"classes: [N, {classes}]"
            )


def check_repeats(supernet: Supernet) -> None:
    """Check that the output of a network is the same in each evaluation.

    Otherwise scores and accuracies would be a matter of chance.

    Args:
        supernet (Supernet): supernet with weights, on the CPU.

    Raises:
        UserError: it is not.

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
                "the model's output differs from one evaluation to the next: use modules such as "
                "nn.Dropout, which do nothing in evaluation"
            )


def _everywhere(supernet: Supernet) -> Iterator[list[int]]:
    """Architectures with the same option in every choice; together they have all options."""
    counts = supernet.space.option_counts
    for option in range(max(counts)):
        yield [min(option, count - 1) for count in counts]
