"""Quantisers against the definitions of their papers, forward and backward."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spos import UserError
from spos.nn.quantisers import (
    ACTIVATIONS,
    MIN_STEP,
    WEIGHTS,
    ClippedActivation,
    DoReFaWeight,
    LearnedStepActivation,
    LearnedStepWeight,
    check_quantisers,
)
from spos.training.loop import make_optimizer
from spos.training.recipe import Recipe

ALL_BITS = range(1, 9)
bits_drawn = st.integers(1, 8)
seeds = st.integers(0, 10**6)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def set_scalar(parameter: nn.Parameter, value: float) -> None:
    nn.init.constant_(parameter, value)


def gradients(quantiser: nn.Module, x: Tensor, scalar: str | None) -> tuple[Tensor, Tensor | None]:
    """Of a weighted sum of the output: with respect to the input, and to the learned scalar."""
    x = x.clone().requires_grad_()
    (quantiser(x) * torch.arange(1.0, x.numel() + 1).view(x.shape)).sum().backward()
    assert x.grad is not None
    return x.grad, None if scalar is None else quantiser.get_parameter(scalar).grad


@given(bits=bits_drawn, seed=seeds)
def test_dorefa_is_its_definition(bits, seed):
    weight = normal(seed, 4, 3, 2, 2) * 0.3
    values = weight.double().numpy()
    if bits == 1:
        expected = np.where(values >= 0, 1, -1) * np.abs(values).mean()
    else:
        bent, levels = np.tanh(values), 2**bits - 1
        unit = bent / (2 * np.abs(bent).max()) + 0.5
        # Where single precision may round to the other side of a half, either is right.
        sure = np.abs(unit * levels % 1 - 0.5) > 1e-4
        expected = np.where(sure, 2 * np.round(unit * levels) / levels - 1, np.nan)
    found = DoReFaWeight(bits)(weight).numpy()
    sure = ~np.isnan(expected)
    assert np.allclose(found[sure], expected[sure], atol=1e-6)
    assert len(np.unique(found)) <= 2**bits


def test_dorefa_by_hand():
    weight = torch.tensor([-1.0, -0.1, 0.3, 1.0])
    # tanh: -0.7616, -0.0997, 0.2913, 0.7616; as shares of the range: 0, 0.4346, 0.6913, 1.
    third = 1 / 3
    assert torch.allclose(DoReFaWeight(2)(weight), torch.tensor([-1.0, -third, third, 1.0]))
    assert torch.allclose(DoReFaWeight(1)(weight), torch.tensor([-0.6, -0.6, 0.6, 0.6]))


def test_dorefa_passes_the_gradient_through_the_rounding_alone():
    weight = torch.tensor([-1.0, -0.1, 0.3, 0.9])
    found, _ = gradients(DoReFaWeight(3), weight, None)
    smooth = weight.clone().requires_grad_()
    bent = smooth.tanh()
    (bent / bent.abs().max() * torch.arange(1.0, 5.0)).sum().backward()
    assert torch.allclose(found, smooth.grad)
    one_bit, _ = gradients(DoReFaWeight(1), weight, None)
    assert torch.equal(one_bit, torch.arange(1.0, 5.0))


def learned_step(values: np.ndarray, step: float, least: int, most: int) -> np.ndarray:
    return np.round(np.clip(values / step, least, most)) * step


@given(bits=bits_drawn, seed=seeds, step=st.sampled_from([2.0**-k for k in range(1, 6)]))
def test_learned_steps_are_their_definition(bits, seed, step):
    weight, x = normal(seed, 4, 3, 2, 2), normal(seed + 1, 2, 3, 4, 4)
    of_weights, of_inputs = LearnedStepWeight(bits, weight), LearnedStepActivation(bits)
    set_scalar(of_weights.step, step)
    set_scalar(of_inputs.step, step)
    if bits == 1:
        expected = np.where(weight.numpy() >= 0, step, -step)
    else:
        expected = learned_step(weight.numpy(), step, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    # Steps are powers of two, so that everything is exact.
    assert np.array_equal(of_weights(weight).detach().numpy(), expected)
    expected = learned_step(x.numpy(), step, 0, 2**bits - 1)
    assert np.array_equal(of_inputs(x).detach().numpy(), expected)


@pytest.mark.parametrize("bits", ALL_BITS)
def test_learned_steps_have_the_gradients_of_the_paper(bits):
    step = 0.25
    weight, x = normal(bits, 4, 3, 2, 2), normal(bits, 2, 3, 4, 4)
    of_weights, of_inputs = LearnedStepWeight(bits, weight), LearnedStepActivation(bits)
    signed = (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for quantiser, value, (least, most), count in (
        (of_weights, weight, signed, weight.numel()),
        (of_inputs, x, (0, 2**bits - 1), x[0].numel()),
    ):
        set_scalar(quantiser.step, step)
        found, of_step = gradients(quantiser, value, "step")
        ratio = value / step
        upstream = torch.arange(1.0, value.numel() + 1).view(value.shape)
        inside = (ratio > least) & (ratio < most)
        assert torch.equal(found, torch.where(inside, upstream, 0.0))
        level = ratio.clamp(least, most).round()
        if bits == 1 and quantiser is of_weights:
            level = torch.where(value >= 0, 1.0, -1.0)
        slope = torch.where(inside, level - ratio, level)
        expected = (slope * upstream).sum() / math.sqrt(count * most)
        assert torch.allclose(of_step, expected, rtol=1e-4, atol=1e-3)


def test_a_learned_step_by_hand():
    quantiser = LearnedStepWeight(2, torch.tensor([-0.5, 0.5]))
    # Twice the mean of 0.5 over the root of the highest level, 1.
    assert quantiser.step.item() == 1
    found, of_step = gradients(quantiser, torch.tensor([-3.0, -0.75, 0.25, 2.0]), "step")
    assert found.tolist() == [0, 2, 3, 0]
    # -2 * 1 below; (-1 + 0.75) * 2 and (0 - 0.25) * 3 inside; 1 * 4 above; over sqrt(4 * 1).
    assert of_step.item() == pytest.approx((-2 - 0.5 - 0.75 + 4) / 2)


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_step_of_weights_begins_as_in_the_paper(bits):
    weight = normal(0, 8, 4, 3, 3)
    expected = 2 * weight.abs().mean() / math.sqrt(2 ** (bits - 1) - 1)
    assert LearnedStepWeight(bits, weight).step.item() == pytest.approx(expected.item())


def test_the_step_of_one_bit_begins_at_the_least_squares_fit():
    weight = normal(0, 8, 4, 3, 3)
    quantiser = LearnedStepWeight(1, weight)

    def error(step: float) -> float:
        set_scalar(quantiser.step, step)
        return (quantiser(weight) - weight).square().sum().item()

    first = quantiser.step.item()
    assert error(first) < min(error(first * 0.9), error(first * 1.1))


@pytest.mark.parametrize("bits", ALL_BITS)
def test_a_step_of_activations_begins_at_the_rule_for_rectified_normal_inputs(bits):
    x = normal(0, 16, 64, 16, 16).relu()
    expected = 2 * x.mean().item() / math.sqrt(2**bits - 1)
    assert LearnedStepActivation(bits).step.item() == pytest.approx(expected, rel=0.01)
    clip = ClippedActivation(bits).clip.item()
    assert clip == pytest.approx(expected * (2**bits - 1), rel=0.01)


@given(bits=bits_drawn, seed=seeds, clip=st.sampled_from([0.5, 1.0, 3.0]))
def test_pact_is_its_definition(bits, seed, clip):
    x, levels = normal(seed, 2, 3, 4, 4), 2**bits - 1
    quantiser = ClippedActivation(bits)
    set_scalar(quantiser.clip, clip)
    ratio = np.clip(x.double().numpy(), 0, clip) * levels / clip
    sure = np.abs(ratio % 1 - 0.5) > 1e-4
    found = quantiser(x).detach().numpy()
    assert np.allclose(found[sure], (np.round(ratio) * clip / levels)[sure], atol=1e-6)


def test_pact_has_the_gradients_of_the_paper():
    quantiser = ClippedActivation(2)
    set_scalar(quantiser.clip, 1.0)
    found, of_clip = gradients(quantiser, torch.tensor([[-1.0, 0.2, 0.9, 1.5, 8.0]]), "clip")
    assert found.tolist() == [[0, 2, 3, 0, 0]]
    assert of_clip.item() == 4 + 5


@pytest.mark.parametrize("value", [0.0, -0.3])
def test_a_step_that_is_not_above_0_gives_numbers_and_may_come_back(value):
    x = normal(0, 2, 3, 4, 4)
    for quantiser, scalar in (
        (LearnedStepWeight(3, x), "step"),
        (LearnedStepActivation(3), "step"),
        (ClippedActivation(3), "clip"),
    ):
        set_scalar(quantiser.get_parameter(scalar), value)
        output = quantiser(x)
        assert output.isfinite().all() and output.abs().max() <= 8 * MIN_STEP
        output[x > 0].sum().backward()
        gradient = quantiser.get_parameter(scalar).grad
        assert gradient is not None and gradient > 0


def test_weights_that_are_all_0_give_numbers():
    for make in WEIGHTS.values():
        for bits in ALL_BITS:
            weight = torch.zeros(2, 3, requires_grad=True)
            output = make(bits, weight)(weight)
            output.sum().backward()
            assert output.isfinite().all() and weight.grad.isfinite().all()


@pytest.mark.parametrize("bits", [0, 9, -1, 2.0, True, "2"])
def test_bits_out_of_range_are_refused_in_one_line(bits):
    weight = torch.ones(2, 2)
    makers = [lambda bits, make=make: make(bits, weight) for make in WEIGHTS.values()]
    for make in (*makers, *ACTIVATIONS.values()):
        with pytest.raises(UserError, match="bits: a quantiser has 1 to 8"):
            make(bits)


def test_an_unknown_quantiser_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown weight quantiser 'dorefaa': did you mean 'doref"):
        check_quantisers("dorefaa", "lsq")
    with pytest.raises(UserError, match=r"unknown activation quantiser 'dorefa': .*pact, lsq"):
        check_quantisers("lsq", "dorefa")


def test_steps_are_not_decayed_and_clips_are():
    model = nn.ModuleList([LearnedStepWeight(2, torch.ones(2)), LearnedStepActivation(2)])
    clipped = ClippedActivation(2)
    recipe = Recipe(steps=1, batch_size=1, learning_rate=0.1, weight_decay=0.01)
    decayed, free = make_optimizer(nn.ModuleList([model, clipped]), recipe).param_groups
    assert decayed["weight_decay"] == 0.01 and decayed["params"] == [clipped.clip]
    assert free["weight_decay"] == 0 and len(free["params"]) == 2
