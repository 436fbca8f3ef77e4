"""How the weights of options are drawn, and what of it reaches theta."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from spos import OneOf, Supernet
from spos.training import METHODS
from spos.training.recipe import DifferentiableSettings
from spos.training.theta import Moment, Theta, set_mixture

DRAWS = {name: METHODS[name].draw for name in ("darts", "fbnet", "proxylessnas")}
binary_gates = DRAWS["proxylessnas"]
gumbel_softmax = DRAWS["fbnet"]
softmax = DRAWS["darts"]
THETAS = st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=7).map(torch.tensor)
OF_THETA, OF_WEIGHTS = Moment(1.0, of_theta=True), Moment(1.0, of_theta=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(theta=THETAS, seed=st.integers(0, 99), algorithm=st.sampled_from(sorted(DRAWS)))
def test_probabilities_add_up_to_one_for_every_algorithm(theta, seed, algorithm):
    for moment in (OF_THETA, OF_WEIGHTS):
        drawn = DRAWS[algorithm](theta, moment, seeded(seed))
        assert float(drawn.probabilities.sum()) == pytest.approx(1, abs=1e-5)
        assert float(sum(weight for _, weight in drawn.weights)) == pytest.approx(1, abs=1e-5)


# FBNet


def test_at_a_low_temperature_gumbel_softmax_draws_options_as_softmax_says():
    theta = torch.tensor([1.0, 0.0, -1.0, 0.5])
    random = seeded()
    counts = np.zeros(4)
    for _ in range(4000):
        drawn = gumbel_softmax(theta, Moment(0.001, of_theta=True), random)
        weights = torch.stack([weight for _, weight in drawn.weights])
        counts[int(weights.argmax())] += 1
        assert weights.max() > 0.5
    expected = torch.softmax(theta.double(), 0).numpy() * 4000
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_at_a_high_temperature_gumbel_softmax_is_near_the_mean():
    drawn = gumbel_softmax(torch.zeros(4), Moment(1000.0, of_theta=True), seeded())
    torch.testing.assert_close(drawn.probabilities, torch.full((4,), 0.25), atol=0.01, rtol=0)


def test_gumbel_softmax_passes_gradients_to_every_theta():
    theta = torch.zeros(3, requires_grad=True)
    drawn = gumbel_softmax(theta, Moment(5.0, of_theta=True), seeded())
    drawn.weights[1][1].backward()
    weights = drawn.probabilities.detach()
    by_hand = weights[1] * (torch.tensor([0.0, 1.0, 0.0]) - weights) / 5
    torch.testing.assert_close(theta.grad, by_hand)


# DARTS


def test_the_gradient_of_theta_through_a_mixed_layer_is_that_of_finite_differences():
    torch.manual_seed(0)
    layer = OneOf({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3), "skip": nn.Identity()}).double()
    x = torch.randn(4, 3, dtype=torch.float64)

    def loss(theta: Tensor) -> Tensor:
        set_mixture(layer, softmax(theta, OF_THETA, seeded()).weights)
        return layer(x).square().sum()

    theta = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, [theta])


# ProxylessNAS


def test_a_weight_step_takes_one_path_as_often_as_softmax_says():
    theta = torch.tensor([1.0, 0.0, -1.0])
    random = seeded()
    counts = np.zeros(3)
    for _ in range(3000):
        ((index, weight),) = binary_gates(theta, OF_WEIGHTS, random).weights
        assert float(weight) == 1
        counts[index] += 1
    expected = torch.softmax(theta.double(), 0).numpy() * 3000
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_a_theta_step_holds_two_options_and_opens_one_of_them():
    theta = torch.tensor([1.0, 0.0, -1.0])
    p = torch.softmax(theta.double(), 0).numpy()
    random = seeded()
    pairs, opened = np.zeros(3), np.zeros(3)
    for _ in range(3000):
        drawn = binary_gates(theta, OF_THETA, random)
        indices, gates = zip(*drawn.weights, strict=True)
        assert sorted(float(gate) for gate in gates) == [0, 1]
        pairs[3 - sum(indices)] += 1
        opened[indices[int(torch.stack(gates).argmax())]] += 1
    without = np.array(
        [
            sum(p[i] * p[j] / (1 - p[i]) for i, j in ((a, b), (b, a)))
            for a, b in ((1, 2), (0, 2), (0, 1))
        ]
    )
    assert stats.chisquare(pairs, without * 3000).pvalue > 0.001
    of_two = np.array(
        [sum(without[k] * p[i] / (1 - p[k]) for k in range(3) if k != i) for i in range(3)]
    )
    assert stats.chisquare(opened, of_two * 3000).pvalue > 0.001


@given(theta=THETAS, seed=st.integers(0, 99))
def test_the_gradient_of_the_gates_is_the_papers(theta, seed):
    torch.manual_seed(seed)
    theta = theta.clone().requires_grad_()
    layer = OneOf({str(n): nn.Linear(3, 3) for n in range(len(theta))})
    x, upstream = torch.randn(2, 3), torch.randn(2, 3)
    drawn = binary_gates(theta, OF_THETA, seeded(seed))
    set_mixture(layer, drawn.weights)
    layer(x).backward(upstream)
    indices = [index for index, _ in drawn.weights]
    # Of each gate: the gradient of the output times what the option gives.
    gates = torch.stack([(upstream * layer.options[i](x)).sum() for i in indices]).detach()
    p = torch.softmax(theta.detach()[indices], 0)
    by_hand = torch.zeros_like(theta)
    for place, index in enumerate(indices):
        for other in range(2):
            by_hand[index] += gates[other] * p[other] * (float(place == other) - p[place])
    torch.testing.assert_close(theta.grad, by_hand, atol=1e-5, rtol=1e-4)


@given(theta=THETAS, seed=st.integers(0, 99))
def test_the_mean_cost_moves_two_thetas_alone_and_against_each_other(theta, seed):
    theta = theta.clone().requires_grad_()
    drawn = binary_gates(theta, OF_THETA, seeded(seed))
    torch.testing.assert_close(drawn.probabilities.detach(), torch.softmax(theta.detach(), 0))
    (drawn.probabilities @ torch.arange(1.0, len(theta) + 1)).backward()
    assert bool((theta.grad[~drawn.moved] == 0).all())
    assert float(theta.grad.sum()) == pytest.approx(0, abs=1e-5)


@given(values=THETAS, seed=st.integers(0, 99), rate=st.floats(0.01, 1))
def test_after_a_step_the_two_have_the_probability_together_that_they_had(values, seed, rate):
    options = {str(n): nn.Identity() for n in range(len(values))}
    supernet = Supernet(nn.Sequential(OneOf(options)), (1,))
    theta = Theta(supernet, DifferentiableSettings(learning_rate=rate, weight_decay=0.1))
    theta.values[0].data.copy_(values)
    before = theta.probabilities()[0]
    drawn = binary_gates(theta.values[0], OF_THETA, seeded(seed))
    # What the softmax of two leaves: gradients against each other.
    first, second = torch.nonzero(drawn.moved).flatten().tolist()
    theta.values[0].grad = torch.zeros(len(values))
    theta.values[0].grad[first], theta.values[0].grad[second] = 1.5, -1.5
    theta.step([drawn.moved])
    after = theta.probabilities()[0]
    assert torch.equal(theta.values[0].detach()[~drawn.moved], values[~drawn.moved])
    assert not torch.equal(theta.values[0].detach()[drawn.moved], values[drawn.moved])
    pair = [p[drawn.moved].sum() for p in (before, after)]
    torch.testing.assert_close(pair[0], pair[1], atol=1e-5, rtol=1e-4)


def test_a_choice_of_one_option_is_taken_by_every_algorithm():
    for draw in DRAWS.values():
        for moment in (OF_THETA, OF_WEIGHTS):
            ((index, weight),) = draw(torch.zeros(1), moment, seeded()).weights
            assert (index, float(weight)) == (0, 1)
