"""The training of weights and theta: in turns, together, interrupted, resumed, broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from spos import CostTable, OneOf, Supernet, UserError
from spos._util.randomness import torch_generator
from spos.cost.expected import ExpectedCost
from spos.data import load_data, training_batches
from spos.nn import ElasticConv2d, Width
from spos.spaces.blocks.cells import Zero
from spos.training import METHODS
from spos.training.checkpoint import Checkpoints
from spos.training.loop import train
from spos.training.method import Method
from spos.training.recipe import DifferentiableSettings, Recipe
from spos.training.theta import Theta, ThetaParts

RECIPE = Recipe(steps=8, batch_size=6, learning_rate=0.1, warmup_steps=2)
SETTINGS = DifferentiableSettings(warmup=0.25, unit=1e3, learning_rate=0.1)
ALGORITHMS = ("darts", "fbnet", "proxylessnas")
FORMS = [(a, f) for a in ALGORITHMS for f in ("alternating", "joint")]
FORMS.remove(("proxylessnas", "joint"))


class KilledError(Exception):
    """Stands for whatever ends a process."""


def network() -> Supernet:
    torch.manual_seed(0)

    def layer() -> OneOf:
        conv = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        return OneOf({"conv": conv, "skip": nn.Identity(), "zero": Zero()})

    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4, 10))
    stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    return Supernet(nn.Sequential(stem, layer(), layer(), head), (1, 8, 8))


def batches(name: str, at: Callable[[int], None] = lambda step: None) -> Any:
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, 1000):
            at(step)
            random = torch_generator(0, name, step)
            images = torch.randn(6, 1, 8, 8, generator=random)
            yield images, torch.randint(10, (6,), generator=random)

    return load


class Search:
    """A search that can be trained in several sittings."""

    def __init__(
        self,
        algorithm: str,
        settings: DifferentiableSettings = SETTINGS,
        recipe: Recipe = RECIPE,
        *,
        weights: Any = None,
        theta: Any = None,
        supernet: Supernet | None = None,
        limit: float = 0.0,
        loss: Any = None,
    ) -> None:
        self.supernet = supernet or network()
        self.fabric = Fabric(accelerator="cpu", devices=1)
        self.records: list[dict[str, Any]] = []
        self.recipe = recipe
        self.weights = weights or batches("weights")
        expected = ExpectedCost(CostTable(self.supernet), "flops")
        self.parts = ThetaParts(
            settings,
            3,
            theta or batches("theta"),
            None if settings.form == "joint" else expected,
            settings.unit,
            limit,
            record=self.records.append,
        )
        self.algorithm = algorithm
        self.loss = loss or nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self.method = self.make(self.supernet, self.loss, recipe, 0)

    def make(self, *arguments: Any) -> Method:
        self.method = METHODS[self.algorithm](*arguments, parts=self.parts)
        return self.method

    @property
    def theta(self) -> Theta:
        return self.method.theta

    def train(self, folder: Path, save_every: float = 0.0) -> None:
        train(
            self.fabric,
            self.supernet,
            self.weights,
            self.recipe,
            Checkpoints(folder),
            seed=0,
            loss=self.loss,
            method=self.make,
            save_every=save_every,
        )


def state(folder: Path) -> dict[str, Tensor]:
    loaded = Checkpoints(folder).load()
    assert loaded is not None
    assert loaded.step == RECIPE.steps
    return loaded.tensors


@pytest.mark.parametrize(("algorithm", "form"), FORMS)
@pytest.mark.parametrize("killed", [1, 5])
def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path, algorithm, form, killed):
    settings = replace(SETTINGS, form=form)

    def kill(step: int) -> None:
        if step == killed:
            raise KilledError

    with pytest.raises(KilledError):
        Search(algorithm, settings, weights=batches("weights", kill)).train(tmp_path / "killed")
    resumed = Search(algorithm, settings)
    resumed.train(tmp_path / "killed")
    straight = Search(algorithm, settings)
    straight.train(tmp_path / "straight", save_every=1e9)
    left, right = state(tmp_path / "killed"), state(tmp_path / "straight")
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert {"theta.0", "theta.0.exp_avg", "theta.1.step"} <= left.keys()
    assert resumed.records == [r for r in straight.records if r["step"] >= killed]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_theta_waits_for_the_warm_up_and_then_moves(tmp_path, algorithm):
    search = Search(algorithm)
    search.train(tmp_path)
    uniform = [[pytest.approx(1 / 3, abs=1e-6)] * 3] * 2
    moved = [record["probabilities"] != uniform for record in search.records]
    assert [record["step"] for record in search.records] == list(range(9))
    # Warm-up of 2 of the 8 steps; the record of a step is of before it.
    assert moved == [False] * 3 + [True] * 6


def test_a_theta_step_leaves_the_weights_and_a_weight_step_theta(tmp_path):
    search = Search("fbnet", replace(SETTINGS, warmup=0.0))
    search.supernet.train()
    images, targets = next(iter(search.weights(0)))
    for one in search.method.losses(0, images, targets):
        one.loss.backward()
    assert all(value.grad is None for value in search.theta.values)
    weights = {name: p.detach().clone() for name, p in search.supernet.named_parameters()}
    gradients = {name: p.grad.clone() for name, p in search.supernet.named_parameters()}
    search.method.after_step(0)
    assert all(value.grad is not None for value in search.theta.values)
    for name, parameter in search.supernet.named_parameters():
        assert torch.equal(parameter, weights[name])
        assert torch.equal(parameter.grad, gradients[name])


def test_theta_learns_from_its_own_images_in_their_order(tmp_path):
    given: list[int] = []
    settings = replace(SETTINGS, warmup=0.25, every=2)
    Search("darts", settings, theta=batches("theta", given.append)).train(tmp_path)
    assert given == [0, 1, 2]


def test_proxylessnas_trains_the_weights_of_one_path_a_step():
    search = Search("proxylessnas")
    search.supernet.train()
    images, targets = next(iter(search.weights(0)))
    for one in search.method.losses(0, images, targets):
        one.loss.backward()
    path = search.supernet.active
    for place, option in enumerate(path):
        layer = search.supernet.model[place + 1]
        parameters = list(layer.options[0].parameters())
        assert all((p.grad is not None) == (option == 0) for p in parameters)


@pytest.mark.parametrize("cost", ["flops", "params"])
def test_the_loss_of_theta_pulls_towards_cheap_options(tmp_path, cost):
    search = Search("darts", replace(SETTINGS, beta=20.0, warmup=0.0))
    search.train(tmp_path)
    for column in search.theta.probabilities():
        assert int(column.argmin()) == 0
    costs = [record["expected_cost"] for record in search.records]
    assert costs[-1] < costs[0]


def test_only_what_exceeds_the_limit_is_charged(tmp_path):
    def course(limit: float, beta: float) -> list[float]:
        settings = replace(SETTINGS, beta=beta, warmup=0.0, weight_decay=0.0)
        search = Search("darts", settings, replace(RECIPE, steps=40), limit=limit)
        search.train(tmp_path / f"{limit} {beta}")
        return [record["expected_cost"] for record in search.records]

    charged, free = course(0.0, 5.0), course(0.0, 0.0)
    assert min(charged) > 1_500 and course(1_500.0, 5.0) == charged
    # Adam takes no notice of the constant factor that is left of the cost.
    assert max(free) < 25_000 and course(25_000.0, 5.0) == pytest.approx(free, rel=1e-3)
    assert charged[20:] != pytest.approx(free[20:], rel=1e-2)


def test_a_loss_below_zero_is_refused(tmp_path):
    search = Search(
        "darts",
        replace(SETTINGS, warmup=0.0),
        loss=lambda outputs, targets: nn.functional.cross_entropy(outputs, targets) - 5,
    )
    with pytest.raises(UserError, match=r"loss became -\d.* would reward expensive networks"):
        search.train(tmp_path)


def test_a_theta_that_is_not_a_number_is_refused_and_the_last_good_state_stays(tmp_path):
    search = Search("fbnet", replace(SETTINGS, learning_rate=1e3, weight_decay=1e37))
    with pytest.raises(UserError) as raised:
        search.train(tmp_path)
    told = str(raised.value)
    assert "theta became non-finite at step 4 of 8 (differentiable: learning" in told
    assert "learning_rate 1000, temperature 4.77999, alpha 0.2, beta 0.6" in told
    loaded = Checkpoints(tmp_path).load()
    assert loaded is not None
    assert loaded.step == 3
    assert all(bool(t.isfinite().all()) for t in loaded.tensors.values())


def test_weights_that_diverge_are_not_blamed_on_theta(tmp_path):
    recipe = replace(RECIPE, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(UserError, match=r"the loss became (nan|inf).*learning rate"):
        Search("darts", replace(SETTINGS, warmup=0.0), recipe).train(tmp_path)


def test_a_checkpoint_without_theta_is_refused(tmp_path):
    search = Search("darts")
    single = network()
    train(search.fabric, single, search.weights, RECIPE, Checkpoints(tmp_path), seed=0)
    with pytest.raises(UserError, match="trained without theta"):
        search.train(tmp_path)


def test_choices_that_are_not_modules_are_refused():
    width = Width((2, 4), name="width")
    model = nn.Sequential(
        OneOf({"skip": nn.Identity(), "zero": Zero()}), ElasticConv2d(1, width, 3)
    )
    with pytest.raises(UserError) as raised:
        Theta(Supernet(model, (1, 8, 8)), DifferentiableSettings())
    assert str(raised.value).startswith("choice 'width' is a Width: a differentiable search mixes")


def test_modules_that_share_a_choice_share_its_weights():
    model = nn.Sequential(
        OneOf({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}, name="shared"),
        OneOf({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}, name="shared"),
    )
    theta = Theta(Supernet(model, (2,)), DifferentiableSettings())
    assert len(theta.values) == 1
    drawn = METHODS["darts"].draw(theta.values[0], None, None)  # type: ignore[arg-type]
    theta.set_mixtures([drawn])
    assert model[0].mixture is model[1].mixture
    model(torch.ones(1, 2)).sum().backward()
    assert theta.values[0].grad is not None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_plainly_better_option_is_found_on_real_digits(tmp_path, algorithm):
    data = load_data("digits")
    recipe = Recipe(steps=150, batch_size=32, learning_rate=0.01, warmup_steps=10)
    settings = DifferentiableSettings(
        warmup=0.2, unit=1e3, learning_rate=0.05, alpha=1.0, beta=0.0, temperature_decay=0.1
    )

    def images(seed: int) -> Any:
        return lambda start: training_batches(
            data,
            data.train,
            batch_size=32,
            seed=seed,
            start=start,
            steps=1000,
            augment="none",
            device="cpu",
        )

    torch.manual_seed(0)
    layer = OneOf({"conv": nn.Conv2d(4, 4, 3, padding=1), "zero": Zero()})
    head = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    model = Supernet(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), layer, head), (1, 8, 8))
    search = Search(algorithm, settings, recipe, weights=images(0), theta=images(1), supernet=model)
    search.train(tmp_path, save_every=1e9)
    # Zeros let nothing through, so that the convolution is plainly better.
    (column,) = search.theta.probabilities()
    assert float(column[0]) > 0.8
