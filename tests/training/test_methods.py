"""The training methods: which paths a step takes, what they learn from, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Choice, CostTable, OneOf, SearchSpace, Supernet, UserError
from spos._util.randomness import torch_generator
from spos.nn import ElasticConv2d, ElasticLinear, Width
from spos.spaces.blocks.cells import Zero
from spos.training import METHODS, Checkpoints, Method, Pass, Recipe, SupernetRecipe, train
from spos.training.method import make_method
from spos.training.methods.fair import fair_paths

NUMBERS = {"steps": 8, "batch_size": 6, "learning_rate": 0.05, "label_smoothing": 0.0}
RECIPE = SupernetRecipe(**NUMBERS)


class KilledError(Exception):
    """Stands for whatever ends a process."""


def blocks() -> Supernet:
    """Choices of two and three modules, with dropout."""
    torch.manual_seed(0)

    def layer(*kernels: int) -> OneOf:
        convs = {f"{k}": nn.Conv2d(4, 4, k, padding=k // 2) for k in kernels}
        return OneOf({"skip": nn.Identity(), **convs})

    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4, 10))
    return Supernet(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), layer(3, 1), nn.ReLU(), layer(5), head),
        (1, 8, 8),
    )


def sizes() -> Supernet:
    """A width and a choice of modules."""
    torch.manual_seed(0)
    width = Width([2, 4, 8], name="width")
    model = nn.Sequential(
        ElasticConv2d(1, width, 3, padding=1),
        OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh()}, name="act"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        ElasticLinear(width, 10),
    )
    return Supernet(model, (1, 8, 8))


def batches(at: Callable[[int], None] = lambda step: None) -> Any:
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, 8):
            at(step)
            random = torch_generator(0, "batch", step)
            images = torch.randn(6, 1, 8, 8, generator=random)
            yield images, torch.randint(10, (6,), generator=random)

    return load


def fit(
    folder: Path,
    model: nn.Module,
    recipe: Recipe = RECIPE,
    at: Callable[[int], None] = lambda step: None,
    **options: Any,
) -> dict[str, Tensor]:
    fabric = Fabric(accelerator="cpu", devices=1)
    options = {"save_every": 0.0, "seed": 3, **options}
    checkpoints = Checkpoints(folder)
    train(fabric, model, batches(at), recipe, checkpoints, **options)
    loaded = checkpoints.load()
    assert loaded is not None
    return loaded.tensors


def test_the_methods_are_listed_without_importing_them():
    assert set(METHODS) == {"uniform", "fair", "sandwich", "fbnet", "darts", "proxylessnas"}
    assert all(METHODS[name].label for name in METHODS)
    assert [METHODS[name].memory_options for name in ("fair", "proxylessnas", "darts")] == [
        1,
        2,
        None,
    ]


# Strict fairness

counts_of_options = st.lists(st.integers(1, 7), min_size=1, max_size=6)


def space_of(counts: list[int]) -> SearchSpace:
    return SearchSpace(
        Choice(f"c{n}", tuple(f"o{option}" for option in range(count)))
        for n, count in enumerate(counts)
    )


@given(counts=counts_of_options, seed=st.integers(0, 99), step=st.integers(0, 10_000))
def test_a_group_has_each_option_of_the_largest_choices_exactly_once(counts, seed, step):
    paths = fair_paths(space_of(counts), seed, step)
    assert len(paths) == max(counts)
    for count, column in zip(counts, zip(*paths, strict=True), strict=True):
        uses = Counter(column)
        if count == max(counts):
            assert sorted(column) == list(range(count))
        # Each exactly as often as it divides, otherwise no option twice as often as another.
        assert max(uses.values()) - min(uses.get(o, 0) for o in range(count)) <= (
            1 if max(counts) % count == 0 else 2
        )


@given(counts=counts_of_options, seed=st.integers(0, 99), steps=st.integers(1, 20))
def test_no_option_is_ever_ahead_by_more_than_one_path(counts, seed, steps):
    space = space_of(counts)
    uses = [np.zeros(count, dtype=int) for count in counts]
    for step in range(steps):
        for path in fair_paths(space, seed, step):
            for used, option in zip(uses, path, strict=True):
                used[option] += 1
            assert all(used.max() - used.min() <= 1 for used in uses)


def test_groups_depend_on_the_seed_and_the_step_and_choices_on_no_other():
    space = space_of([6] * 4)
    groups = {(seed, step): fair_paths(space, seed, step) for seed in (0, 1) for step in (0, 1)}
    assert fair_paths(space, 1, 0) == groups[1, 0]
    assert len({tuple(group) for group in groups.values()}) == 4
    assert len(set(zip(*groups[0, 0], strict=True))) == 4


def test_a_step_of_strict_fairness_moves_every_option_and_uniform_paths_do_not(tmp_path):
    def moved(method: str) -> set[str]:
        model, before = blocks(), dict(blocks().named_parameters())
        recipe = SupernetRecipe(**{**NUMBERS, "steps": 1}, method=method)
        fit(tmp_path / method, model, recipe)
        return {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}

    everything = set(dict(blocks().named_parameters()))
    assert moved("fair") == everything > moved("uniform")


# The sandwich rule


def test_the_sandwich_is_the_largest_random_ones_and_the_smallest():
    model = sizes()
    method = METHODS["sandwich"](model, nn.CrossEntropyLoss(), RECIPE, 0, paths=2)
    images, targets = next(batches()(0))
    seen = set()
    for step in range(30):
        paths = [model.active for _ in method.losses(step, images, targets)]
        assert len(paths) == method.passes == 4
        # Of the activations, the last option of equals.
        assert paths[0] == (2, 1) and paths[-1][0] == 0
        seen |= set(paths[1:-1])
    assert seen == set(model.space)


def test_without_sizes_there_is_no_smallest_path_and_the_largest_has_the_most_weights():
    model = blocks()
    method = METHODS["sandwich"](model, nn.CrossEntropyLoss(), RECIPE, 0)
    images, targets = next(batches()(0))
    paths = [model.active for _ in method.losses(0, images, targets)]
    assert len(paths) == method.passes == 2
    # Of the skip and the convolutions of 3 x 3 and 1 x 1, and of the skip and that of 5 x 5.
    assert paths[0] == (1, 1)


def test_the_others_learn_what_the_largest_path_says_and_it_does_not_learn_from_them():
    model = sizes()
    method = METHODS["sandwich"](model, nn.CrossEntropyLoss(), RECIPE, 0)
    images, targets = next(batches()(0))
    largest, *others = method.losses(0, images, targets)
    torch.testing.assert_close(largest.loss, F.cross_entropy(largest.outputs, targets))
    said = largest.outputs.detach().softmax(1)
    for one in others:
        by_hand = -(said * one.outputs.log_softmax(1)).sum(1).mean()
        torch.testing.assert_close(one.loss, by_hand)
    gradient = torch.autograd.grad(others[0].loss, largest.outputs, allow_unused=True)
    assert gradient == (None,)


def test_values_are_learned_from_the_targets_by_all_paths():
    model = sizes()
    method = METHODS["sandwich"](model, nn.MSELoss(), RECIPE, 0)
    images, values = torch.randn(6, 1, 8, 8), torch.randn(6, 10)
    for one in method.losses(0, images, values):
        torch.testing.assert_close(one.loss, F.mse_loss(one.outputs, values))


@pytest.mark.parametrize("outputs", ["several", "one"])
def test_outputs_that_are_no_scores_of_classes_are_learned_from_the_targets(outputs):
    model = sizes()
    forward = model.forward
    # Such as those of a model with a second head, or a number for a class that is one.
    given = {"several": lambda x: (forward(x), x), "one": lambda x: forward(x)[:, :1]}[outputs]
    model.forward = given

    def loss(outputs, targets):
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        return F.mse_loss(first[:, 0], targets.float())

    images, labels = next(batches()(0))
    for one in METHODS["sandwich"](model, loss, RECIPE, 0).losses(0, images, labels):
        torch.testing.assert_close(one.loss, loss(one.outputs, labels))


def test_without_distillation_labels_are_learned_by_all_paths():
    model = sizes()
    recipe = SupernetRecipe(**NUMBERS, method="sandwich", distillation=False)
    method = make_method(None, model, nn.CrossEntropyLoss(), recipe, 0)
    images, labels = next(batches()(0))
    for one in method.losses(0, images, labels):
        torch.testing.assert_close(one.loss, F.cross_entropy(one.outputs, labels))


# All of them


@pytest.mark.parametrize("name", ["uniform", "fair", "sandwich", "fbnet", "darts"])
@pytest.mark.parametrize("killed", [1, 6])
def test_every_method_resumes_exactly(tmp_path, name, killed):
    # Theta is trained jointly if no other images are given for it.
    recipe = SupernetRecipe(**NUMBERS, method=name, ema=0.5)

    def kill(step: int) -> None:
        if step == killed:
            raise KilledError

    with pytest.raises(KilledError):
        fit(tmp_path / "killed", blocks(), recipe, kill)
    resumed = fit(tmp_path / "killed", blocks(), recipe)
    whole = fit(tmp_path / "whole", blocks(), recipe, save_every=1e9)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    assert ("theta.0" in whole) == METHODS[name].trains_theta


@pytest.mark.parametrize("name", ["fbnet", "darts"])
def test_after_a_differentiable_search_a_supernet_has_single_paths_again(tmp_path, name):
    supernet = blocks()
    fit(tmp_path, supernet, SupernetRecipe(**NUMBERS, method=name))
    inputs = torch.randn(2, *supernet.input_shape)
    supernet.eval()
    assert CostTable(supernet).range()["flops"][0] > 0
    for path in ([0] * len(supernet.space), [1] * len(supernet.space)):
        supernet.activate(path)
        assert torch.equal(supernet(inputs), supernet.subnet(path)(inputs))


class Mirrored(Method):
    """One random path, on the images and on their mirror images."""

    passes = 2

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        self.supernet.activate(self.supernet.space.sample(self.random(step)))
        yield self.forward(inputs, targets)
        yield self.forward(inputs.flip(-1), targets)


def test_a_custom_method_trains_what_it_says(tmp_path):
    model, reference = sizes(), sizes()
    recipe = Recipe(**{**NUMBERS, "steps": 1, "weight_decay": 0.0, "momentum": 0.0})
    fit(tmp_path, model, recipe, method=Mirrored)
    images, targets = next(batches()(0))
    reference.activate(model.active)
    both = [F.cross_entropy(reference(x), targets) for x in (images, images.flip(-1))]
    (sum(both) / 2).backward()
    for name, parameter in reference.named_parameters():
        by_hand = parameter - 0.05 * parameter.grad
        torch.testing.assert_close(model.get_parameter(name), by_hand, msg=name)


def test_a_method_takes_arguments_of_its_own(tmp_path):
    class Fixed(Method):
        def __init__(self, *given: Any, path: tuple[int, ...]) -> None:
            super().__init__(*given)
            self.supernet.activate(path)

        def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
            yield self.forward(inputs, targets)

    model = blocks()
    fit(tmp_path, model, method=partial(Fixed, path=(2, 0)))
    assert model.active == (2, 0)


class Forgetful(Mirrored):
    passes = 3


@pytest.mark.parametrize(
    ("model", "recipe", "method", "says"),
    [
        (blocks, SupernetRecipe(**NUMBERS, method="unifrom"), None, "did you mean 'uniform'"),
        (blocks, SupernetRecipe(**NUMBERS, method="fair", paths=4), None, "paths 4: .* Fair does"),
        (
            blocks,
            SupernetRecipe(**NUMBERS, method="sandwich", widening_steps=4),
            None,
            "widening_steps 4: .*Sandwich does not use it; .* a method that does: uniform",
        ),
        (
            blocks,
            SupernetRecipe(**NUMBERS, widening_steps=4),
            None,
            "widening_steps 4: no choice of this space is one of sizes",
        ),
        (
            blocks,
            SupernetRecipe(**NUMBERS, same_paths=False),
            Mirrored,
            "same_paths false: .* Mirrored all processes .* need not: fair, sandwich, uniform",
        ),
        (lambda: sizes().model, SupernetRecipe(**NUMBERS, paths=4), None, "paths 4: .*WholeNet"),
        (lambda: nn.Flatten(), RECIPE, "fair", "Fair draws paths, but a Flatten has no choices"),
        (blocks, RECIPE, "proxylessnas", "the gates of ProxylessNAS need steps of their own"),
        (sizes, RECIPE, "fbnet", "choice 'width' is a Width: a differentiable search mixes"),
        (blocks, RECIPE, Forgetful, "yielded 2 losses in step 1, its attribute passes is 3"),
        (blocks, RECIPE, lambda *given: WithoutOutputs(*given), "a value of float"),
        (blocks, RECIPE, lambda *given: OfTensors(*given), "OfTensors.losses yielded a Tensor: it"),
        (blocks, RECIPE, lambda *given: Returning(*given), "Returning.losses returned a Pass: it"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, model, recipe, method, says):
    with pytest.raises(UserError, match=says) as raised:
        fit(tmp_path, model(), recipe, method=method)
    assert "\n" not in str(raised.value)


class WithoutOutputs(Method):
    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        yield Pass(1.0)  # type: ignore[arg-type]


class OfTensors(Method):
    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        yield self.forward(inputs, targets).loss  # type: ignore[misc]


class Returning(Method):
    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        return self.forward(inputs, targets)  # type: ignore[return-value]


def test_a_layer_of_zeros_has_no_weights_and_is_not_the_largest():
    options = {"conv": nn.Conv2d(1, 1, 1), "zero": Zero(), "skip": nn.Identity()}
    model = Supernet(nn.Sequential(OneOf(options), nn.Flatten(), nn.Linear(64, 10)), (1, 8, 8))
    method = METHODS["sandwich"](model, nn.CrossEntropyLoss(), RECIPE, 0)
    next(iter(method.losses(0, *next(batches()(0)))))
    assert model.active == (0,)
