from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from spos._util.errors import UserError
from spos.data import StreamedImages, TensorImages, dataset_data, training_batches


class Pairs(Dataset):
    def __init__(self, make, count: int = 60, labels: int = 3) -> None:
        self.make = make
        self.count = count
        self.labels = labels

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        if index >= self.count:
            raise IndexError(index)
        return self.make(index), index % self.labels


def byte_tensor(index: int) -> torch.Tensor:
    return torch.full((3, 8, 8), index, dtype=torch.uint8)


FORMS = {
    "byte tensor": byte_tensor,
    "float tensor": lambda index: byte_tensor(index).float() / 255,
    "double array": lambda index: np.full((8, 8, 3), index / 255),
    "byte array": lambda index: np.full((8, 8, 3), index, np.uint8),
    "with alpha": lambda index: np.dstack(
        [np.full((8, 8, 3), index, np.uint8), np.full((8, 8), 255, np.uint8)]
    ),
    "PIL": lambda index: Image.new("RGB", (8, 8), (index,) * 3),
    "PIL palette": lambda index: Image.new("RGB", (8, 8), (index,) * 3).quantize(2),
    "grey tensor": lambda index: byte_tensor(index)[:1],
    "grey array": lambda index: np.full((8, 8), index, np.uint8),
    "grey PIL": lambda index: Image.new("L", (8, 8), index),
    "grey PIL of floats": lambda index: Image.new("F", (8, 8), index / 255),
}


@pytest.mark.parametrize("stream", ["auto", "always"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_same_pixels(form, stream):
    data = dataset_data(Pairs(FORMS[form]), stream=stream)
    assert data.channels == (1 if "grey" in form else 3) and data.source == "dataset"
    assert [len(data.train), len(data.validation), len(data.test())] == [49, 5, 6]
    seen = []
    for images in (data.train, data.validation, data.test()):
        pixels = images.pixels(range(len(images)))
        values = pixels[:, 0, 0, 0].long()
        assert (pixels == values[:, None, None, None]).all()
        assert torch.equal(values % 3, images.labels)
        seen += values.tolist()
    assert sorted(seen) == list(range(60))


@pytest.mark.parametrize(
    ("stream", "expected"), [("never", TensorImages), ("always", StreamedImages)]
)
def test_a_test_dataset_is_the_test_set(stream, expected):
    images, others = Pairs(byte_tensor), Pairs(byte_tensor, 12)
    data = dataset_data(images, test=others, validation=6, stream=stream)
    assert [len(data.train), len(data.validation), len(data.test())] == [54, 6, 12]
    assert data.notes == ("12 of the 12 test images are equal to training or validation images",)
    assert isinstance(data.test(), expected)


def test_a_large_dataset_is_streamed_and_makes_the_same_batches():
    made = []
    for options in ({}, {"memory_limit": 100}, {"stream": "always", "workers": 1}):
        data = dataset_data(Pairs(byte_tensor), **options)
        assert isinstance(data.train, StreamedImages if options else TensorImages)
        made.append(
            list(training_batches(data, data.train, batch_size=8, seed=0, steps=7, device="cpu"))
        )
    for (x, y), *others in zip(*made, strict=True):
        assert all(torch.equal(x, a) and torch.equal(y, b) for a, b in others)


def test_classes_are_those_given_those_of_the_dataset_or_numbers():
    items = Pairs(byte_tensor)
    assert dataset_data(items).classes == ("0", "1", "2")
    items.classes = ["a", "b", "c"]
    assert dataset_data(items).classes == ("a", "b", "c")
    assert dataset_data(items, classes=("x", "y", "z")).classes == ("x", "y", "z")


def test_a_test_set_that_numbers_its_classes_otherwise_is_refused():
    items, others = Pairs(byte_tensor), Pairs(byte_tensor, 12, 2)
    items.classes, others.classes = ["cat", "dog", "owl"], ["cat", "dog"]
    assert len(dataset_data(items, test=others).test()) == 12
    # As those that number the folders they find, of which one has no dogs.
    others.classes = ["cat", "owl"]
    message = "^test: label 1 is the class 'owl', in train it is 'dog'; number the classes of both"
    with pytest.raises(UserError, match=message):
        dataset_data(items, test=others)
    others.target_transform = {0: 0, 1: 2}.get
    assert len(dataset_data(items, test=others).test()) == 12


def test_a_size_resizes_all():
    items = Pairs(lambda index: np.zeros((8 + index % 2, 12), np.uint8))
    assert dataset_data(items, image_size=6).train.images.shape[1:] == (1, 6, 6)


def of(image, label=0):
    return lambda index: image


def failing(error: Exception):
    def image(index: int):
        if index == 4:
            raise error
        return byte_tensor(index)

    return image


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        (Pairs(byte_tensor, 0), {}, "^train: the Dataset is empty"),
        (Pairs(byte_tensor, 60, 1), {}, "only one class"),
        ([1, 2, 3], {}, r"^train, item 0: int; allowed: \(image, label\)"),
        ([(byte_tensor(0), "cat")], {}, "item 0: label 'cat'; allowed: an integer"),
        ([(byte_tensor(0), -1)], {}, "label -1"),
        ([(byte_tensor(0), 0.5)], {}, "label 0.5"),
        ([(byte_tensor(0), 2**63)], {}, "label 9223372036854775808; allowed"),
        ([(byte_tensor(0), torch.tensor(0, device="meta"))], {}, "item 0: a tensor of .* on meta"),
        ([(byte_tensor(0).bfloat16(), 0)], {}, "item 0: a tensor of torch.bfloat16, .*; allowed"),
        ([(byte_tensor(0).to_sparse(), 0)], {}, "item 0: a tensor of torch.uint8, torch.sparse"),
        ({0: (byte_tensor(0), 0)}, {}, "dataset dict: has no items by index"),
        ([(byte_tensor(0), torch.tensor([1, 2]))], {}, "label tensor"),
        ([("a.png", 0)], {}, "item 0: str; allowed: a PIL image, a tensor, or an array"),
        (
            [(torch.zeros(8, 8), 0)],
            {},
            r"of shape \[8, 8\]; allowed: a tensor \[C, H, W\]",
        ),
        (
            [(np.zeros((3, 8, 8)), 0)],
            {},
            r"of shape \[3, 8, 8\]; allowed: an array \[H, W\]",
        ),
        ([(torch.randn(3, 8, 8), 0)], {}, "before any normalisation"),
        ([(torch.full((3, 8, 8), torch.nan), 0)], {}, "values of nan to nan"),
        ([(np.zeros((8, 8), np.uint16), 0)], {}, "values of type uint16; allowed: uint8"),
        ([(Image.new("I", (8, 8), 200), 0)], {}, "values of type int32; allowed: uint8, or float"),
        ([(Image.new("F", (8, 8), 200), 0)], {}, "values of 200 to 200; allowed for float: 0 to 1"),
        ([(torch.zeros(3, 0, 4), 0)], {}, r"an image of shape \[3, 0, 4\]"),
        (Pairs(byte_tensor), {"classes": ["a", "b", "a"]}, "classes: 'a' is given 2 times; give"),
        (Pairs(byte_tensor), {"classes": "abc"}, "classes 'abc': must be a list of names"),
        (
            Pairs(failing(ValueError("not\na photograph"))),
            {},
            r"train, item 4: the Dataset cannot give it \(ValueError: not a photograph\)",
        ),
        (
            Pairs(failing(FileNotFoundError(2, "No such file or directory", "4.jpg"))),
            {},
            r"train, item 4: the Dataset cannot give it \(4.jpg: No such file or directory\)",
        ),
        (Pairs(byte_tensor), {"classes": ["a"]}, "classes: 1 names for labels up to 2; .* 3"),
        (
            [(byte_tensor(n), n % 2 * 2**62) for n in range(60)],
            {},
            "train: label 4611686018427387904 of 60 images; allowed: below 1,000, numbers",
        ),
        (Pairs(byte_tensor), {"validation": 2.0}, "^validation 2.0: must be a fraction"),
        (Pairs(byte_tensor), {"test_size": 1}, "^test 1: 1 of 60 images"),
        (Pairs(byte_tensor), {"test": Pairs(byte_tensor, 8, 4)}, "^test: label 3; .* 0 to 2"),
        (
            Pairs(lambda index: np.zeros((8 + index % 2, 12), np.uint8)),
            {},
            "item 1: 12x9 pixels, the first has 12x8; .*image_size=8",
        ),
        (
            Pairs(lambda index: byte_tensor(index)[: 3 if index == 4 else 1]),
            {},
            "item 4: an image in colour, but the first is grey",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(items, options, message):
    with pytest.raises(UserError, match=message) as error:
        dataset_data(items, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["train", "test"])
def test_a_dataset_with_random_transforms_is_refused(where):
    random = np.random.default_rng(0)

    def flipped(index: int) -> torch.Tensor:
        image = torch.arange(192, dtype=torch.uint8).view(3, 8, 8)
        return image.flip(2) if random.random() < 0.5 else image

    sets = {"train": Pairs(byte_tensor), "test": Pairs(byte_tensor), where: Pairs(flipped)}
    with pytest.raises(UserError, match=rf"^{where}, item \d: differs each time it is read"):
        dataset_data(sets["train"], test=sets["test"])


def test_a_lack_of_memory_is_no_mistake_of_a_dataset():
    with pytest.raises(MemoryError):
        dataset_data(Pairs(failing(MemoryError())))


def test_a_dataset_without_an_index_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            yield byte_tensor(0), 0

    with pytest.raises(UserError, match="dataset Stream: has no items by index"):
        dataset_data(Stream())


def test_nothing_is_printed(capfd, tmp_path: Path):
    dataset_data(Pairs(byte_tensor))
    assert capfd.readouterr() == ("", "")
