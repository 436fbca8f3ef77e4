"""CIFAR-100 in its binary version."""

from __future__ import annotations

from spos.data.source import SOURCES, DataOptions, Source
from spos.data.sources._cifar import Version, cifar_source

VERSION = Version(
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    labels=2,
    classes=100,
)


@SOURCES.register("cifar100")
def cifar100_source(argument: str, options: DataOptions) -> Source:
    """CIFAR-100 with its 100 fine classes, with its official test images.

    Raises:
        UserError: files are missing or damaged.
    """
    return cifar_source(argument, options, VERSION)
