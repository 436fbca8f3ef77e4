from __future__ import annotations

import numpy as np
import pytest
import torch

from spos.data import DataOptions, TensorImages, array_source
from spos.data.load import assemble, statistics
from spos.data.source import resize


def numbered(count: int, *, owned: bool = False) -> TensorImages:
    pixels = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    return TensorImages(pixels.contiguous(), torch.arange(count), owned=owned)


@pytest.mark.parametrize("indices", [[4, 0, 2], torch.tensor([4, 0, 2]), [], range(5)])
def test_a_subset_has_the_images_in_the_order_asked_for(indices):
    subset = numbered(6).subset(indices)
    assert subset.labels.tolist() == list(map(int, indices)) == subset.images[:, 0, 0, 0].tolist()
    assert len(subset) == len(indices)


def test_splitting_off_needs_no_second_copy():
    images = numbered(200, owned=True)
    storage = images.images.data_ptr()
    part = list(range(0, 200, 7))
    rest = [at for at in range(200) if at % 7]
    kept, taken = images.split_off(rest, part)
    for side, expected in ((kept, rest), (taken, part)):
        assert side.images[:, 0, 0, 0].tolist() == side.labels.tolist() == expected
    assert kept.images.data_ptr() == storage
    assert len(images) == len(images.images) == 0


def test_arrays_of_the_user_are_left_as_they_are_and_can_be_loaded_again():
    pixels = np.arange(200, dtype=np.uint8).repeat(64).reshape(200, 1, 8, 8)
    labels, before, options = np.arange(200) % 2, pixels.copy(), DataOptions(test=0.1)
    for _ in range(2):
        data = assemble("mine", "mine", array_source(pixels, labels, options), options)
        assert (pixels == before).all() and len(data.train) == 162
        for part in (data.train, data.validation, data.test()):
            shown = part.pixels(range(len(part)))[:, 0, 0, 0]
            assert (shown % 2).tolist() == part.labels.tolist()


def test_splitting_off_in_any_order():
    kept, taken = numbered(5).split_off([3, 1], [0])
    assert kept.images[:, 0, 0, 0].tolist() == [3, 1] and taken.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 5, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, 2)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, 3, dtype=torch.int64)),
    ],
)
def test_other_shapes_and_types_are_refused(images, labels):
    with pytest.raises(ValueError, match="allowed: "):
        TensorImages(images, labels)


def test_a_constant_channel_has_deviation_one():
    images = TensorImages(torch.full((3, 1, 2, 2), 51, dtype=torch.uint8), torch.arange(3))
    mean, deviation = statistics(images)
    assert mean == pytest.approx((0.2,)) and deviation == (1.0,)


def test_resizing_keeps_the_middle_and_the_range():
    wide = torch.zeros(1, 1, 4, 12, dtype=torch.uint8)
    wide[..., 4:8] = 200
    assert (resize(wide, 2) == 200).all()
    checks = (torch.arange(8) % 2 * 255).to(torch.uint8).expand(1, 1, 8, 8).contiguous()
    assert resize(checks, 16).shape == (1, 1, 16, 16)
    assert abs(int(resize(checks, 1)) - 128) < 3
