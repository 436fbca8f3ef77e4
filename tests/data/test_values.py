"""Images with values to be predicted instead of classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spos import UserError
from spos.data import TensorImages, dataset_data, evaluation_batches, training_batches
from spos.data.split import split_targets


class Valued:
    """Images, each with its number as a target of some form."""

    def __init__(self, target, count: int = 40) -> None:
        self.target = target
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        if index >= self.count:
            raise IndexError(index)
        return torch.full((1, 8, 8), index, dtype=torch.uint8), self.target(index)


FORMS = {
    "number": (lambda index: index / 2, ()),
    "whole number": (lambda index: index, ()),
    "array": (lambda index: np.array([index, -1.0]), (2,)),
    "list": (lambda index: [index % 2 == 0, index > 20, True], (3,)),
    "map": (lambda index: torch.full((2, 4, 4), float(index)), (2, 4, 4)),
}


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize("form", FORMS)
def test_values_of_any_shape_stay_with_their_images(form, stream):
    target, shape = FORMS[form]
    data = dataset_data(Valued(target), targets="values", stream=stream)
    assert (data.classes, data.outputs) == ((), max(1, int(np.prod(shape))))
    for images in (data.train, data.validation, data.test()):
        assert images.labels.dtype == torch.float32
        assert images.labels.shape == (len(images), *shape)
        numbers = images.pixels(range(len(images)))[:, 0, 0, 0].tolist()
        expected = [torch.as_tensor(target(number), dtype=torch.float32) for number in numbers]
        assert torch.equal(images.labels, torch.stack(expected))
    assert (len(data.train), len(data.validation), len(data.test())) == (32, 4, 4)
    batch = next(training_batches(data, data.train, batch_size=8, seed=0, steps=1, device="cpu"))
    assert batch[1].shape == (8, *shape)
    batches = evaluation_batches(data, data.validation, batch_size=3, device="cpu")
    assert [len(targets) for _, targets in batches] == [3, 1]


def test_the_images_change_with_the_values_and_with_nothing_else():
    first, second, other = (
        dataset_data(Valued(lambda index, by=by: index * by), targets="values").fingerprint
        for by in (1, 1, 2)
    )
    assert first == second != other


def test_images_for_training_are_joined_with_their_values():
    data = dataset_data(Valued(lambda index: [index, 0]), targets="values")
    joined = data.train.join(data.validation)
    assert torch.equal(joined.labels[:, 0].long(), joined.pixels(range(36))[:, 0, 0, 0].long())


def test_a_dataset_of_test_images_may_have_values_of_its_own():
    data = dataset_data(
        Valued(lambda index: index), targets="values", test=Valued(lambda index: index + 100, 5)
    )
    assert data.test().labels.tolist() == [100, 101, 102, 103, 104]


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        (Valued(lambda i: "cat"), {}, "^train, item 0: target 'cat'; allowed: a number, or a"),
        (Valued(lambda i: [0.0, float("inf")]), {}, "^train, item 0: non-finite target"),
        (
            Valued(lambda i: [0.0] * (1 + (i == 3))),
            {},
            r"^train, item 3: a target of shape \[2\], the first has \[1\]",
        ),
        (Valued(lambda i: 1, 0), {}, "^train: the Dataset is empty; it needs images$"),
        (Valued(lambda i: 1), {"classes": ["a"]}, "^classes: targets='values' have none"),
        (Valued(lambda i: 1), {"targets": "value"}, "^targets value: did you mean 'values'"),
        (Valued(lambda i: 0.5), {"targets": "classes"}, r"label 0.5; .* targets='values'\)$"),
        (
            Valued(lambda i: 1),
            {"test": Valued(lambda i: [1, 2])},
            r"^test: targets of shape \[2\], those of train have shape \[\]",
        ),
        (
            Valued(lambda i: 1),
            {"validation": 36},
            "^validation 36: 36 of 36 images, but both parts need an image; allowed: 1 to 35",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(items, options, message):
    with pytest.raises(UserError, match=message) as error:
        dataset_data(items, **{"targets": "values", **options})
    assert "\n" not in str(error.value)


def test_a_random_split_is_disjoint_complete_and_the_seeds():
    targets = torch.rand(50)
    rest, part = split_targets(targets, 0.3, seed=1)
    assert sorted([*rest, *part]) == list(range(50)) and len(part) == 15
    assert all(np.diff(rest) > 0) and all(np.diff(part) > 0)
    assert np.array_equal(part, split_targets(targets, 15, seed=1)[1])
    assert not np.array_equal(part, split_targets(targets, 15, seed=2)[1])


def test_images_with_values_in_memory():
    images = TensorImages(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.rand(3, 2))
    assert images.subset([2, 0]).labels.shape == (2, 2)
