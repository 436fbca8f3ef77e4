"""The sources that come as arrays: digits, Fashion-MNIST, CIFAR."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spos._util.errors import UserError
from spos.data import load_data
from spos.data.sources import cifar10, cifar100
from spos.data.sources.fashion_mnist import DEBIAN

VERSIONS = {"cifar10": cifar10.VERSION, "cifar100": cifar100.VERSION}


def fails(message: str, spec: str, **options) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_data(spec, **options)
    assert "\n" not in str(error.value)


def test_digits_keep_their_test_images_whatever_the_options():
    one, other = load_data("digits"), load_data("digits", seed=5, validation=200, test=0.4)
    assert torch.equal(one.test().images, other.test().images) and len(one.test()) == 359
    assert [len(one.train), len(one.validation)] == [1294, 144]
    assert [len(other.train), len(other.validation)] == [1238, 200]
    assert one.classes == tuple("0123456789") and (one.channels, one.image_size) == (1, 8)
    assert one.train.images.max() == 255 and one.source == "digits"
    assert (
        one.fingerprint
        != other.fingerprint
        == load_data("digits", seed=5, validation=200).fingerprint
    )


def test_digits_are_enlarged_when_asked():
    data = load_data("digits", image_size=16)
    assert data.train.images.shape[1:] == (1, 16, 16) and data.image_size == 16
    assert data.test().images.shape[1:] == (1, 16, 16)


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + bytes(array.astype(np.uint8).tobytes())
    )


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part, count in (("train", 100), ("t10k", 30)):
        images = random.integers(0, 256, (count, 28, 28))
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return tmp_path


def test_idx_files_raw_or_compressed(mnist):
    data = load_data(f"fashion-mnist:{mnist}")
    assert [len(data.train), len(data.validation), len(data.test())] == [90, 10, 30]
    assert (data.channels, data.image_size, data.classes[9]) == (1, 28, "Ankle boot")
    assert torch.equal(data.test().labels, torch.arange(30) % 10)
    assert load_data(f"fashion-mnist:{mnist}", image_size=14).train.images.shape[2] == 14


def test_damaged_idx_files_are_named(mnist):
    spec = f"fashion-mnist:{mnist}"
    images, labels = mnist / "train-images-idx3-ubyte.gz", mnist / "train-labels-idx1-ubyte"
    whole = images.read_bytes(), labels.read_bytes()
    images.write_bytes(whole[0][:-100])
    fails("train-images-idx3-ubyte.gz: cannot be read", spec)
    images.write_bytes(b"no gzip")
    fails("train-images-idx3-ubyte.gz: cannot be read", spec)
    images.write_bytes(gzip.compress(gzip.decompress(whole[0])[:-5]))
    fails("its header says 100 x 28 x 28, which needs 78416", spec)
    images.write_bytes(gzip.compress(whole[1]))
    fails("begins with 00000801; .* 3 dimensions begins with 00000803", spec)
    images.write_bytes(gzip.compress(whole[0][:0]))
    fails("begins with nothing", spec)
    images.write_bytes(gzip.compress(gzip.decompress(whole[0]) + b"more"))
    fails("more bytes; its header says 100 x 28 x 28, which needs 78416", spec)
    images.write_bytes(gzip.compress(idx(np.zeros((100, 0, 28)))))
    fails("its header says 100 x 0 x 28, which are images without pixels", spec)
    images.write_bytes(whole[0])
    labels.write_bytes(idx(np.arange(99) % 10))
    fails("99 labels for the 100 images", spec)
    labels.write_bytes(idx(np.arange(100) % 11))
    fails("label 10; allowed: 0 to 9", spec)
    labels.write_bytes(whole[1][:6])
    fails("begins with 00000801; .* a header of 8 bytes", spec)
    labels.unlink()
    fails("no train-labels-idx1-ubyte.gz in .* .apt-get install dataset-fashion-mnist", spec)


def test_missing_test_images_are_noticed_at_once(mnist):
    (mnist / "t10k-images-idx3-ubyte.gz").unlink()
    fails("no t10k-images-idx3-ubyte.gz", f"fashion-mnist:{mnist}")


def test_debians_fashion_mnist():
    if not (DEBIAN / "t10k-labels-idx1-ubyte.gz").is_file():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    data = load_data("fashion-mnist", validation=10000)
    assert [len(data.train), len(data.validation)] == [50000, 10000]
    assert abs(data.mean[0] - 0.286) < 0.002 and abs(data.std[0] - 0.353) < 0.002


@pytest.fixture(params=VERSIONS)
def cifar(request, tmp_path: Path) -> tuple[str, Path]:
    version = VERSIONS[request.param]
    folder = tmp_path / version.folder
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in (*version.train, version.test):
        records = random.integers(0, 256, (10 * version.classes, version.labels + 3072))
        records[:, 0] = 1
        records[:, version.labels - 1] = np.arange(len(records)) % version.classes
        (folder / name).write_bytes(records.astype(np.uint8).tobytes())
    (folder / version.names).write_text("".join(f"kind{n}\n" for n in range(version.classes)))
    return request.param, folder


def test_cifar_from_its_folder_its_parent_and_its_archive(cifar, tmp_path):
    kind, folder = cifar
    archive = tmp_path / "binary.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, folder.name)
    data = [load_data(f"{kind}:{path}") for path in (folder, tmp_path, archive)]
    version = VERSIONS[kind]
    total = 10 * version.classes * len(version.train)
    for each in data:
        assert len(each.train) + len(each.validation) == total
        assert torch.equal(each.train.images, data[0].train.images)
        assert torch.equal(each.test().images, data[0].test().images)
        assert each.fingerprint == data[0].fingerprint
    assert data[0].classes[-1] == f"kind{version.classes - 1}" and data[0].image_size == 32
    last = np.frombuffer((folder / version.test).read_bytes(), np.uint8)[-3072:]
    assert data[0].test().images[-1].numpy().tobytes() == last.tobytes()
    assert int(data[0].test().labels[-1]) == version.classes - 1


def test_cifar_without_names_has_numbers(cifar):
    kind, folder = cifar
    (folder / VERSIONS[kind].names).unlink()
    assert load_data(f"{kind}:{folder}").classes[:2] == ("0", "1")


def test_damaged_cifar_is_named(cifar, tmp_path):
    kind, folder = cifar
    version = VERSIONS[kind]
    file = folder / version.train[-1]
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    fails(
        f"{version.train[-1]} has {len(whole) - 7} bytes, not a multiple of",
        f"{kind}:{folder}",
    )
    file.write_bytes(whole[: version.labels - 1] + b"\xff" + whole[version.labels :])
    fails(f"label 255; allowed: 0 to {version.classes - 1}", f"{kind}:{folder}")
    file.unlink()
    fails(f"no {version.train[-1]} in it", f"{kind}:{folder}")
    cut = tmp_path / "cut.tar.gz"
    with tarfile.open(cut, "w:gz") as packed:
        packed.add(folder, folder.name)
    cut.write_bytes(cut.read_bytes()[:-2000])
    fails("not a whole .tar.gz", f"{kind}:{cut}")


def test_a_link_in_an_archive_of_cifar_is_no_file(tmp_path):
    with tarfile.open(tmp_path / "links.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/dev/zero"
        archive.addfile(link)
    fails("no data_batch_1.bin in it", f"cifar10:{tmp_path}/links.tar.gz")


def test_a_large_file_of_cifar_is_not_read(cifar):
    kind, folder = cifar
    with (folder / VERSIONS[kind].test).open("ab") as file:
        file.truncate(1 << 40)
    fails(f"{VERSIONS[kind].test} has 1,099,511,627,776 bytes", f"{kind}:{folder}")


def test_the_checksum_of_a_compressed_archive_is_compared(cifar, tmp_path):
    kind, folder = cifar
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    fails(r"not a whole .tar.gz \(CRC check failed", f"{kind}:{path}")


def test_the_pickled_version_of_cifar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "python.tar.gz", "w:gz") as packed:
        member = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        member.size = 3
        packed.addfile(member, io.BytesIO(b"abc"))
    fails("pickles are never read; .*cifar-10-binary.tar.gz", f"cifar10:{tmp_path}/python.tar.gz")


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (
            "digit",
            {},
            r"^--data digit: unknown data source 'digit': did you mean 'digits'\?",
        ),
        ("cifr10:/x", {}, "did you mean 'cifar10'"),
        ("digits:/x", {}, "unknown kind '/x': allowed: cluttered"),
        ("cifar10", {}, "^--data cifar10: the path is missing; allowed: the folder"),
        ("cifar10:/dev/null/nowhere", {}, "no such folder or file"),
        ("fashion-mnist:/dev/null/nowhere", {}, "apt-get install dataset-fashion-mnist"),
        ("digits", {"image_size": 0}, "image_size 0: must be at least 1"),
        ("digits", {"image_size": 2**63}, "image_size 9223372036854775808: must be at most 65536"),
        ("digits", {"validation": 0}, "validation 0: .* nearest valid: 1"),
        ("digits", {"validation": 5}, "allowed: 10 to 1428 images; nearest valid: 10"),
        ("digits", {"test": 1.0}, "test 1.0: "),
        ("digits", {"seed": -1}, "seed -1: "),
        ("digits", {"on_broken": "skipp"}, "unknown on_broken 'skipp': did you mean 'skip'"),
        ("digits", {"stream": "alwys"}, "unknown stream 'alwys': did you mean 'always'"),
        ("digits", {"stream": "always"}, "stream always: this source is always held in memory"),
        ("digits", {"workers": -1}, "workers -1: "),
        ("digits", {"memory_limit": -1}, "memory_limit -1: "),
    ],
)
def test_mistakes_in_what_is_asked_for_are_named(spec, options, message):
    fails(message, spec, **options)
