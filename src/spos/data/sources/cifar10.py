"""CIFAR-10 in its binary version."""

from functools import partial

from spos.data.source import SOURCES
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

SOURCES["cifar10"] = partial(cifar_source, version=VERSION)
