"""Tar shards in the layout of WebDataset."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from spos import UserError
from spos.data import StreamedImages, load_data
from spos.data.peek import peek
from spos.data.sources import _shards


def shard(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def samples(encode: Any) -> Any:
    """Files of samples whose label is in .cls, or by a function of the class and its name."""

    def make(count: int = 20, first: int = 0, label: Any = None) -> dict[str, bytes]:
        files = {}
        for number in range(first, first + count):
            kind = number % 2
            files[f"data/{number:05}.png"] = encode(seed=number)
            name, content = label(kind) if label else ("cls", str(kind))
            files[f"data/{number:05}.{name}"] = content.encode()
        return files

    return make


def make_set(folder: Path, samples: Any) -> Path:
    shard(folder / "train-000.tar", samples(12))
    shard(folder / "train-001.tar", samples(8, 12))
    shard(folder / "test-000.tar", samples(6, 100))
    return folder


def test_shards_of_a_folder_are_read_by_their_names(samples: Any, tmp_path: Path) -> None:
    path = make_set(tmp_path / "set", samples)
    data = load_data(f"webdataset:{path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [18, 2, 6]
    assert data.classes == ("0", "1") and (data.channels, data.image_size) == (3, 12)
    facts = peek(f"webdataset:{path}")
    assert (facts.count, facts.classes, facts.side, facts.has_test) == (20, 2, 12, True)
    streamed = load_data(f"webdataset:{path}", stream="always")
    assert isinstance(streamed.train, StreamedImages)
    sent = pickle.loads(pickle.dumps(streamed.train))
    for images in (streamed.train, sent):
        assert torch.equal(images.pixels(range(18)), data.train.pixels(range(18)))
    assert streamed.fingerprint == data.fingerprint


def test_patterns_name_the_shards(samples: Any, tmp_path: Path) -> None:
    path = make_set(tmp_path / "set", samples)
    whole = load_data(f"webdataset:{path}")
    for pattern in ("train-{000..001}.tar", "train-00?.tar", "train-*.tar"):
        data = load_data(f"webdataset:{path}/{pattern}?test={path}/test-*.tar")
        assert torch.equal(data.train.pixels(range(18)), whole.train.pixels(range(18)))
    alone = load_data(f"webdataset:{path}/train-000.tar", test=2, validation=2)
    assert [len(alone.train), len(alone.validation), len(alone.test())] == [8, 2, 2]
    shard(path / "val-000.tar", samples(4, 50))
    assert [len(load_data(f"webdataset:{path}").validation)] == [4]


def test_the_numbers_of_a_run_do_not_depend_on_where_the_shards_are(
    samples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_set(tmp_path / "a" / "set", samples)
    make_set(tmp_path / "b" / "set", samples)
    marks = {load_data(f"webdataset:{tmp_path / name / 'set'}").fingerprint for name in "ab"}
    monkeypatch.chdir(tmp_path / "a")
    assert {load_data("webdataset:set").fingerprint} == marks


@pytest.mark.parametrize(
    "label",
    [
        lambda kind: ("cls", ("cat", "dog")[kind]),
        lambda kind: ("json", json.dumps({"label": ("cat", "dog")[kind], "more": [1]})),
    ],
)
def test_classes_have_names(label: Any, samples: Any, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", samples(label=label))
    assert load_data(f"webdataset:{path}").classes == ("cat", "dog")


def test_the_field_of_the_label_is_named(samples: Any, tmp_path: Path) -> None:
    def label(kind: int) -> tuple[str, str]:
        return "json", json.dumps({"label": 7, "kind": kind})

    path = shard(tmp_path / "a.tar", samples(label=label))
    assert load_data(f"webdataset:{path}?label=kind").classes == ("0", "1")
    with pytest.raises(UserError, match=r"has no label; needed beside it: .*json with kin"):
        load_data(f"webdataset:{path}?label=kin")


def test_other_members_are_not_read(samples: Any, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (exit, (3,))

    files = samples()
    more = {"data/00000.pyd": pickle.dumps(Harmful()), "data/00000.seg.png": b"mask"}
    path = shard(tmp_path / "a.tar", {**files, **more, "data/99999.cls": b"0"})
    data = load_data(f"webdataset:{path}")
    assert data.notes[0] == "samples without an image, not read: 1"
    assert data.fingerprint


def test_broken_images_are_named_or_left_out(samples: Any, tmp_path: Path) -> None:
    files = samples(30)
    files["data/00003.png"] = files["data/00003.png"][:60]
    path = shard(tmp_path / "a.tar", files)
    with pytest.raises(UserError, match=r"broken image a\.tar/data/00003\.png: "):
        load_data(f"webdataset:{path}")
    data = load_data(f"webdataset:{path}", on_broken="skip")
    assert len(data.train) + len(data.validation) + len(data.test()) == 29
    assert data.skipped[0].startswith("a.tar/data/00003.png: ")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.tar")
    with pytest.raises(UserError, match=r"not a whole \.tar \(it is not a regular file\)"):
        load_data(f"webdataset:{tmp_path}")


def test_a_size_below_0_is_refused_and_not_followed_for_ever(samples: Any, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", samples())
    content = bytearray(path.read_bytes())
    start = content.rindex(b"data/00019.png")
    header = content[start : start + 512]
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content[start : start + 512] = header
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a whole \.tar \(a file in it has a size below 0\)"):
        load_data(f"webdataset:{path}")


def header(kind: bytes, size: int) -> bytes:
    content = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    content[124:136] = size.to_bytes(12, "big")
    content[124], content[156:157] = 0x80, kind
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    return bytes(content)


@pytest.mark.parametrize(
    "headers",
    [
        header(tarfile.XHDTYPE, 0) * 5000,
        header(tarfile.GNUTYPE_LONGNAME, 0) * 5000,
        header(tarfile.XHDTYPE, 1 << 80),
        header(tarfile.GNUTYPE_LONGNAME, 1 << 62),
    ],
)
def test_a_shard_with_headers_that_nobody_writes_is_one_line(
    headers: bytes, samples: Any, tmp_path: Path
) -> None:
    path = shard(tmp_path / "a.tar", samples())
    path.write_bytes(headers + path.read_bytes())
    with pytest.raises(UserError, match=r"a\.tar: not a whole \.tar \("):
        load_data(f"webdataset:{path}")


def test_a_label_of_many_bytes_is_named(samples: Any, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {**samples(), "1.png": b"", "1.cls": bytes(2 << 20)})
    with pytest.raises(UserError, match=r"tar: [^(]*a\.tar: 1\.cls has 2,097,152 bytes, not a"):
        load_data(f"webdataset:{path}")


def test_a_shard_that_ends_early_is_one_line(samples: Any, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", samples())
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(UserError, match=r"not a whole \.tar|has no label"):
        load_data(f"webdataset:{path}")


def test_a_shard_that_is_cut_off_or_damaged_between_two_files_is_named(
    samples: Any, tmp_path: Path
) -> None:
    path = shard(tmp_path / "train-0.tar", samples())
    content = path.read_bytes()
    whole, header = load_data(f"webdataset:{path}"), content.rindex(b"data/00018.png")
    # Before a header, in it, and with bytes in its place that are none.
    for kept in (content[:header], content[: header + 100], content[:header] + b"x" * 1024):
        path.write_bytes(kept)
        for on_broken in ("fail", "skip"):
            with pytest.raises(UserError, match=r"train-0\.tar: not a whole \.tar \(it is damaged"):
                load_data(f"webdataset:{path}", on_broken=on_broken)
    # Some writers end an archive with one block of zeros, and pad none.
    path.write_bytes(content.rstrip(b"\0") + bytes(512 - len(content.rstrip(b"\0")) % 512 + 512))
    assert load_data(f"webdataset:{path}").fingerprint == whole.fingerprint


def test_shards_that_cat_has_joined_are_not_read_in_part(samples: Any, tmp_path: Path) -> None:
    path, more = (shard(tmp_path / f"{one}.tar", samples(20, one)) for one in (0, 20))
    whole = load_data(f"webdataset:{path}")
    content = path.read_bytes()
    path.write_bytes(content + bytes(3 << 20))
    assert load_data(f"webdataset:{path}").fingerprint == whole.fingerprint
    path.write_bytes(content + more.read_bytes())
    with pytest.raises(UserError, match=r"0\.tar: not a whole \.tar \(it continues past its end"):
        load_data(f"webdataset:{path}")


def test_few_shards_are_open_at_a_time(
    samples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        shard(tmp_path / f"train-{number}.tar", samples(4, 4 * number))
    whole = load_data(f"webdataset:{tmp_path}")
    monkeypatch.setattr(_shards, "MOST_OPEN", 2)
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    before = len(list(folder.iterdir()))
    data = load_data(f"webdataset:{tmp_path}", stream="always")
    assert torch.equal(data.train.pixels(range(8)), whole.train.pixels(range(8)))
    assert len(list(folder.iterdir())) <= before + 2


def test_a_shard_under_two_names_is_read_once(samples: Any, tmp_path: Path) -> None:
    shard(tmp_path / "train-0.tar", samples())
    (tmp_path / "train-1.tar").symlink_to("train-0.tar")
    assert peek(f"webdataset:{tmp_path}").count == 20
    (tmp_path / "test-0.tar").symlink_to("train-0.tar")
    with pytest.raises(UserError, match=r"train-0\.tar is in two splits: give patterns that do"):
        load_data(f"webdataset:{tmp_path}")


def test_too_many_open_files_are_not_broken_images(
    samples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "a.tar", samples())

    def fails(*_: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("os.pread", fails)
    with pytest.raises(UserError, match="Too many open files; allow more, such as by ulimit -n"):
        load_data(f"webdataset:{path}", on_broken="skip")


def test_the_name_of_a_folder_is_no_pattern(samples: Any, tmp_path: Path) -> None:
    shard(tmp_path / "a[1]" / "any.tar", samples())
    assert load_data(f"webdataset:{tmp_path / 'a[1]'}").classes == ("0", "1")


def test_shards_of_a_folder_that_are_not_read_are_named(samples: Any, tmp_path: Path) -> None:
    path = tmp_path / "set"
    shard(path / "Train-000.tar", samples(20))
    shard(path / "Test-000.tar", samples(6, 100))
    shard(path / "dev-000.tar", samples(6, 200))
    (path / "train-001.tar.gz").write_bytes(gzip.compress(b""))
    data = load_data(f"webdataset:{path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [18, 2, 6]
    told = "not train*.tar, val*.tar, test*.tar, so not read: "
    assert data.notes == (f"{told}{path}/dev-000.tar and 1 more",)
    data = load_data(f"webdataset:{path}?validation={path}/dev-*.tar")
    assert f"{told}{path}/train-001.tar.gz" in data.notes


def test_a_folder_whose_shards_have_other_names_is_said_to_be_all_of_the_training(
    samples: Any, tmp_path: Path
) -> None:
    shard(tmp_path / "pets-train.tar", samples(20))
    shard(tmp_path / "pets-test.tar", samples(20, 100))
    notes = load_data(f"webdataset:{tmp_path}").notes
    assert notes[0] == "no train*.tar in the folder: all shards are used for training"


def test_links_in_a_shard_are_named(samples: Any, tmp_path: Path) -> None:
    with tarfile.open(shard(tmp_path / "a.tar", samples(20)), "a") as archive:
        for name, kind in (("x.png", tarfile.LNKTYPE), ("x.cls", tarfile.SYMTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, archive.getnames()[0]
            archive.addfile(link)
    data = load_data(f"webdataset:{tmp_path}/a.tar")
    assert "links, not read: a.tar/x.png, a.tar/x.cls" in data.notes


def test_a_field_that_is_there_twice_is_no_label(samples: Any, tmp_path: Path) -> None:
    files = samples(20) | {"data/00000.json": b'{"label": 0, "label": 1}'}
    with pytest.raises(UserError, match=r"a\.tar/data/00000\.json: cannot be read as a label"):
        load_data(f"webdataset:{shard(tmp_path / 'a.tar', files)}")


def test_images_whose_names_have_further_dots_are_named(samples: Any, tmp_path: Path) -> None:
    files = samples(20)
    dotted = {name.replace("data/", "data/v1.5-"): content for name, content in files.items()}
    path = shard(tmp_path / "some.tar", {**files, **dotted})
    told = (
        "not read, because the name of a sample ends at its first dot: some.tar/data/v1.5-00000.png"
    )
    assert load_data(f"webdataset:{path}").notes[0] == f"{told} and 19 more"
    path = shard(tmp_path / "none.tar", dotted)
    with pytest.raises(UserError, match="no image in the shards of train; not read, because"):
        load_data(f"webdataset:{path}")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "the pattern is missing; allowed: webdataset:FOLDER or webdataset:PATTERN"),
        ("{there}/none-*.tar", "no file "),
        ("{there}/train-{{005..001}}.tar", "{005..001}: is empty; write the smaller number first"),
        ("{there}/{{0..99999999999}}.tar", "100,000,000,000 shards; allowed: at most 100,000"),
        ("{there}/two.tar", "two.tar/1.jpg has another image beside it, 1.png; allowed: one image"),
        ("{there}?tset=a.tar", "unknown '?tset=a.tar': did you mean 'test'?"),
        ("{there}/*.tar?test={there}/test-*.tar", "test-000.tar is in two splits"),
        ("{there}/packed.tar.gz", "not a whole .tar"),
        ("{there}/unlabelled.tar", "has no label; needed beside it: 1.cls or 1.json with label or"),
        ("{there}/empty.tar", "no image in the shards of train; allowed: .jpg"),
        ("{there}/odd.tar", "odd.tar/1.json: label [1]; allowed: a whole number from 0 on"),
        ("{there}/minus.tar", "minus.tar/1.json: label -1; allowed: a whole number from 0 on"),
        ("{there}/text.tar", "text.tar/1.cls: label '-1'; allowed: a whole number from 0 on"),
        ("{there}/bad.tar", "bad.tar/1.json: cannot be read as a label"),
        ("{there}?test={there}/other.tar", "other.tar/1.png: the class 5 is not in the training"),
    ],
)
def test_a_mistake_is_one_line(
    given: str, told: str, samples: Any, encode: Any, tmp_path: Path
) -> None:
    there = make_set(tmp_path / "set", samples)
    (there / "packed.tar.gz").write_bytes(gzip.compress((there / "train-000.tar").read_bytes()))
    shard(there / "unlabelled.tar", {"1.png": encode()})
    shard(there / "empty.tar", {"1.cls": b"0"})
    shard(there / "odd.tar", {"1.png": encode(), "1.json": b'{"label": [1]}'})
    shard(there / "minus.tar", {"1.png": encode(), "1.json": b'{"label": -1}'})
    shard(there / "text.tar", {"1.png": encode(), "1.cls": b"-1"})
    shard(there / "bad.tar", {"1.png": encode(), "1.json": b"{"})
    shard(there / "two.tar", {"1.jpg": encode(), "1.png": encode(), "1.cls": b"0"})
    shard(there / "other.tar", {"1.png": encode(), "1.cls": b"5"})
    with pytest.raises(UserError) as caught:
        load_data(f"webdataset:{given.format(there=there)}")
    assert told in str(caught.value) and "\n" not in str(caught.value)
