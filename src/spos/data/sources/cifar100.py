"""CIFAR-100 with its 100 fine classes, in its binary version."""

from functools import partial

from spos.data.source import SOURCES
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

SOURCES["cifar100"] = partial(cifar_source, version=VERSION)
