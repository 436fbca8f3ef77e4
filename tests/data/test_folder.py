from __future__ import annotations

import errno
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spos._util.errors import UserError
from spos.data import StreamedImages, TensorImages, load_data
from spos.data.files import LARGEST, ZipStore, read_image_file
from spos.data.peek import peek


def fails(path: Path | str, message: str, **options) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_data(f"folder:{path}", **options)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_train_alone_gives_the_test_set_too_the_same_for_every_seed(make_folder):
    path = make_folder(train=20)
    one, other = (load_data(f"folder:{path}", seed=seed) for seed in (0, 1))
    assert one.notes == ("no test set: 6 of the 60 training images held out",)
    assert [len(one.train), len(one.validation), len(one.test())] == [49, 5, 6]
    assert torch.equal(one.test().images, other.test().images)
    assert not torch.equal(one.validation.images, other.validation.images)
    assert one.classes == ("cat", "dog", "owl") and (one.channels, one.image_size) == (3, 12)


def test_no_image_is_in_two_splits_and_labels_follow_their_images(make_folder):
    path = make_folder(train=20)
    known = {
        np.asarray(Image.open(file)).transpose(2, 0, 1).tobytes(): file.parent.name
        for file in path.rglob("*.png")
    }
    for stream in ("never", "always"):
        data = load_data(f"folder:{path}", stream=stream)
        seen = []
        for images in (data.train, data.validation, data.test()):
            for pixels, label in zip(images.pixels(range(len(images))), images.labels, strict=True):
                assert known[pixels.numpy().tobytes()] == data.classes[label]
                seen.append(pixels.numpy().tobytes())
        assert len(seen) == len(set(seen)) == 60


def test_test_is_the_test_set(make_folder):
    data = load_data(f"folder:{make_folder(train=20, test=3)}")
    assert [len(data.train), len(data.validation), len(data.test())] == [54, 6, 9]
    assert data.notes == ()


def test_options_without_effect_are_said(make_folder):
    path = make_folder(train=20, test=3)
    data = load_data(f"folder:{path}", test=0.2, workers=2)
    assert data.notes == (
        "data.test 0.2: without effect, the source has a test set",
        "data.workers 2: without effect, the images are in memory",
    )
    assert load_data(f"folder:{path}", workers=2, stream="always").notes == ()


def test_classes_without_an_image_of_a_set_are_said(make_folder):
    path = make_folder(train=20, val=3, test=4)
    classes = sorted(folder.name for folder in (path / "train").iterdir())
    for image in (path / "test" / classes[0]).iterdir():
        image.unlink()
    (path / "test" / classes[0]).rmdir()
    notes = load_data(f"folder:{path}").notes
    assert notes[1:] == (f"no test image of class {classes[0]}, 1 of 3 classes",)


def test_val_alone_is_the_test_set_as_on_imagenet(make_folder):
    data = load_data(f"folder:{make_folder(train=20, val=3)}")
    assert [len(data.train), len(data.validation), len(data.test())] == [54, 6, 9]
    assert "val/ is the test set" in data.notes[0]


def test_val_beside_test_is_the_validation_set(make_folder):
    data = load_data(f"folder:{make_folder(train=20, val=3, test=4)}")
    assert [len(data.train), len(data.validation), len(data.test())] == [60, 9, 12]
    assert "val/ is the validation set" in data.notes[0]
    path = make_folder("other", train=20, val=3, test=4)
    notes = load_data(f"folder:{path}", validation=5).notes
    assert notes[1:] == ("data.validation 5: without effect, the source has a validation set",)


@pytest.mark.parametrize("top", ["", "flowers/", "./", "./flowers/"])
def test_a_zip_archive_is_as_good_as_the_folder(make_folder, tmp_path, top, zip_folder):
    path = make_folder(train=20, test=4)
    archive = zip_folder(path, tmp_path / "set.zip", top)
    folder, packed = load_data(f"folder:{path}"), load_data(f"folder:{archive}")
    assert torch.equal(folder.train.images, packed.train.images)
    assert torch.equal(folder.test().images, packed.test().images)
    assert folder.mean == packed.mean


@pytest.mark.parametrize("top", ["", "photos/", "./"])
def test_class_folders_alone_are_enough(make_folder, tmp_path, top, zip_folder):
    path = make_folder(train=20) / "train"
    (path / "labels.txt").write_text("not an image")
    data = load_data(f"folder:{path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [49, 5, 6]
    assert data.classes == load_data(f"folder:{path.parent}").classes
    assert "no train/ in the folder: each of its folders is a class" in data.notes
    packed = load_data(f"folder:{zip_folder(path, tmp_path / 'set.zip', top)}")
    assert torch.equal(data.train.images, packed.train.images)
    (path / "empty").mkdir()
    fails(path, "no image in empty/")


def test_streaming_follows_the_limit_and_the_option(make_folder):
    spec = f"folder:{make_folder(train=20, test=4)}"
    size = 60 * 3 * 12 * 12
    for options, expected in (
        ({}, TensorImages),
        ({"memory_limit": size}, TensorImages),
        ({"memory_limit": size - 1}, StreamedImages),
        ({"memory_limit": 0, "stream": "never"}, TensorImages),
        ({"stream": "always"}, StreamedImages),
    ):
        assert type(load_data(spec, **options).train) is expected


def test_statistics_are_those_of_the_training_images(make_folder):
    data = load_data(f"folder:{make_folder(train=20)}")
    values = data.train.images.double() / 255
    assert torch.allclose(torch.tensor(data.mean).double(), values.mean(dim=(0, 2, 3)))
    deviation = values.std(dim=(0, 2, 3), correction=0)
    assert torch.allclose(torch.tensor(data.std).double(), deviation)


def test_the_fingerprint_follows_the_split_the_size_and_the_files(make_folder):
    path = make_folder(train=20)
    first = load_data(f"folder:{path}").fingerprint
    moved = shutil.copytree(path, path.parent / "moved")
    assert load_data(f"folder:{moved}").fingerprint == first
    others = [
        load_data(f"folder:{path}", **options).fingerprint
        for options in ({"seed": 1}, {"image_size": 8}, {"validation": 9}, {"test": 9})
    ]
    first_cat, first_dog = moved / "train/cat/000.png", moved / "train/dog/000.png"
    cat, dog = first_cat.read_bytes(), first_dog.read_bytes()
    first_cat.write_bytes(dog)
    first_dog.write_bytes(cat)
    others.append(load_data(f"folder:{moved}").fingerprint)
    assert len({first, *others}) == 6 and len(first) == 16


def test_images_of_one_size_that_are_not_square_keep_their_middle(make_folder):
    data = load_data(f"folder:{make_folder(size=(20, 14), train=20)}")
    assert data.image_size == 14 and "20x14" in data.notes[0]


def test_small_images_of_different_sizes_need_a_size(make_folder, encode):
    path = make_folder(train=20)
    (path / "train/cat/000.png").write_bytes(encode((30, 16)))
    for stream in ("never", "always"):
        fails(path, "shorter sides of 12 to 16 pixels; .* --image-size 12", stream=stream)
    assert load_data(f"folder:{path}", image_size=10).train.images.shape[2:] == (10, 10)


def test_photographs_of_different_sizes_become_224(make_folder, encode):
    path = make_folder(size=(300, 280), classes=("cat", "dog"), train=4)
    (path / "train/cat/000.png").write_bytes(encode((260, 240)))
    for stream in ("auto", "always"):
        data = load_data(f"folder:{path}", stream=stream, validation=2, test=2)
        assert data.image_size == 224 and "resized to 224" in data.notes[0]
        assert data.train.pixels([0]).shape == (1, 3, 224, 224)


BROKEN = {
    "cut.jpg": (lambda encode: encode((64, 64), format="JPEG")[:-900], "truncated"),
    "text.jpg": (lambda encode: b"not an image", "not a JPEG, PNG, BMP, or WebP image"),
    "empty.png": (lambda encode: b"", "empty file"),
}


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_fatal_or_left_out(make_folder, encode, stream, split, name):
    path = make_folder(train=10, val=3, test=3)
    content, reason = BROKEN[name]
    (path / split / "dog" / name).write_bytes(content(encode))
    fails(path, rf"{split}/dog/{name}: .*{reason}.* --on-broken skip", stream=stream)
    data = load_data(f"folder:{path}", stream=stream, on_broken="skip")
    assert len(data.skipped) == 1 and data.skipped[0].startswith(f"{split}/dog/{name}: ")
    assert [len(data.train), len(data.validation), len(data.test())] == [30, 9, 9]


def test_names_are_safe_to_print_and_the_run_is_the_same(make_folder):
    path = make_folder(train=10)
    folders = {"cat": b"caf\xe9", "dog": b"\x1b[31mred", "owl": "Eule\u202e\n".encode()}
    for old, new in folders.items():
        (path / "train" / old).rename(os.fsdecode(os.fsencode(path / "train") + b"/" + new))
    Path(os.fsdecode(os.fsencode(path / "train") + b"/caf\xe9/\x1b.png")).write_bytes(b"x")
    data = load_data(f"folder:{path}", on_broken="skip")
    assert data.classes == ("\\x1b[31mred", "Eule\\u202e\\x0a", "caf\\xe9")
    assert data.skipped[0].startswith("train/caf\\xe9/\\x1b.png: not a JPEG")
    fails(path, r"train/caf\\xe9/\\x1b.png: not a JPEG")
    for one in (*data.classes, *data.skipped, *data.notes):
        assert one.isprintable() and one.encode()


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (huge, "it has 134,217,729 bytes; allowed"),
    ],
    ids=["pipe", "device", "nowhere", "itself", "huge"],
)
def test_what_is_no_file_of_an_image_is_never_read(make_folder, make, reason):
    path = make_folder(train=10)
    make(path / "train" / "dog" / "x.png")
    fails(path, rf"train/dog/x.png: .*{reason}.* --on-broken skip")
    assert len(load_data(f"folder:{path}", on_broken="skip").skipped) == 1


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="not Linux")
def test_a_file_of_the_kernel_is_never_read():
    # Its size is 0, whatever it gives; some give more for as long as the machine runs.
    assert Path("/proc/version").read_bytes()
    assert read_image_file(Path("/proc/version")) == b""


def test_a_huge_file_of_a_zip_archive_is_not_read(make_folder, monkeypatch, zip_folder, tmp_path):
    path = make_folder(train=10)
    with (path / "train" / "dog" / "x.png").open("wb") as file:
        file.truncate(5000)
    archive = zip_folder(path, tmp_path / "set.zip")
    monkeypatch.setattr("spos.data.files.LARGEST", 4999)
    fails(archive, r"train/dog/x.png: it has 5,000 bytes; allowed: at most 4,999")


def test_a_file_that_a_zip_archive_has_twice_is_read_once(make_folder, zip_folder, tmp_path):
    archive = zip_folder(make_folder(train=10), tmp_path / "set.zip")
    alone = load_data(f"folder:{archive}")
    with (
        zipfile.ZipFile(archive, "a") as opened,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        opened.writestr("train/dog/000.png", opened.read("train/dog/000.png"))
    assert peek(f"folder:{archive}").count == 30
    data = load_data(f"folder:{archive}")
    assert data.fingerprint == alone.fingerprint and data.notes == alone.notes


def test_a_folder_that_this_user_may_not_read_is_named(make_folder, monkeypatch):
    path, scan = make_folder(train=20), os.scandir

    def refuse(place):
        if os.path.basename(place) in ("deep", "lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied", place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    (path / "lost+found").mkdir()
    assert len(load_data(f"folder:{path}").train) == 49
    # Its images would be missed without a word.
    (path / "train" / "owl" / "deep").mkdir()
    fails(path, r"the folder train/owl/deep/ cannot be read \(Permission denied\)")


@pytest.mark.parametrize(
    "links",
    [
        {"train/cat/loop": "."},
        {"train/cat/a": "..", "train/cat/b": "../.."},
        {"train/lynx": "cat", "val": "train"},
        {"train/cat/again.png": "000.png", "train/owl/again.png": "../cat/000.png"},
    ],
)
def test_links_to_what_is_read_anyway_are_left_out(make_folder, links):
    path = make_folder(train=10)
    alone = load_data(f"folder:{path}")
    for name, target in links.items():
        (path / name).symlink_to(target)
    data = load_data(f"folder:{path}")
    assert (data.fingerprint, data.classes) == (alone.fingerprint, alone.classes)
    said = f"{len(links)} links to what is read by another name left out, such as {min(links)}"
    assert data.notes == (said, *alone.notes)


def test_what_only_links_lead_to_is_read_once(make_folder, tmp_path):
    outside = make_folder("outside", train=10) / "train"
    path = tmp_path / "set"
    for split in ("train", "test"):
        (path / split).mkdir(parents=True)
    (path / ".kept").mkdir()
    (outside / "owl/000.png").rename(path / ".kept/000.png")
    (outside / "owl/000.png").symlink_to(path / ".kept/000.png")
    for kind in ("cat", "dog", "owl"):
        (path / "test" / kind).mkdir()
        (path / "train" / kind).symlink_to(outside / kind)
        (path / "test" / kind / "first.png").symlink_to(outside / kind / "000.png")
    data = load_data(f"folder:{path}")
    assert [len(data.train) + len(data.validation), len(data.test())] == [27, 3]
    assert "3 links to what is read by another name left out" in data.notes[0]


@pytest.mark.parametrize("stream", ["never", "always"])
def test_images_that_are_in_two_sets_are_counted(make_folder, stream):
    path = make_folder(train=10, val=3, test=4)
    assert "equal" not in "".join(load_data(f"folder:{path}", stream=stream).notes)
    for split, names in (("val", ("000", "001")), ("test", ("000", "001", "002"))):
        for name in names:
            shutil.copy(path / f"train/cat/{name}.png", path / f"{split}/dog/{name}a.png")
    shutil.copy(path / "val/owl/000.png", path / "test/owl/again.png")
    notes = load_data(f"folder:{path}", stream=stream).notes
    assert "2 of the 11 validation images are equal to training images" in notes
    assert "4 of the 16 test images are equal to training or validation images" in notes


def test_broken_files_do_not_shift_the_labels_of_the_others(make_folder):
    path = make_folder(train=20)
    whole = load_data(f"folder:{path}")
    for name in ("cat/000a.png", "dog/000a.png"):
        (path / "train" / name).write_bytes(b"")
    left = load_data(f"folder:{path}", on_broken="skip")
    assert torch.equal(whole.train.images, left.train.images)
    assert torch.equal(whole.train.labels, left.train.labels) and len(left.skipped) == 2


def test_more_broken_files_are_counted(make_folder):
    path = make_folder(train=10)
    for number in range(3):
        (path / f"train/cat/{number:03}.png").write_bytes(b"")
    fails(path, r"train/cat/000.png: empty file \(and 2 more\)")


def test_a_class_of_broken_files_only_is_named(make_folder):
    path = make_folder(train=10)
    for file in (path / "train/owl").iterdir():
        file.write_bytes(b"x")
    fails(path, "class 'owl' has no whole image left; 10 broken files", on_broken="skip")


def test_damage_in_a_zip_archive_is_found(make_folder, tmp_path, zip_folder):
    archive = zip_folder(make_folder(train=20), tmp_path / "set.zip")
    with zipfile.ZipFile(archive) as opened:
        offset = opened.getinfo("train/dog/003.png").header_offset
    content = bytearray(archive.read_bytes())
    content[offset + 100] ^= 0xFF
    archive.write_bytes(content)
    fails(archive, "train/dog/003.png: damaged in the archive")
    assert len(load_data(f"folder:{archive}", on_broken="skip").skipped) == 1


def test_what_is_not_an_image_is_noted_and_what_is_hidden_is_not(make_folder):
    path = make_folder(train=20, test=4)
    (path / "train/cat/labels.txt").write_text("x")
    (path / "train/readme.md").write_text("x")
    (path / "train/cat/.DS_Store").write_text("x")
    (path / "train/.cache").mkdir()
    data = load_data(f"folder:{path}")
    assert data.notes == (
        "not read, as only JPEG, PNG, BMP and WebP files in a class folder are: .md: 1, .txt: 1",
    )


@pytest.mark.parametrize("read", [load_data, peek])
def test_a_path_without_the_word_folder_is_told_how_to_write_it(make_folder, tmp_path, read):
    path = make_folder(train=20, test=4)
    for given in (str(path), str(tmp_path / "missing.ZIP")):
        with pytest.raises(UserError, match=f"^--data {given}: .*; write folder:{given}$"):
            read(given)


@pytest.mark.parametrize(
    ("splits", "beside"),
    [
        (("training_set/training_set", "test_set/test_set"), None),
        (("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred"),
        (("seg_train", "seg_test"), "seg_pred"),
        (("Training", "Testing"), "unsorted"),
        (("archive/seg_train", "archive/seg_test"), None),
    ],
)
def test_splits_of_other_names_are_not_taken_for_classes(make_folder, splits, beside):
    path = make_folder(**dict.fromkeys(splits, 3))
    if beside:
        (path / beside).mkdir(parents=True)
        shutil.copy(path / splits[0] / "cat/000.png", path / beside)
    fails(path, "folders found: .*; several of them contain cat/: name the splits train/ and test/")


def test_previews_that_a_system_makes_are_no_images(make_folder):
    path = make_folder(train=20)
    (path / "train/cat/@eaDir/000.png").mkdir(parents=True)
    shutil.copy(path / "train/cat/000.png", path / "train/cat/@eaDir/000.png/thumb.png")
    data = load_data(f"folder:{path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [49, 5, 6]


def test_files_may_lie_deeper_than_in_the_class_folder(make_folder):
    path = make_folder(train=20, test=4)
    (path / "train/cat/images").mkdir()
    for file in list((path / "train/cat").glob("*.png")):
        file.rename(path / "train/cat/images" / file.name)
    assert len(load_data(f"folder:{path}").train) == 54


def test_splits_may_have_other_usual_names(make_folder, tmp_path, zip_folder):
    path = make_folder("usual", train=20, val=4, test=4)
    data = load_data(f"folder:{path}")
    other = shutil.copytree(path, tmp_path / "other")
    for split, name in (("train", "Training"), ("val", "Valid"), ("test", "Testing")):
        (other / split).rename(other / name)
    for spec in (other, zip_folder(other, tmp_path / "other.zip", "set/")):
        found = load_data(f"folder:{spec}")
        assert found.fingerprint == data.fingerprint
        assert found.notes[:3] == tuple(
            f"{name}/ is taken as {split}/"
            for split, name in (("train", "Training"), ("val", "Valid"), ("test", "Testing"))
        )


def test_folders_beside_the_splits_are_said_to_be_unread(make_folder):
    path = make_folder(train=20, extra=4, more=4)
    assert (
        "not read, as train/ has the classes: extra/ and 1 more"
        in load_data(f"folder:{path}").notes
    )


def test_trains_may_be_a_class(make_folder):
    path = make_folder(classes=("bus", "train", "tram"), train=10) / "train"
    assert load_data(f"folder:{path}").classes == ("bus", "train", "tram")


def test_an_archive_of_windows_is_read(make_folder, tmp_path):
    path = make_folder(train=20)
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(path.rglob("*.png")):
            packed.writestr(str(file.relative_to(path)).replace("/", "\\"), file.read_bytes())
    assert load_data(f"folder:{archive}").fingerprint == load_data(f"folder:{path}").fingerprint


def test_a_missing_folder_is_named_with_the_nearest(make_folder):
    path = make_folder("flowers", train=5)
    fails(path.parent / "flowrs", "no such folder or file; did you mean 'flowers'")
    fails(path.parent / "nowhere/at/all", "no such folder or file; allowed: a folder or a .zip")
    where = f"no such folder or file in {Path.cwd()}; allowed: a folder or a .zip"
    fails("~nobody-of-this-name/photos", where)


def test_mistakes_in_the_layout_are_named(make_folder, tmp_path, encode):
    empty = tmp_path / "empty"
    empty.mkdir()
    fails(empty, "no train/ in it.* folders found: none")
    for name in ("owl", "cat"):
        (tmp_path / "scans" / name).mkdir(parents=True)
        (tmp_path / "scans" / name / "0.tiff").write_bytes(b"II*\0")
    fails(
        tmp_path / "scans",
        r"cat/, owl/; none of them contains an image \(\.jpg, .*\.webp\)$",
    )
    renamed = make_folder("a", learn=3, judge=3)
    fails(renamed, "no train/ in it, nor one .* folders found: judge/, learn/")
    fails(make_folder("a2", train=3, val=3, valid=3), "val/ and valid/ are both val/: take one")
    beside = make_folder("a3", train=3, test=3)
    for folder in list((beside / "train").iterdir()):
        folder.rename(beside / folder.name)
    (beside / "train").rmdir()
    fails(beside, "cat/, dog/, owl/, test/; beside test/, the classes belong in train/")
    nested = make_folder("b/inner", train=3)
    (nested.parent / "other").mkdir()
    fails(nested.parent, "train/ is in inner/: give that folder")
    fails(make_folder("c", classes=("cat",), train=9), r"only one class \('cat'\)")
    hollow = make_folder("d", train=9)
    (hollow / "train/eel").mkdir()
    fails(hollow, "no image in train/eel/; allowed: .jpg")
    fails(make_folder("e", train=0), "no image in train/cat/")
    extra = make_folder("f", train=9, test=2)
    (extra / "test/owl").rename(extra / "test/owls")
    fails(extra, r"test/ has the class 'owls', which train/ lacks; did you mean 'owl'\?")
    bare = tmp_path / "g"
    (bare / "train").mkdir(parents=True)
    fails(bare, "no image in train/;")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/1.png").write_bytes(encode())
    fails(tmp_path / "files", "no train/ in it.* folders found: none")


def test_too_few_images_to_split_are_named(make_folder):
    path = make_folder(train=10)
    for file in sorted((path / "train/owl").iterdir())[1:]:
        file.unlink()
    assert peek(f"folder:{path}").smallest == ("owl", 1)
    with pytest.raises(UserError, match=r"^test 0\.1: class 'owl' has 1 image left to split"):
        load_data(f"folder:{path}")
    with pytest.raises(UserError, match="3 classes needs an image in both parts"):
        load_data(f"folder:{make_folder('b', train=10)}", validation=2)


def test_what_is_not_a_zip_archive_is_named(make_folder, tmp_path, encode, zip_folder):
    text = tmp_path / "a.zip"
    text.write_text("no archive")
    fails(text, "not a readable zip archive")
    odd = zip_folder(make_folder("other", train=5), tmp_path / "c.zip")
    content = bytearray(odd.read_bytes())
    # The version of zip that is needed to read the first member.
    content[content.index(b"PK\1\2") + 6] = 200
    odd.write_bytes(content)
    fails(odd, r"not a readable zip archive \(zip file version 20.0\)")
    whole = zip_folder(make_folder(train=5), tmp_path / "b.zip").read_bytes()
    text.write_bytes(whole[: len(whole) // 2])
    fails(text, "not a readable zip archive")
    other = tmp_path / "c.tar"
    other.write_text("x")
    fails(other, "not a folder; allowed: a folder or a .zip")
    with pytest.raises(UserError, match="the path is missing; allowed: folder:PATH"):
        load_data("folder:")


def test_the_shared_archive_of_cifar10_loads(tmp_path):
    shared = Path(__file__).parents[2] / "../shared/data/cifar10-train.zip"
    if not shared.is_file():
        pytest.skip("the folder shared/ is not beside the repository")
    store = ZipStore(shared)
    chosen = [name for name in store.names() if name.endswith(("00.jpg", "50.jpg"))]
    with zipfile.ZipFile(tmp_path / "part.zip", "w") as archive:
        for name in chosen:
            archive.writestr(name, store.read(name))
    data = load_data(f"folder:{tmp_path / 'part.zip'}")
    assert (data.image_size, len(data.classes), data.classes[0]) == (32, 10, "airplane")
    assert len(data.train) + len(data.validation) + len(data.test()) == len(chosen) == 1000
    assert all(0.4 < mean < 0.55 for mean in data.mean)
