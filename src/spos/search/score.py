"""The score of a network over images, by a metric or by a function of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.search.recalibration import Loader

Batches = Iterable[tuple[Any, Tensor]]
#: A function of outputs and targets to the sum of a score over the images; higher is better.
Metric = Callable[[Any, Tensor], Any]
#: A function of a network and its batches to its score; higher is better.
Evaluate = Callable[[nn.Module, Batches], Any]


def are_correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Which images of a batch are classified correctly; none with an output that is NaN.

    Args:
        outputs (Tensor): scores of the classes, shape (batch, classes).
        targets (Tensor): classes, shape (batch,).

    Returns:
        Booleans, shape (batch,).

    Example:
        >>> are_correct(torch.tensor([[0.9, 0.1], [0.9, 0.1], [torch.nan, 0.1]]), torch.zeros(3))
        tensor([ True,  True, False])
    """
    # NaN counts as the largest: each image would be of the first class whose output is NaN.
    return (outputs.argmax(1) == targets) & ~outputs.isnan().any(1)


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count the images of a batch that are classified correctly.

    Args:
        outputs (Tensor): scores of the classes, shape (batch, classes).
        targets (Tensor): classes, shape (batch,).

    Returns:
        The count, a scalar.

    Example:
        >>> correct(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        tensor(1)
    """
    return are_correct(outputs, targets).sum()


def score(
    network: nn.Module,
    loader: Loader,
    metric: Metric = correct,
    evaluate: Evaluate | None = None,
    ends: Callable[[Any, Tensor], bool] | None = None,
) -> float:
    """Compute the mean score of a network over images, such as its top-1 accuracy in [0, 1].

    Args:
        network (nn.Module): network on its device; left in evaluation mode.
        loader (Loader): function that returns batches of images and targets.
        metric (Metric): function of outputs and targets to the sum of the score over the batch.
        evaluate (Evaluate | None): function of a network and its batches to its score, in place of
            the metric.
        ends (Callable | None): function of the outputs and targets of each batch to whether the
            score is that of the images so far.

    Raises:
        UserError: the metric, or the evaluate function, does not return a number, or there are no
            images.
    """
    network.eval()
    if evaluate is not None:
        with torch.no_grad():
            value = evaluate(network, Passes(loader))
        return number(value, "evaluate function", "the score of the network")
    total, images = 0.0, 0
    with torch.inference_mode():
        for inputs, targets in loader():
            outputs = network(inputs)
            total += number(metric(outputs, targets), "metric", "the sum over the batch")
            images += len(targets)
            if ends is not None and ends(outputs, targets):
                break
    if not images:
        raise UserError(
            "no images to score a network on: the function of the validation images is called for "
            "every network, and must start from the first image each time"
        )
    return total / images


def number(value: Any, giver: str, meaning: str) -> float:
    """Convert the return value of a user's function to a number.

    Args:
        value (Any): return value of the function.
        giver (str): name of the function in error messages, such as ``"metric"``.
        meaning (str): description of the number in error messages.

    Raises:
        UserError: the value is not a single number.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        shape = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else None
        raise UserError(
            f"the {giver} returned {shape or f'a {type(value).__name__}'}: it must return one "
            f"number ({meaning})"
        ) from None


class Passes:
    """The batches of a loader as an iterable that can be iterated over several times.

    Args:
        loader (Loader): function that returns the batches.

    Example:
        >>> batches = Passes(lambda: [(torch.zeros(2), torch.zeros(2))])
        >>> len(list(batches)), len(list(batches))
        (1, 1)
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        return iter(self._loader())
