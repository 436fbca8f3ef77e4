"""Comparison of an exported network with the trained one, on test images of the run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.data import Images, TensorImages, evaluation_batches
from spos.export.metadata import reason
from spos.export.trained import Trained

COMPARED_IMAGES = 1000
"""Largest number of images that are compared, evenly spread over the test images."""
BATCH = 64
"""Images that are run at a time."""
ERROR_FACTOR = 16
"""Allowed difference over the error of float32: another order of the same sums has a like error."""
ERROR_QUANTILE = 0.95
"""Share of the images whose error of float32 stays below the one that is allowed."""
LEVEL_CHANGES = 0.1
"""Share of the images of a quantised network on which a value may be rounded to another level."""


@dataclass(frozen=True)
class Reference:
    """Outputs of the trained network.

    Args:
        pixels (Tensor): images, uint8, shape (n, C, S, S).
        labels (Tensor): targets, shape (n,).
        outputs (Tensor): outputs in float32, as in evaluation, shape (n, ...).
        error (Tensor): largest difference of each image's outputs from float64, shape (n,).
        of (int): number of test images that these were taken from.
    """

    pixels: Tensor
    labels: Tensor
    outputs: Tensor
    error: Tensor
    of: int

    @property
    def tolerance(self) -> float:
        """Largest difference that float32 rounding explains."""
        usual = float(torch.quantile(self.error, ERROR_QUANTILE))
        # The largest output is rounded once even where sums happen to be exact.
        least = float(self.outputs.abs().max()) * torch.finfo(torch.float32).eps
        return ERROR_FACTOR * max(usual, least)


def reference(trained: Trained) -> Reference:
    """Run the trained network on up to 1,000 test images, in float32 and in float64.

    Raises:
        UserError: the network does not return one finite tensor, or does not run in float64.
    """
    count = len(trained.test)
    chosen = np.linspace(0, count - 1, min(count, COMPARED_IMAGES)).round().astype(np.int64)
    pixels = trained.test.pixels(chosen).cpu()
    labels = trained.test.labels[torch.from_numpy(chosen)]
    images = TensorImages(pixels, labels)
    outputs = _outputs(trained, trained.network, images, torch.float32)
    if outputs.shape[:1] != pixels.shape[:1] or not outputs.isfinite().all():
        raise UserError(
            f"the trained network returns outputs of shape {list(outputs.shape)} for {len(pixels)} "
            "images, or non-finite ones: it cannot be exported"
        )
    exact = copy.deepcopy(trained.network).double()
    try:
        precise = _outputs(trained, exact, images, torch.float64)
    except RuntimeError as error:
        raise UserError(
            f"the network does not run in float64 ({reason(error)}), which an export is compared "
            "with"
        ) from error
    difference = (outputs.double() - precise).abs().flatten(1).amax(1)
    return Reference(pixels, labels, outputs, difference, count)


def _outputs(trained: Trained, network: nn.Module, images: Images, dtype: torch.dtype) -> Tensor:
    parts: list[Tensor] = []
    # The same batches as in the test of the run, in its memory layout.
    batches = evaluation_batches(trained.data, images, batch_size=BATCH, device="cpu")
    with torch.no_grad():
        for inputs, _ in trained.context.in_memory_format(batches):
            part = network(inputs.to(dtype))
            if not isinstance(part, Tensor):
                raise UserError(
                    f"the network returns a {type(part).__name__}; allowed: one that returns a "
                    "tensor"
                )
            parts.append(part)
    return torch.cat(parts)


def compare(
    expected: Reference, run: Callable[[Tensor], Tensor], *, classifies: bool, quantised: bool
) -> dict[str, Any]:
    """Compare an exported network with the trained one.

    Every image must get the same class, and outputs within float32 rounding. In a network that
    rounds its activations, a value on the boundary of two levels may be rounded to either, so that
    the outputs of that image differ by a level: up to a tenth of the images may, and are counted
    separately.

    Args:
        expected (Reference): outputs of the trained network.
        run (Callable): the exported network.
        classifies (bool): whether the largest output is the class.
        quantised (bool): whether the network rounds its activations.

    Returns:
        dict: findings, for the facts of the export.

    Raises:
        UserError: they differ by more.
    """
    got = torch.cat([run(part) for part in torch.split(expected.pixels, BATCH)])
    count = len(expected.outputs)
    if got.shape != expected.outputs.shape:
        raise UserError(
            f"the exported network returns outputs of shape {list(got.shape)}, the trained one "
            f"{list(expected.outputs.shape)}"
        )
    difference = (got - expected.outputs).abs().flatten(1).amax(1).nan_to_num(nan=float("inf"))
    allowed = expected.tolerance
    beyond = difference > allowed
    facts: dict[str, Any] = {
        "images": count,
        "of": expected.of,
        "largest_difference": float(difference.max()),
        "tolerance": allowed,
        "largest_output": float(expected.outputs.abs().max()),
        "beyond_tolerance": int(beyond.sum()),
        "agreeing": None,
        "ties": None,
    }
    if int(beyond.sum()) > (count * LEVEL_CHANGES if quantised else 0):
        raise UserError(
            f"the exported network differs from the trained one by {float(difference.max()):.2g} "
            f"on {count} images, rounding explains {allowed:.2g}: no file is written"
        )
    if not classifies:
        return facts
    classes, others = expected.outputs.argmax(1), got.argmax(1)
    differs = classes != others
    rows = torch.arange(count)
    gap = expected.outputs[rows, classes] - expected.outputs[rows, others]
    # Two outputs whose difference is below the error of float32 have no order.
    tied = differs & ((gap <= 2 * expected.error) | (beyond if quantised else False))
    wrong = int((differs & ~tied).sum())
    if wrong:
        raise UserError(
            f"the exported network assigns {wrong} of {count} images another class than the "
            "trained one: no file is written"
        )
    facts["agreeing"] = count - int(differs.sum())
    facts["ties"] = int(tied.sum())
    facts["correct"] = int((others == expected.labels).sum())
    return facts
