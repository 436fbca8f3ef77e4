"""CIFAR-10 in its binary version."""

from __future__ import annotations

from spos.data.source import SOURCES, DataOptions, Source
from spos.data.sources._cifar import Version, cifar_source

VERSION = Version(
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    labels=1,
    classes=10,
)


@SOURCES.register("cifar10")
def cifar10_source(argument: str, options: DataOptions) -> Source:
    """CIFAR-10, with its official test images.

    Raises:
        UserError: files are missing or damaged.
    """
    return cifar_source(argument, options, VERSION)
