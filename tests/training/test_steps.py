"""What a step of training changes: the weights on its path alone, by the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from scipy import stats
from torch import Tensor, nn
from trainings import (
    RECIPE,
    SEED,
    GetSupernet,
    Log,
    batches,
    dropped,
)

from spos import Architecture, Choice, SearchSpace
from spos.training.loop import TrainingEnd, make_optimizer
from spos.training.methods.uniform import uniform_paths
from spos.training.recipe import Recipe, SupernetRecipe


def test_the_options_of_training_paths_are_uniform_and_independent():
    counts = (4, 4, 3, 2, 7)
    space = SearchSpace(
        Choice(f"c{n}", tuple(f"o{option}" for option in range(count)))
        for n, count in enumerate(counts)
    )
    paths = np.array([path for step in range(10_000) for path in uniform_paths(space, SEED, step)])
    assert paths.shape == (10_000, 5)
    for count, column in zip(counts, paths.T, strict=True):
        assert stats.chisquare(np.bincount(column, minlength=count)).pvalue > 0.001
    for number in range(4):
        table = np.zeros((counts[number], counts[number + 1]))
        np.add.at(table, (paths[:, number], paths[:, number + 1]), 1)
        assert stats.chi2_contingency(table).pvalue > 0.001
    # Nor does a step tell anything about the next one.
    table = np.zeros((4, 4))
    np.add.at(table, (paths[:-1, 0], paths[1:, 0]), 1)
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_paths_depend_on_seed_and_step_alone():
    space = SearchSpace([Choice(f"c{n}", ("a", "b", "c")) for n in range(8)])
    paths = {
        (seed, step): next(uniform_paths(space, seed, step)) for seed in (0, 1) for step in (0, 1)
    }
    assert len(set(paths.values())) == 4
    assert next(uniform_paths(space, 1, 0)) == paths[1, 0]
    three = list(uniform_paths(space, 1, 0, paths=3))
    assert three[0] == paths[1, 0]
    assert len(set(three)) == 3


def belongs_to(name: str, path: Architecture) -> bool:
    """Whether a tensor of the small supernet is on a path."""
    parts = name.split(".")
    if "options" not in parts:
        return True
    place = parts.index("options")
    return int(parts[place + 1]) == path[int(parts[place - 1])]


def test_only_the_weights_on_the_path_change(make_supernet: GetSupernet, fit, states):
    supernet = make_supernet("small")
    parameters = {f"model.{name}" for name, _ in supernet.named_parameters()}
    gradients = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        # What is left of the step before: only that path has gradients.
        gradients.append({n for n, p in supernet.named_parameters() if p.grad is not None})
        return nn.functional.cross_entropy(outputs, targets)

    fit(supernet, replace(RECIPE, weight_decay=0.1), loss=loss)
    assert all(not before for before in gradients)
    saved = states()
    for step in range(1, RECIPE.steps):
        (path,) = uniform_paths(supernet.space, SEED, step)
        before, after = saved[step], saved[step + 1]
        for name in before:
            weight = name.split(".", 2)[2] if name.startswith("optimizer.") else name
            on_path = belongs_to(weight, path)
            if not on_path:
                # Neither weights, nor statistics, nor momentum.
                assert torch.equal(before[name], after[name]), (step, name)
            elif name in parameters:
                assert not torch.equal(before[name], after[name]), (step, name)
        with_gradient = {n for n, p in supernet.named_parameters() if p.grad is not None}
    (path,) = uniform_paths(supernet.space, SEED, RECIPE.steps - 1)
    assert with_gradient == {n for n, _ in supernet.named_parameters() if belongs_to(n, path)}


def test_momentum_is_kept_for_what_was_ever_on_a_path(make_supernet: GetSupernet, fit, states):
    supernet = make_supernet("small")
    fit(supernet)
    saved = states()
    names = [name for name, _ in supernet.named_parameters()]
    for done in (1, 3, 8):
        paths = [next(uniform_paths(supernet.space, SEED, step)) for step in range(done)]
        expected = {n for n in names if any(belongs_to(n, path) for path in paths)}
        prefix = "optimizer.momentum_buffer."
        kept = {n.removeprefix(prefix) for n in saved[done] if n.startswith(prefix)}
        assert kept == expected


@pytest.mark.parametrize("paths", [1, 2, 3])
def test_a_step_descends_the_mean_gradient_of_its_paths(paths, make_supernet: GetSupernet, fit):
    recipe = SupernetRecipe(
        steps=1,
        batch_size=6,
        learning_rate=0.1,
        weight_decay=0.01,
        label_smoothing=0.0,
        paths=paths,
    )
    supernet, reference = make_supernet("small"), make_supernet("small").train()
    ((images, targets),) = batches(1)(0)
    losses = []
    for path in uniform_paths(reference.space, SEED, 0, paths):
        reference.activate(path)
        losses.append(nn.functional.cross_entropy(reference(images), targets))
    (sum(losses) / paths).backward()
    log = Log()
    fit(supernet, recipe, observer=log)
    for (name, trained), start in zip(
        supernet.named_parameters(), reference.parameters(), strict=True
    ):
        step = torch.zeros_like(start)
        if start.grad is not None:
            step = 0.1 * (start.grad + (0.01 * start if start.dim() > 1 else 0))
        torch.testing.assert_close(trained, start - step, rtol=1e-5, atol=1e-7, msg=name)
    (progress,) = log.progress
    assert math.isclose(progress.loss, float(sum(losses).detach()) / paths, rel_tol=1e-5)


def test_weight_decay_is_on_weights_alone():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.Flatten(),
        nn.LayerNorm(4),
        nn.Linear(4, 2),
    )
    recipe = replace(RECIPE, weight_decay=0.5)
    optimizer = make_optimizer(model, recipe)
    decayed = {
        id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]
    }
    assert {n for n, p in model.named_parameters() if id(p) in decayed} == {"0.weight", "6.weight"}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5, 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 12


def test_parameters_used_twice_are_optimised_once():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    groups = make_optimizer(nn.Sequential(first, second, first), RECIPE).param_groups
    assert [len(group["params"]) for group in groups] == [1, 2]


def clipped_norm(fit: Callable[..., TrainingEnd], model: nn.Module, **options: object) -> float:
    """The norm of the gradient of a single step of learning rate 1 without anything else."""
    recipe = Recipe(
        steps=1,
        batch_size=6,
        learning_rate=1.0,
        momentum=0.0,
        weight_decay=0.0,
        gradient_clip=0.01,
    )
    before = [parameter.detach().clone() for parameter in model.parameters()]
    fit(model, recipe, **options)
    moved = [(p - start).flatten() for p, start in zip(model.parameters(), before, strict=True)]
    return float(torch.cat(moved).detach().norm())


def test_the_gradient_is_clipped(fit):
    assert clipped_norm(fit, dropped()) == pytest.approx(0.01, rel=1e-3)


def test_the_gradient_is_clipped_in_half_precision_too(fit):
    # There the gradients are scaled until the step: it is the true ones that count.
    fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    assert clipped_norm(fit, model, fabric=fabric) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("module", "decayed"),
    [
        (nn.MultiheadAttention(8, 2), {"in_proj_weight", "out_proj.weight"}),
        (nn.LSTM(4, 4), {"weight_ih_l0", "weight_hh_l0"}),
        (nn.RMSNorm(4), set()),
    ],
    ids=["attention", "recurrent", "norm"],
)
def test_norms_and_biases_of_any_name_are_not_decayed(module: nn.Module, decayed: set[str]):
    optimizer = make_optimizer(module, Recipe(steps=1, batch_size=1, learning_rate=0.1))
    chosen = {id(one) for one in optimizer.param_groups[0]["params"]}
    assert {name for name, one in module.named_parameters() if id(one) in chosen} == decayed
