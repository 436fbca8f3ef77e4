"""Whether an exported network says what the trained one says, on the images of the run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.data import TensorImages, evaluation_batches
from spos.export.trained import Trained

#: The most images that are compared, evenly spread over the test images.
MOST = 1000
#: Images at a time.
BATCH = 64
#: Another order of the same sums errs as much as the one of torch does, not more: the difference
#: of the two is some times the error of the one.
FACTOR = 16
#: The share of the images whose error in float32 decides what is allowed; and of those of a
#: network that rounds its activations, on which a value may fall to the other side of a level.
USUAL, BEYOND = 0.95, 0.1


@dataclass(frozen=True)
class Reference:
    """What the trained network says of images.

    Args:
        pixels: uint8 [n, C, S, S].
        labels: the targets, [n].
        outputs: of the network in float32, as evaluation computes them, [n, ...].
        error: the difference of these from float64, the largest of each image, [n].
        of: the number of test images that these were taken from.
    """

    pixels: Tensor
    labels: Tensor
    outputs: Tensor
    error: Tensor
    of: int

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding in float32 explains."""
        usual = float(torch.quantile(self.error, USUAL))
        # One rounding of the largest output is there even where the sums happen to be exact.
        least = float(self.outputs.abs().max()) * torch.finfo(torch.float32).eps
        return FACTOR * max(usual, least)


def reference(trained: Trained) -> Reference:
    """Run the trained network on up to 1,000 test images, in float32 and in float64.

    Raises:
        UserError: the network gives something else than one tensor, or has no form in float64.
    """
    count = len(trained.test)
    chosen = np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64)
    pixels = trained.test.pixels(chosen).cpu()
    labels = trained.test.labels[torch.from_numpy(chosen)]
    outputs = _outputs(trained, trained.network, pixels, labels, torch.float32)
    if outputs.shape[:1] != pixels.shape[:1] or not outputs.isfinite().all():
        raise UserError(
            f"the trained network gives outputs of shape {list(outputs.shape)} for {len(pixels)} "
            "images, or infinite ones: it cannot be exported"
        )
    exact = copy.deepcopy(trained.network).double()
    try:
        precise = _outputs(trained, exact, pixels, labels, torch.float64)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the network does not run in float64 ({reason}), by which an export is judged"
        ) from error
    difference = (outputs.double() - precise).abs().flatten(1).amax(1)
    return Reference(pixels, labels, outputs, difference, count)


def _outputs(
    trained: Trained, network: nn.Module, pixels: Tensor, labels: Tensor, dtype: torch.dtype
) -> Tensor:
    parts: list[Tensor] = []
    # The same batches as in the test of the run, in its memory layout.
    batches = evaluation_batches(
        trained.data, TensorImages(pixels, labels), batch_size=BATCH, device="cpu"
    )
    with torch.no_grad():
        for inputs, _ in trained.context.laid_out(batches):
            part = network(inputs.to(dtype))
            if not isinstance(part, Tensor):
                raise UserError(
                    f"the network gives a {type(part).__name__}: one that gives a tensor can be "
                    "exported"
                )
            parts.append(part)
    return torch.cat(parts)


def compare(
    expected: Reference, run: Callable[[Tensor], Tensor], *, classifies: bool, quantised: bool
) -> dict[str, Any]:
    """Compare an exported network with the trained one.

    Every image has to get the same class, and outputs within the rounding of float32. In a network
    that rounds its activations, a value on the boundary of two levels may fall to either side, so
    that the outputs of that image differ by a level: up to a tenth of the images may, and are
    counted apart.

    Args:
        expected: what the trained network says.
        run: the exported network.
        classifies: whether the largest output is the class.
        quantised: whether the network rounds its activations.

    Returns:
        What was compared and found, for the facts of the export.

    Raises:
        UserError: they differ by more.
    """
    got = torch.cat([run(part) for part in torch.split(expected.pixels, BATCH)])
    count = len(expected.outputs)
    if got.shape != expected.outputs.shape:
        raise UserError(
            f"the exported network gives {list(got.shape)}, the trained one "
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
    if int(beyond.sum()) > (count * BEYOND if quantised else 0):
        raise UserError(
            f"the exported network differs from the trained one by {float(difference.max()):.2g} "
            f"on {count} images, where rounding explains {allowed:.2g}: no file is written"
        )
    if not classifies:
        return facts
    classes, others = expected.outputs.argmax(1), got.argmax(1)
    differs = classes != others
    rows = torch.arange(count)
    gap = expected.outputs[rows, classes] - expected.outputs[rows, others]
    # Two outputs no further apart than float32 errs have no order in float32.
    tied = differs & ((gap <= 2 * expected.error) | (beyond if quantised else False))
    wrong = int((differs & ~tied).sum())
    if wrong:
        raise UserError(
            f"the exported network gives {wrong} of {count} images another class than the trained "
            "one: no file is written"
        )
    facts["agreeing"] = count - int(differs.sum())
    facts["ties"] = int(tied.sum())
    facts["correct"] = int((others == expected.labels).sum())
    return facts
