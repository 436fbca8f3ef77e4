"""Modes of torch that a caller has set."""

from __future__ import annotations

import torch

from spos._util.modes import usual_modes


def test_modes_are_set_aside_and_restored() -> None:
    @usual_modes()
    def inside() -> tuple[object, ...]:
        linear = torch.nn.Linear(2, 2)
        output = linear(torch.rand(1, 2))
        return output.dtype, output.device.type, output.requires_grad, output.is_inference()

    torch.manual_seed(1)
    drawn = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
            assert inside() == (torch.float32, "cpu", True, False)
            assert torch.is_autocast_enabled("cpu") and torch.is_inference_mode_enabled()
            assert torch.empty(1).device.type == "meta" and torch.empty(1).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), drawn)
