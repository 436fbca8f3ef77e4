from __future__ import annotations

import pytest
import torch

from spos._util.errors import UserError
from spos.data import rich
from spos.data.augmentation import POLICIES, augment, check_policy, draw, padding


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 16, channels: int = 3, size: int = 32) -> torch.Tensor:
    shape = (count, channels, size, size)
    return torch.randint(256, shape, dtype=torch.uint8, generator=random(9))


def needs_kornia(policy: str) -> None:
    # It needs Python 3.11.
    if policy == "rich":
        pytest.importorskip("kornia")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_part_of_the_batch_is_augmented_exactly_as_in_the_whole(policy, channels):
    needs_kornia(policy)
    batch = images(channels=channels)
    draws = draw(policy, len(batch), 32, random())
    fill = torch.full((channels,), 100.0)
    whole = augment(batch, draws, fill)
    half = augment(batch[8:], {name: drawn[8:] for name, drawn in draws.items()}, fill)
    assert whole.shape == batch.shape and torch.equal(whole[8:], half)
    assert whole.min() >= 0 and whole.max() <= 255
    assert policy == "none" or not torch.equal(whole.float(), batch.float())


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_but_the_generator_is_drawn_from(policy):
    needs_kornia(policy)
    before = torch.get_rng_state()
    results = [augment(images(), draw(policy, 16, 32, random(3))) for _ in range(2)]
    assert torch.equal(*results) and torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [8, 28, 32])
def test_standard_is_the_crop_and_flip_of_one_image_at_a_time(size):
    batch = images(size=size)
    draws = draw("standard", len(batch), size, random())
    edge = padding(size)
    for image, (down, right), flip, result in zip(
        batch, draws["shift"], draws["flip"], augment(batch, draws), strict=True
    ):
        padded = torch.nn.functional.pad(image, (edge, edge, edge, edge))
        expected = padded[:, down : down + size, right : right + size]
        assert torch.equal(result, expected.flip(2) if flip else expected)
    assert 0 < draws["flip"].sum() < len(batch)


def test_crop_never_flips_and_flip_never_moves():
    assert set(draw("crop", 4, 8, random())) == {"shift"}
    batch = images()
    for image, result in zip(batch, augment(batch, draw("flip", 16, 32, random())), strict=True):
        assert torch.equal(result, image) or torch.equal(result, image.flip(2))


def test_cutout_paints_at_most_a_square_of_half_the_side_with_the_fill():
    batch = torch.full((64, 3, 32, 32), 7, dtype=torch.uint8)
    draws = {"hole": draw("cutout", 64, 32, random())["hole"]}
    painted = augment(batch, draws, torch.tensor([50.4, 60.0, 70.0]))
    area = (painted != 7).all(1).sum(dim=(1, 2))
    assert painted.dtype == torch.uint8 and painted[0].amax(dim=(1, 2)).tolist() == [50, 60, 70]
    assert area.max() == 16 * 16 and area.min() >= 8 * 8


def test_imagenet_without_a_crop_or_jitter_is_the_image():
    batch = images(4)
    draws = {
        "box": torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(4, 1),
        "flip": torch.tensor([False, True, False, True]),
        "jitter": torch.ones(4, 3),
    }
    result = augment(batch, draws)
    for image, view, flip in zip(batch.float(), result, draws["flip"], strict=True):
        assert torch.allclose(view, image.flip(2) if flip else image, atol=0.01)


def test_imagenet_boxes_stay_inside_and_have_the_area_and_ratio():
    centre, sides = draw("imagenet", 5000, 32, random())["box"].split(2, dim=1)
    assert (centre.abs() + sides <= 1 + 1e-5).all()
    area, ratio = sides.prod(1), sides[:, 1] / sides[:, 0]
    assert 0.079 < area.min() < 0.1 and area.max() <= 1
    assert ratio.min() >= 0.7499 and ratio.max() <= 1.3334


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", rich.OPERATIONS)
def test_each_rich_operation_changes_the_image_and_keeps_its_range(name, channels):
    needs_kornia("rich")
    batch = images(4, channels)
    drawn = torch.tensor([[[list(rich.OPERATIONS).index(name), 0.8], [99, 0]]]).repeat(4, 1, 1)
    result = rich.apply_operations(batch, drawn)
    assert result.min() >= 0 and result.max() <= 255 and result.isfinite().all()
    grey = channels == 1 and name in ("saturation", "hue")
    assert torch.allclose(result, batch.float(), atol=1e-3) == grey


def test_a_mistyped_policy_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"^augment cutuot: did you mean 'cutout'\? allowed: n"):
        check_policy("cutuot")


def test_rich_without_kornia_says_what_to_install(monkeypatch):
    monkeypatch.setattr(rich.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'spos\[augment\]'") as error:
        check_policy("rich")
    assert "\n" not in str(error.value)
