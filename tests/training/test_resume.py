"""Trainings that were killed, interrupted or poisoned, and go on."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn
from trainings import (
    RECIPE,
    Batches,
    KilledError,
    Log,
    batches,
    dropped,
    interrupt,
    kill,
    same,
)

from spos import UserError
from spos.training import Checkpoints, Recipe, train
from spos.training.checkpoint import load_model
from spos.training.loop import TrainingEnd


def finished(fit: Callable[..., TrainingEnd], make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    model = make()
    assert fit(model, folder="whole") == TrainingEnd(8, pytest.approx(0, abs=60), interrupted=False)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("step", [0, 1, 4, 7])
@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_a_training_that_was_killed_ends_like_one_that_was_not(step, save_every, fit):
    expected = finished(fit, dropped)
    with pytest.raises(KilledError):
        fit(dropped(), load=batches(at={step: kill}), save_every=save_every)
    # The weights that the next process begins with do not matter, if there is a checkpoint.
    log = Log()
    resumed = dropped(1 if step and not save_every else 0)
    outcome = fit(resumed, observer=log)
    assert (outcome.step, outcome.interrupted) == (8, False)
    assert same(resumed.state_dict(), expected)
    assert [loaded.step for loaded in log.loaded] == ([step] if step and not save_every else [])


def test_an_interrupted_training_saves_and_ends_like_one_that_was_not(fit, states):
    expected = finished(fit, dropped)
    outcome = fit(dropped(), load=batches(at={4: interrupt}), save_every=1e9)
    assert (outcome.step, outcome.interrupted) == (5, True)
    outcome = fit(dropped(1), load=batches(at={6: interrupt}), save_every=1e9)
    assert (outcome.step, outcome.interrupted) == (7, True)
    resumed = dropped(2)
    outcome = fit(resumed, save_every=1e9)
    assert (outcome.step, outcome.interrupted) == (8, False)
    assert same(resumed.state_dict(), expected)
    assert list(states()) == [8, 7, 5]


def test_an_interrupt_in_the_last_step_acts_when_all_is_saved(fit, states):
    with pytest.raises(KeyboardInterrupt):
        fit(dropped(), load=batches(at={7: interrupt}), save_every=1e9)
    assert list(states()) == [8]
    outcome = fit(dropped(1))
    assert (outcome.step, outcome.interrupted) == (8, False)


def test_a_second_interrupt_acts_at_once_and_the_handlers_are_put_back(fit, monkeypatch):
    # Of a second later.
    monkeypatch.setattr("spos._util.interrupt.BURST", 0.0)
    before = signal.getsignal(signal.SIGINT)
    twice = {3: lambda: (interrupt(), interrupt())}
    with pytest.raises(KeyboardInterrupt):
        fit(dropped(), load=batches(at=twice))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_training_is_not_trained_again(fit):
    model = dropped()
    fit(model)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    again = dropped(1)
    outcome = fit(again, load=batches(at=dict.fromkeys(range(8), kill)))
    assert (outcome.step, outcome.interrupted) == (8, False)
    assert same(again.state_dict(), expected)


def test_the_time_of_all_sittings_is_added_up(fit):
    first = fit(dropped(), load=batches(at={2: interrupt}))
    second = fit(dropped())
    assert second.seconds > first.seconds > 0


@pytest.mark.parametrize("nesterov", [True, False])
def test_a_plain_network_resumes_exactly_with_tied_weights(nesterov, fit):
    def tied() -> nn.Module:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(192, 10), nn.Linear(10, 10), nn.Linear(10, 10)
        )
        model[3].weight = model[2].weight
        return model

    recipe = replace(RECIPE, nesterov=nesterov)
    whole, resumed = tied(), tied()
    fit(whole, recipe, folder="whole")
    with pytest.raises(KilledError):
        fit(tied(), recipe, batches(at={5: kill}))
    fit(resumed, recipe)
    assert same(resumed.state_dict(), whole.state_dict())
    assert resumed[3].weight is resumed[2].weight


def test_the_scale_of_half_precision_is_resumed_too(fit):
    def half() -> Fabric:
        plugin = MixedPrecision(
            "16-mixed", "cpu", torch.amp.GradScaler("cpu", 64.0, growth_interval=3)
        )
        return Fabric(accelerator="cpu", devices=1, plugins=plugin)

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))

    whole, fabric = half(), half()
    fit(model(), fabric=whole, folder="whole")
    with pytest.raises(KilledError):
        fit(model(), load=batches(at={5: kill}), fabric=half())
    fit(model(), fabric=fabric)
    assert fabric.strategy.precision.state_dict() == whole.strategy.precision.state_dict()
    assert whole.strategy.precision.state_dict()["scale"] == 64 * 4


def test_a_checkpoint_of_another_model_is_refused(fit, states):
    fit(dropped())
    with pytest.raises(UserError, match="the checkpoint belongs to another model") as raised:
        fit(nn.Sequential(nn.Flatten(), nn.Linear(192, 10)))
    assert "\n" not in str(raised.value)
    model = dropped(1)
    with pytest.raises(UserError, match="the checkpoint belongs to another model"):
        load_model(nn.Linear(2, 2), states()[8])
    assert not any(torch.isnan(parameter).any() for parameter in model.parameters())


def poisoned(at: int, steps: int = RECIPE.steps) -> Batches:
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step, (images, targets) in enumerate(batches(steps)(start), start):
            yield (images * math.nan if step == at else images), targets

    return load


@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_state(save_every, fit, states):
    fit(dropped(), load=batches(at={2: interrupt}))
    with pytest.raises(UserError, match=r"the loss became nan at step 6 of 8") as raised:
        fit(dropped(), load=poisoned(at=5), save_every=save_every)
    assert "\n" not in str(raised.value)
    saved = states()
    assert max(saved) == (3 if save_every else 5)
    assert all(torch.isfinite(tensor).all() for tensor in saved[max(saved)].values())


@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_weights_that_are_not_numbers_do_not_reach_a_checkpoint(save_every, fit, states):
    # The loss of the step is finite, only its gradient is not; so this step is the last.
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        value = nn.functional.cross_entropy(outputs, targets)
        steps.append(1)
        return value + (outputs * 0).sum().sqrt() if len(steps) == 8 else value

    steps: list[int] = []
    fit(dropped(), load=batches(at={2: interrupt}))
    steps = [1] * 3
    with pytest.raises(UserError, match=r"weights .* at step 8 of 8"):
        fit(dropped(), loss=loss, save_every=save_every)
    saved = states()
    assert max(saved) == (3 if save_every else 7)
    assert all(torch.isfinite(tensor).all() for tensor in saved[max(saved)].values())


class Centred(nn.Module):
    """A model with a buffer that is left out of state dicts, and one with infinities."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.register_buffer("mean", torch.zeros(2), persistent=False)
        self.register_buffer("mask", torch.full((3,), -torch.inf))
        # Two modules may have one of them.
        self.linear.register_buffer("mask", self.mask)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.lerp_(x.detach().mean(0), 0.1)
        outputs: Tensor = self.linear(x - self.mean)
        return outputs.maximum(self.mask)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_buffers_of_any_kind_are_resumed(ema: float, tmp_path):
    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, 6):
            random = torch.Generator().manual_seed(step)
            yield torch.rand(8, 2, generator=random), torch.arange(8) % 3

    def run(folder: str, until: int | None = None) -> nn.Module:
        torch.manual_seed(0)
        model = Centred()
        recipe = Recipe(steps=6, batch_size=8, learning_rate=0.1, ema=ema)
        fabric = Fabric(accelerator="cpu", devices=1)
        train(fabric, model, batches, recipe, Checkpoints(tmp_path / folder), seed=0, until=until)
        return model

    whole = run("whole")
    run("parts", until=3)
    parts = run("parts")
    assert parts.mean.equal(whole.mean) and parts.linear.weight.equal(whole.linear.weight)
    assert parts.mask.equal(Centred().mask)
    fresh = Centred()
    load_model(fresh, Checkpoints(tmp_path / "parts").load().tensors)
    assert fresh.mean.equal(whole.mean)
