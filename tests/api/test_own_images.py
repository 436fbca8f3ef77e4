"""Images in memory, or as a Dataset."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_models import QUICK, arrays, stack
from PIL import Image
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

import spos
from spos import UserError
from spos._api import FoundNetwork
from spos._api.own_images import OwnImages, as_dataset, as_images
from spos.cost.count import count_network
from spos.data.images import TensorImages


@pytest.mark.parametrize(("side", "times"), [(8, 1), (6, 2)])
def test_a_dataset_is_read_once_unless_its_images_are_shrunk(side: int, times: int) -> None:
    class Counted(TensorDataset):
        read = 0

        def __getitem__(self, index: int) -> Any:
            self.read += 1
            return super().__getitem__(index)

    pixels, labels = arrays()
    dataset = Counted(pixels, labels)
    images = OwnImages(dataset, None, None)
    data = images.load({"layout": {"image_size": side}, "data": {"test": 20}}, 0)
    assert data.image_size == side and images.facts.count == len(pixels)
    # The first item a few times more, for its size and channels.
    assert round(dataset.read / len(pixels)) == times
    again = images.load({"layout": {"image_size": side}, "data": {"test": 20}}, 0)
    assert again.fingerprint == data.fingerprint
    assert torch.equal(again.train.pixels([0, 1]), data.train.pixels([0, 1]))


def test_a_single_image_in_colour_is_no_three_grey_ones() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert as_images(image).shape == as_images(image, 1).shape == (3, 1, 8, 8)
    assert as_images(image[:2], 3).shape == (2, 1, 8, 8)
    with pytest.raises(
        UserError, match=r"images of shape \[3, 8, 8\]: a single one; give image\[N"
    ):
        as_images(image, 3)


def test_images_are_as_large_as_those_of_a_space_by_name(tmp_path: Path) -> None:
    larger = arrays()[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert larger.shape[2:] == (16, 16)
    given: dict[str, Any] = {"settings": QUICK, "compare": 0, "threads": 1}
    small = spos.search("shufflenetv2", (larger, arrays()[1]), out=tmp_path / "run", **given)
    assert small.result.data.image_size == 8, "the side of the preset tiny"
    counted = count_network(small.network, (1, 8, 8))
    assert small.costs["flops"] == counted["flops"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"data": "digits", "test": arrays()}, "test: digits is a source with test images of its"),
        ({"data": (arrays()[0], arrays()[1][:30])}, "1797 images and 30 classes: give one class"),
    ],
)
def test_images_that_do_not_go_together_are_refused(
    given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        spos.search("mobile", **given, time="1m", out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "part",
    [
        {"sampler": SubsetRandomSampler([0, 1, 2])},
        {"batch_sampler": [[0, 1], [2, 3]]},
        {"collate_fn": lambda items: items},
    ],
)
def test_a_loader_of_some_images_is_refused(part: dict[str, Any], tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*arrays()), **part)
    with pytest.raises(UserError, match=f"a DataLoader with the {next(iter(part))} "):
        spos.search(stack(), loader, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_images_that_are_not_square_are_cut_and_it_is_said() -> None:
    pixels, labels = arrays()
    wide = torch.nn.functional.pad(pixels, (3, 3))
    data = OwnImages(TensorDataset(wide, labels), None, None).load({}, 0)
    assert "images of 14x8 pixels: the middle 8x8" in data.notes
    assert data.train.pixels([0]).shape == (1, 1, 8, 8)


def test_images_of_several_sizes_are_resized_to_the_one_that_is_given() -> None:
    images = [Image.new("RGB", (20 + number % 3, 24)) for number in range(30)]
    items = [(image, number % 2) for number, image in enumerate(images)]
    at_median = OwnImages(items, None, None)
    assert at_median.facts.side == 21
    for side in (21, 16):
        data = at_median.load({"layout": {"image_size": side}, "data": {"test": 4}}, 0)
        assert data.image_size == side
        assert "images of several sizes: the middle square of each, resized" in data.notes
    planned = {"layout": {"image_size": 16}, "data": {"test": 4, "stream": "always"}}
    data = OwnImages(items, None, None, 16).load(planned, 0)
    assert data.image_size == 16 and not isinstance(data.train, TensorImages)


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_may_have_their_channels_last_or_none(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 9, 8, channels), dtype=np.uint8)
    labels = np.arange(40) % 2
    expected, *forms = [
        pixels.transpose(0, 3, 1, 2),
        pixels,
        torch.tensor(pixels),
        *([pixels[..., 0], pixels[..., 0] / 255] if channels == 1 else []),
    ]
    known = OwnImages(as_dataset((expected, labels)), None, None).load({}, 0).fingerprint
    for form in forms:
        data = OwnImages(as_dataset((form, labels)), None, None).load({}, 0)
        assert data.fingerprint == known and data.channels == channels


def test_other_images_of_the_same_labels_are_no_finished_run(
    found: FoundNetwork, tmp_path: Path
) -> None:
    images, labels = arrays()
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1, "compare": 1}
    for other in ((255 - images, labels), (images, (labels + 1) % 10)):
        with pytest.raises(UserError, match="images of dataset are not those that"):
            spos.search(stack(), other, out=found.folder, **given)
    with pytest.raises(UserError, match=rf"those that {found.folder} .* or leave reuse= out"):
        spos.search(stack(), (255 - images, labels), out=tmp_path / "a", reuse=found, threads=1)
    # Nothing was copied that the run would then be of.
    assert not (tmp_path / "a").exists()


PIXELS = np.arange(80 * 64, dtype=np.uint8).reshape(80, 1, 8, 8)
LABELS = np.arange(80) % 2


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (PIXELS[::-1].copy()[::-1], LABELS),
        (PIXELS, (1 - LABELS)[::-1]),
        (PIXELS, LABELS.astype(">i8")),
        ((PIXELS / 255).astype(">f4"), LABELS),
    ],
)
def test_arrays_in_any_order_of_memory_are_the_same_images(images: Any, labels: Any) -> None:
    data, expected = (
        OwnImages(as_dataset(pair), None, None).load({}, 0)
        for pair in ((images, labels), (PIXELS, LABELS))
    )
    assert data.fingerprint == expected.fingerprint


def test_an_array_that_may_only_be_read_is_read_without_a_warning() -> None:
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(as_dataset((images, [0, 1, 0, 1]))) == 4


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (PIXELS, np.array(["a", "b"] * 40), "classes of type <U1; allowed: whole numbers from 0"),
        (PIXELS, LABELS.astype(object), "classes of type object; allowed"),
        (PIXELS, np.zeros(80, [("a", "i4")]), "classes of type .*; allowed"),
        (PIXELS, np.array(3), "classes of type int64; allowed"),
        (PIXELS, [0, 2**63], "classes of type list; allowed"),
        (PIXELS, torch.tensor(LABELS).to("meta"), "classes of type torch.int64; allowed"),
        (np.array(3), LABELS, "images of type int64; allowed: a dense array or tensor"),
        (torch.tensor(PIXELS).bfloat16(), LABELS, "images of type torch.bfloat16; allowed"),
        (torch.tensor(PIXELS).to_sparse(), LABELS, "images of type torch.uint8; allowed"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(images: Any, labels: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        as_dataset((images, labels))
