"""Functions of the user's own as augmentation."""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spos import UserError
from spos.data import load_data, register_augmentation, training_batches
from spos.data.own_augmentation import apply_own, find_augmentation, name_augmentation


class Noise(nn.Module):
    """As a transform of torchvision: draws from torch, and shows its settings."""

    def __init__(self, strength: int, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.strength = strength
        self.inner = inner

    def extra_repr(self) -> str:
        return f"strength={self.strength}"

    def forward(self, image: Tensor) -> Tensor:
        return image // 2 + torch.randint(self.strength, image.shape, dtype=torch.uint8)


def drawn(image: Tensor) -> Tensor:
    """Draws from each generator, as libraries do, and returns values of 0 to 1."""
    numbers = torch.rand(()), torch.tensor(np.random.rand()), torch.tensor(random.random())
    return torch.full(image.shape, float(sum(numbers)) / 3)


def images(count: int = 8) -> Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, 6, 6), dtype=torch.uint8, generator=made)


def test_each_image_has_draws_of_its_own_and_a_part_sees_those_of_the_whole() -> None:
    batch, (before, python) = images(), (np.random.get_state()[1].copy(), random.getstate())
    torch_before = torch.random.get_rng_state()
    whole = apply_own(drawn, batch, seed=1, step=5, first=0)
    assert len({float(image[0, 0, 0]) for image in whole}) == len(batch)
    assert float(whole.min()) >= 0 and 1 < float(whole.max()) <= 255
    assert torch.equal(apply_own(drawn, batch[4:], seed=1, step=5, first=4), whole[4:])
    assert not torch.equal(apply_own(drawn, batch, seed=1, step=6, first=0), whole)
    # Nothing else that draws is changed by it.
    assert np.array_equal(np.random.get_state()[1], before) and random.getstate() == python
    assert torch.equal(torch.random.get_rng_state(), torch_before)


def test_batches_are_a_function_of_the_seed_and_the_step() -> None:
    data, name = load_data("digits"), register_augmentation(Noise(20))
    given: dict[str, Any] = {"batch_size": 8, "seed": 3, "augment": name, "device": "cpu"}
    whole = list(training_batches(data, data.train, steps=4, **given))
    later = list(training_batches(data, data.train, start=2, steps=4, **given))
    assert torch.equal(whole[2][0], later[0][0]) and torch.equal(whole[3][0], later[1][0])
    parts = [
        next(training_batches(data, data.train, steps=1, rank=rank, world_size=2, **given))
        for rank in (0, 1)
    ]
    assert torch.equal(torch.cat([images for images, _ in parts]), whole[0][0])
    plain = next(training_batches(data, data.train, steps=1, **{**given, "augment": "none"}))
    assert torch.equal(plain[1], whole[0][1]) and not torch.equal(plain[0], whole[0][0])


def test_an_image_that_a_function_changes_in_place_is_not_that_of_the_data() -> None:
    batch = images()
    before = batch.clone()
    apply_own(lambda image: image.zero_(), batch, seed=0, step=0, first=0)
    assert torch.equal(batch, before)


def test_an_image_with_gradients_is_one_without() -> None:
    images = torch.full((2, 1, 4, 4), 51, dtype=torch.uint8)
    gain = torch.ones((), requires_grad=True)
    changed = apply_own(lambda image: image / 255 * gain, images, 0, 0, 0)
    assert not changed.requires_grad and changed.unique().item() == pytest.approx(51)


def test_the_name_says_which_function_it_is_and_how_it_is_set() -> None:
    assert register_augmentation(Noise(2)).startswith("own:Noise@")
    given = (Noise(2), Noise(3), Noise(2, Noise(4)), Noise(2, Noise(5)), drawn, partial(drawn))
    names = [register_augmentation(one) for one in given]
    assert len(set(names[:5])) == 5
    assert register_augmentation(Noise(2)) == names[0]


def test_settings_beside_an_address_are_part_of_the_name() -> None:
    class Applied:
        def __init__(self, chance: float) -> None:
            self.parts = (object(), chance)

        def __repr__(self) -> str:
            return f"Applied{self.parts}"

        def __call__(self, image: Tensor) -> Tensor:
            return image

    names = [register_augmentation(Applied(chance)) for chance in (0.1, 0.5, 0.5)]
    assert names[0] != names[1] == names[2]


def test_one_batch_may_have_images_of_both_types() -> None:
    def either(image: Tensor) -> Tensor:
        return image if image[0, 0, 0] % 2 else image.double() / 255

    batch = images()
    assert {int(one) % 2 for one in batch[:, 0, 0, 0]} == {0, 1}
    changed = apply_own(either, batch, seed=0, step=0, first=0)
    assert changed.dtype == torch.float32
    assert torch.allclose(changed, batch.float())


def test_images_are_moved_to_the_device_of_the_batch() -> None:
    def on_the_cpu(image: Tensor) -> Tensor:
        return torch.zeros(image.shape, dtype=torch.uint8)

    batch = images().to("meta")
    assert apply_own(on_the_cpu, batch, seed=0, step=0, first=0).device == batch.device


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda image: image[:, 1:], r"returns torch.uint8 \[3, 5, 6\] for an image \[3, 6, 6\]"),
        (lambda image: image.long(), r"returns torch.int64 \[3, 6, 6\]"),
        (
            lambda image: image[7],
            r"the function fails for an image \[3, 6, 6\] \(IndexError: index 7",
        ),
        (lambda image: image.numpy(), "returns ndarray for an image"),
        (lambda image: image.float(), "returns values of 0 to 2.*; allowed for float: 0 to 1"),
    ],
)
def test_what_is_no_image_is_one_line(function: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        apply_own(function, images(), seed=0, step=0, first=0)


@pytest.mark.parametrize(
    ("function", "told"),
    [(Noise, r"it is a class; give an instance, Noise\(\)"), (3, "3 is not a function")],
)
def test_what_is_no_function_is_one_line(function: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        register_augmentation(function)


def test_a_function_of_a_module_is_known_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "their_transforms.py").write_text("def strong(image):\n    return image // 2\n")
    name = name_augmentation("their_transforms:strong")
    assert name.startswith("their_transforms:strong@") and name_augmentation(name) == name
    assert find_augmentation(name)(torch.tensor([4])) == 2
    other = name[:-3] + ("00)" if name[-3:] != "00)" else "11)")
    with pytest.raises(
        UserError, match=r"the run was started with another function, of the digest"
    ):
        find_augmentation(other)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            "no_such_module:strong",
            "no_such_module cannot be imported .ModuleNotFoundError: .*write",
        ),
        ("torch.nn.functional:crosentropy", "no such name; did you mean 'cross_entropy'"),
        ("torch.nn:Identity", "it is a class; give an instance, Identity"),
        ("math:pi", "3.14.* is not a function of an image"),
        ("own:Noise@00000000", "this process has no such function; give it to spos.search"),
    ],
)
def test_a_place_without_a_function_is_one_line(place: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        find_augmentation(place)


def test_a_module_that_ends_the_process_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole_script.py").write_text("def strong(image): ...\nraise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"whole_script cannot be imported \(SystemExit: 0\)"):
        find_augmentation("whole_script:strong")
