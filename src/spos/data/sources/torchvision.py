"""Data sets of torchvision that are on this machine."""

from __future__ import annotations

import inspect
from typing import Any

from torch.utils.data import ConcatDataset, Dataset

from spos._util.errors import UserError, nearest
from spos._util.libraries import reason, require_library
from spos.data.dataset import dataset_source
from spos.data.source import SOURCES, DataOptions, Source

#: Data sets of images and classes that read images, tables and arrays, and unpickle nothing.
READ = {
    *("Caltech101", "Caltech256", "Country211", "DTD", "EuroSAT", "FER2013", "FGVCAircraft"),
    *("FashionMNIST", "Flowers102", "Food101", "GTSRB", "INaturalist", "ImageFolder", "ImageNet"),
    *("Imagenette", "KMNIST", "LFWPeople", "MNIST", "Omniglot", "OxfordIIITPet", "PCAM", "QMNIST"),
    *("RenderedSST2", "SEMEION", "STL10", "SUN397", "SVHN", "StanfordCars", "USPS"),
}
#: Data sets whose files are pickles, which could run code, and what reads them without.
PICKLED = {"CIFAR10": "cifar10:PATH", "CIFAR100": "cifar100:PATH"}
#: What the splits of a data set are called, best first.
SPLITS = {"train": ("train", "trainval"), "val": ("val", "valid"), "test": ("test",)}


@SOURCES.register("torchvision")
def torchvision_source(argument: str, options: DataOptions) -> Source:
    """Images of a class of ``torchvision.datasets``; nothing is downloaded.

    Args:
        argument (str): name of the class and its root folder: ``SVHN:PATH``.
        options (DataOptions): how the images are read.

    Raises:
        UserError: torchvision cannot be imported, has no such data set, or does not find it.
    """
    datasets = require_library("torchvision").datasets
    name, _, root = argument.partition(":")
    if name not in datasets.__all__:
        raise UserError(f"no data set '{name}' in torchvision; {nearest(name, datasets.__all__)}")
    if name in PICKLED:
        raise UserError(
            f"{name}: its files are pickles, which are never read; give {PICKLED[name]}"
        )
    kind = getattr(datasets, name)
    known = inspect.signature(kind).parameters
    if "root" not in known:
        raise UserError(f"{name} has no files to read; allowed: data sets with a root folder")
    if name not in READ:
        raise UserError(
            f"{name} is not known to have images of classes, and no pickles, which are never "
            f"read; allowed: {', '.join(sorted(READ & {*datasets.__all__}))}"
        )
    if not root:
        raise UserError(f"the folder is missing; allowed: torchvision:{name}:PATH")

    def make(**split: Any) -> Any:
        # Most say by an argument that nothing is to be downloaded, and some have none.
        given = {**split, **({"download": False} if "download" in known else {})}
        try:
            return _Named(kind(root=root, **given), name)
        except Exception as error:
            raise UserError(f"{name} cannot be read from {root} ({reason(error)})") from error

    if "train" in known:
        parts = {"train": make(train=True), "test": make(train=False)}
    elif "split" in known:
        parts = {part: found for part in SPLITS if (found := _first(make, SPLITS[part]))}
        if "train" not in parts:
            parts["train"] = make(split="train")
    else:
        parts = {"train": make()}
    train, test = parts["train"], parts.get("test") or parts.get("val")
    classes = getattr(train.dataset, "classes", None)
    if classes is not None:
        # Those of ImageNet are tuples of synonyms.
        classes = [one if isinstance(one, str) else ", ".join(one) for one in classes]
    if "test" not in parts or "val" not in parts:
        return dataset_source(train, options, test=test, classes=classes)
    both = dataset_source(ConcatDataset([train, parts["val"]]), options, test=test, classes=classes)
    images, count = both.train, len(train)
    both.validation = images.subset(range(count, len(images)))
    both.train = images.subset(range(count))
    return both


class _Named(Dataset[Any]):
    """A data set whose errors are one line with its name."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.name = dataset, name
        self.count = len(dataset)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            # Whatever a library that reads files raises.
            raise UserError(f"{self.name}, item {index} ({reason(error)})") from error


def _first(make: Any, names: tuple[str, ...]) -> Any:
    """The first split that the data set knows; None if it knows none."""
    for name in names:
        try:
            return make(split=name)
        except UserError as error:
            # Of a split that it does not know; missing files are another error.
            if not isinstance(error.__cause__, ValueError):
                raise
    return None
