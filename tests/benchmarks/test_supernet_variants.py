"""Ways of training a supernet that are tried on ground truth, and are not part of the product."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from spos import CostTable, OneOf, Supernet
from spos._util.settings import parse_assignments
from spos.data.images import TensorImages
from spos.run.config import make_config
from spos.training import METHODS, SupernetRecipe
from spos.training.checkpoint import Checkpoints, read_tensors
from spos.training.loop import train
from spos.training.methods.uniform import uniform_paths

RECIPE = SupernetRecipe(
    steps=12, batch_size=4, learning_rate=0.1, warmup_steps=0, label_smoothing=0.0
)
IMAGES = torch.randn(12, 4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(48).view(12, 4) % 3


def small() -> Supernet:
    torch.manual_seed(0)
    layers = [
        OneOf({"1x1": nn.Conv2d(3, 3, 1), "3x3": nn.Conv2d(3, 3, 3, padding=1)}) for _ in range(2)
    ]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    return Supernet(model, (3, 6, 6))


def trained(method: str, folder: Path, recipe: SupernetRecipe, *until: int) -> dict[str, Tensor]:
    """The weights after a training, which may be in several parts."""
    from supernet_tricks import TRIED

    for end in (*until, None):
        model = small()
        train(
            Fabric(accelerator="cpu", devices=1),
            model,
            lambda start: zip(IMAGES[start:], TARGETS[start:], strict=True),
            recipe,
            Checkpoints(folder),
            seed=3,
            method=TRIED[method],
            until=end,
        )
    return model.state_dict()


def test_the_settings_of_all_variants_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    from supernet_tricks import TRIED
    from supernet_variants import FIRST, VARIANTS

    for name, method in TRIED.items():
        monkeypatch.setitem(METHODS, name, method)

    for settings in [*VARIANTS.values(), *FIRST.values()]:
        space = {"space": {"name": "nasbenchmacro", "preset": "proxy"}}
        config = make_config({**parse_assignments(settings), **space})
        assert config.supernet.method in METHODS


def test_the_learning_rate_of_costly_paths_falls_more_slowly(tmp_path: Path) -> None:
    recipe = replace(RECIPE, momentum=0.0, nesterov=False, weight_decay=0.0)
    found = trained("slower-when-costly", tmp_path, recipe)
    model = small()
    costs = CostTable(model)
    least, most = costs.range()["flops"]
    for step, (images, targets) in enumerate(zip(IMAGES, TARGETS, strict=True)):
        path = next(uniform_paths(model.space, 3, step))
        model.activate(path)
        model.zero_grad()
        nn.functional.cross_entropy(model(images), targets).backward()
        power = 1.5 - (costs.cost(path)["flops"] - least) / (most - least)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * (1 - step / 12) ** power * parameter.grad
    for name, weights in model.named_parameters():
        torch.testing.assert_close(found[name], weights.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("until", [(), (5,)])
def test_each_group_of_paths_has_a_momentum_of_its_own(
    until: tuple[int, ...], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, momentum=0.0, nesterov=False, weight_decay=0.0)
    found = trained("momentum-by-group", tmp_path, recipe, *until)
    model = small()
    # One optimiser of torch for each option of the first choice.
    optimizers = [
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True) for _ in range(2)
    ]
    for step, (images, targets) in enumerate(zip(IMAGES, TARGETS, strict=True)):
        path = next(uniform_paths(model.space, 3, step))
        model.activate(path)
        model.zero_grad()
        nn.functional.cross_entropy(model(images), targets).backward()
        optimizers[path[0]].param_groups[0]["lr"] = recipe.rate(step)
        optimizers[path[0]].step()
    for name, weights in model.named_parameters():
        torch.testing.assert_close(found[name], weights.detach(), rtol=1e-4, atol=1e-6)


def test_every_second_time_an_image_is_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    from supernet_tricks import alternate_flips

    monkeypatch.setattr(TensorImages, "pixels", TensorImages.pixels)
    pixels = torch.arange(20 * 4, dtype=torch.uint8).view(20, 1, 2, 2)
    images = TensorImages(pixels, torch.zeros(20, dtype=torch.int64))
    alternate_flips()
    first, order = images.pixels(range(20)), torch.randperm(20)
    second = images.pixels(order.tolist())
    assert torch.equal(second, first[order].flip(-1))
    mirrored = (first == pixels.flip(-1)).flatten(1).all(1)
    assert 4 < mirrored.sum() < 16
    assert torch.equal(first[~mirrored], pixels[~mirrored])


def test_whitening_filters_are_uncorrelated_and_of_variance_one(tmp_path: Path) -> None:
    from supernet_tricks import whiten

    whiten("digits", 8, 6, tmp_path / "filters.safetensors")
    tensors, _ = read_tensors(tmp_path / "filters.safetensors")
    filters = tensors["model.stem.0.weight"]
    assert filters.shape == (6, 1, 3, 3)
    from spos.data import load_data

    data = load_data("digits", image_size=8, test=0.1)
    pixels = (data.train.pixels(range(len(data.train))).float() / 255 - data.mean[0]) / data.std[0]
    responses = nn.functional.conv2d(pixels, filters).transpose(0, 1).flatten(1)
    torch.testing.assert_close(responses.cov(), torch.eye(6), rtol=0.05, atol=0.05)
