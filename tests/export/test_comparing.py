"""The comparison of an exported network with the trained one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spos import UserError
from spos.export.comparing import Reference, compare

COUNT = 100


def expected() -> Reference:
    random = torch.Generator().manual_seed(0)
    outputs = torch.randn(COUNT, 5, generator=random)
    pixels = torch.randint(256, (COUNT, 1, 2, 2), generator=random, dtype=torch.uint8)
    return Reference(pixels, outputs.argmax(1), outputs, torch.full((COUNT,), 1e-6), 400)


class Giving:
    """A network that gives outputs made before, in their order."""

    def __init__(self, outputs: Tensor) -> None:
        self.outputs = outputs

    def __call__(self, images: Tensor) -> Tensor:
        part, self.outputs = self.outputs[: len(images)], self.outputs[len(images) :]
        return part


def judged(outputs: Tensor, reference: Reference | None = None, **how: bool) -> dict[str, object]:
    settings = {"classifies": True, "quantised": False, **how}
    return compare(reference or expected(), Giving(outputs), **settings)


def test_rounding_is_reported_and_allowed():
    facts = judged(expected().outputs + 5e-6)
    assert facts["agreeing"] == facts["images"] == facts["correct"] == COUNT
    assert facts["of"] == 400 and facts["ties"] == facts["beyond_tolerance"] == 0
    assert facts["largest_difference"] == pytest.approx(5e-6, rel=0.1)
    assert facts["tolerance"] == pytest.approx(16e-6)


@pytest.mark.parametrize("wrong", [1e-4, float("nan"), float("inf")])
def test_a_difference_in_one_output_is_refused(wrong: float):
    outputs = expected().outputs.clone()
    outputs[70, 2] += wrong
    with pytest.raises(UserError, match="differs from the trained one by"):
        judged(outputs)
    with pytest.raises(UserError, match="differs from the trained one by"):
        judged(outputs, classifies=False)


def near_tie(gap: float) -> tuple[Reference, Tensor]:
    """Two outputs of an image so close that a small change turns them around."""
    reference = expected()
    reference.outputs[3] = torch.tensor([0.0, 1.0, 1.0 + gap, 0.0, 0.0])
    got = reference.outputs.clone()
    got[3, 1] = 1.0 + gap + 1e-6
    return reference, got


def test_a_tie_in_float32_is_reported():
    reference, got = near_tie(1e-6)
    facts = judged(got, reference)
    assert (facts["agreeing"], facts["ties"]) == (COUNT - 1, 1)


def test_another_class_is_refused():
    reference, got = near_tie(1e-5)
    with pytest.raises(UserError, match="1 of 100 images another class"):
        judged(got, reference)


def test_few_images_of_a_quantised_network_may_fall_to_another_level():
    outputs = expected().outputs.clone()
    outputs[:10] += 0.2
    assert judged(outputs, quantised=True)["beyond_tolerance"] == 10
    outputs[10] += 0.2
    with pytest.raises(UserError, match="differs from the trained one by"):
        judged(outputs, quantised=True)


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"outputs of shape \[100, 4\], the trained one \[100, 5\]"):
        judged(expected().outputs[:, :4])
