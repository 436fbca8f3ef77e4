"""Options of the loop: the moving average of the weights, and a teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from spos import UserError
from spos._util.randomness import torch_generator
from spos.training import Checkpoints, Method, Pass, Recipe, Teacher, train
from spos.training.checkpoint import Loaded
from spos.training.optimizer import WeightAverage

RECIPE = Recipe(steps=6, batch_size=8, learning_rate=0.1, label_smoothing=0.0)


class KilledError(Exception):
    """Stands for whatever ends a process."""


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)
    )


def batches(killed: int | None = None, values: bool = False) -> Any:
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, RECIPE.steps):
            if step == killed:
                raise KilledError
            random = torch_generator(0, "batch", step)
            images = torch.randn(8, 1, 6, 6, generator=random)
            targets = torch.randint(5, (8,), generator=random)
            yield images, torch.randn(8, 5) if values else targets

    return load


def fit(
    folder: Path,
    recipe: Recipe = RECIPE,
    killed: int | None = None,
    values: bool = False,
    **options: Any,
) -> nn.Module:
    model = network()
    options = {"save_every": 0.0, "seed": 0, **options}
    fabric = Fabric(accelerator="cpu", devices=1)
    train(fabric, model, batches(killed, values), recipe, Checkpoints(folder, keep=99), **options)
    return model


def steps(folder: Path) -> Iterator[Loaded]:
    for path in sorted(folder.glob("*"), reverse=True):
        loaded = Checkpoints(folder).load()
        assert loaded is not None
        yield loaded
        path.unlink()


def test_the_result_is_the_average_of_the_weights_and_statistics_after_each_step(tmp_path):
    fit(tmp_path / "plain")
    model = fit(tmp_path / "averaged", replace(RECIPE, ema=0.75))
    states = [loaded.tensors for loaded in steps(tmp_path / "plain")][::-1]
    assert len(states) == 6
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        by_hand = states[0][f"model.{name}"]
        for state in states[1:]:
            by_hand = 0.75 * by_hand + 0.25 * state[f"model.{name}"]
        torch.testing.assert_close(value, by_hand, msg=name)
    last = next(steps(tmp_path / "averaged")).tensors
    assert all(torch.equal(last[f"model.{n}"], value) for n, value in model.state_dict().items())


@pytest.mark.parametrize("killed", [1, 3, 5])
def test_an_average_resumes_exactly(tmp_path, killed):
    recipe = replace(RECIPE, ema=0.9)
    whole = fit(tmp_path / "whole", recipe)
    with pytest.raises(KilledError):
        fit(tmp_path / "killed", recipe, killed)
    resumed = fit(tmp_path / "killed", recipe)
    again = fit(tmp_path / "killed", recipe)
    for model in (resumed, again):
        for name, value in whole.state_dict().items():
            assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize("decay", [0.9, 0.9999])
def test_integers_are_not_averaged(decay: float):
    model = nn.Linear(2, 2)
    model.register_buffer("index", torch.arange(1000))
    model.register_buffer("mask", torch.arange(10) > 4)
    average = WeightAverage(model, decay)
    for _ in range(5):
        average.update()
    average.apply()
    assert model.index.equal(torch.arange(1000))
    assert model.mask.equal(torch.arange(10) > 4)


def test_a_checkpoint_without_an_average_is_refused(tmp_path):
    with pytest.raises(KilledError):
        fit(tmp_path, killed=3)
    with pytest.raises(UserError, match="without a moving average of its weights: give ema 0"):
        fit(tmp_path, replace(RECIPE, ema=0.9))


def test_the_loss_with_a_teacher_is_the_papers():
    torch.manual_seed(0)
    outputs, scores = torch.randn(3, 4), torch.randn(3, 4)
    own = torch.tensor(1.5)
    teacher = Teacher(nn.Identity(), weight=0.3, temperature=2.0)
    taught = teacher.teach(Pass(own, outputs), scores, torch.tensor([0, 1, 2]))
    p, q = (scores / 2).softmax(1), (outputs / 2).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(taught, 0.7 * own + 0.3 * 4 * divergence)


def test_a_network_learns_from_its_teacher_alone_where_it_weighs_all(tmp_path):
    teacher = network(1)
    frozen = {name: value.clone() for name, value in teacher.state_dict().items()}
    model = fit(tmp_path, replace(RECIPE, steps=1), teacher=Teacher(teacher.train(), weight=1.0))
    images, _ = next(batches()(0))
    reference = network().train()
    scores = teacher.eval()(images).detach()
    # The gradient of the divergence is that of the cross-entropy with the teacher's probabilities.
    nn.functional.cross_entropy(reference(images), scores.softmax(1)).backward()
    for name, parameter in reference.named_parameters():
        decay = 4e-5 * parameter if parameter.dim() > 1 else 0
        by_hand = parameter - 0.1 * (parameter.grad + decay)
        torch.testing.assert_close(model.get_parameter(name), by_hand, msg=name)
    assert all(torch.equal(frozen[name], v) for name, v in teacher.state_dict().items())


def test_a_training_with_a_teacher_resumes_exactly_and_with_no_other(tmp_path):
    whole = fit(tmp_path / "whole", teacher=network(1))
    with pytest.raises(KilledError):
        fit(tmp_path / "killed", killed=3, teacher=network(1))
    for teacher in (None, network(2), Teacher(network(1), weight=0.25)):
        with pytest.raises(UserError, match="the checkpoint was trained with the teacher Sequen"):
            fit(tmp_path / "killed", teacher=teacher)
    resumed = fit(tmp_path / "killed", teacher=network(1))
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


class Silent(Method):
    """Gives no outputs."""

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        yield Pass(self.forward(inputs, targets).loss)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"teacher": nn.Sequential(nn.Flatten(), nn.Linear(36, 7))}, r"\[8, 7\] .* \[8, 5\]"),
        ({"teacher": network(1), "method": Silent}, "the network nothing: both must"),
        (
            {"teacher": network(1), "values": True, "loss": nn.MSELoss()},
            "the targets are values, not classes",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(tmp_path, options, says):
    with pytest.raises(UserError, match=says) as raised:
        fit(tmp_path, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"network": "resnet50"}, "teacher.network 'resnet50': must be an instance of Module"),
        ({"weight": 1.5}, "teacher.weight 1.5: must be at most 1"),
        ({"temperature": 0.0}, "teacher.temperature 0.0: must be above 0"),
    ],
)
def test_values_of_a_teacher_out_of_their_range_are_refused(values, says):
    with pytest.raises(UserError, match=says):
        Teacher(**{"network": nn.Identity(), **values})
