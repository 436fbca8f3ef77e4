"""Training states on disk, and what becomes of damaged ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spos import UserError
from spos.training.checkpoint import Checkpoints, DamagedError, digest, read_tensors, write_tensors

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "flags": torch.tensor([True, False]),
    "nothing": torch.zeros(0, 3),
    "channels last": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    "every other": torch.arange(10)[::2],
}
METADATA = {"seconds": 1.5, "note": "a ü"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, METADATA)
    return path


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Three steps were saved, the last two are kept."""
    checkpoints = Checkpoints(tmp_path / "run" / "supernet")
    for step in (10, 20, 30):
        checkpoints.save(step, {"weight": torch.full((4,), float(step))}, {"seconds": step / 10})
    return checkpoints


def newest(checkpoints: Checkpoints) -> Path:
    return max(checkpoints.folder.iterdir())


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) and left[name].dtype == right[name].dtype
        for name in left
    )


def test_tensors_read_back_as_they_were_written(file):
    tensors, metadata = read_tensors(file)
    assert same(tensors, TENSORS)
    assert metadata == METADATA


def test_tensors_that_share_memory_are_written_under_each_name(tmp_path: Path):
    whole = torch.arange(6.0)
    tensors = {"a": whole, "b": whole, "part": whole[2:4]}
    write_tensors(tmp_path / "a.safetensors", tensors, {})
    assert same(read_tensors(tmp_path / "a.safetensors")[0], tensors)


def test_any_change_of_a_file_is_noticed(file):
    content = file.read_bytes()

    @settings(max_examples=300)
    @given(st.integers(0, len(content) - 1), st.integers(1, 255))
    def check(place: int, flip: int) -> None:
        changed = bytearray(content)
        changed[place] ^= flip
        file.write_bytes(changed)
        try:
            tensors, metadata = read_tensors(file)
        except DamagedError:
            return
        # A header may be written in more than one way.
        assert same(tensors, TENSORS)
        assert metadata == METADATA

    check()


def test_any_truncation_of_a_file_is_noticed(file):
    content = file.read_bytes()
    for length in range(0, len(content), 13):
        file.write_bytes(content[:length])
        with pytest.raises(DamagedError):
            read_tensors(file)
    file.write_bytes(content + b"\0")
    with pytest.raises(DamagedError):
        read_tensors(file)


def test_other_files_are_not_checkpoints(tmp_path: Path):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "foreign.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "text.safetensors").write_text("hello, this is no checkpoint at all")
    for name in ("foreign", "folder", "text", "missing"):
        with pytest.raises(DamagedError, match=name):
            read_tensors(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "other",
    [
        ({"a": torch.ones(3)}, "text"),
        ({"b": torch.ones(2)}, "text"),
        ({"a": torch.ones(2, dtype=torch.float64)}, "text"),
        ({"a": torch.ones(2, 1)}, "text"),
        ({"a": torch.tensor([1.0, 2.0])}, "text"),
        ({"a": torch.ones(2)}, "another"),
        ({"a": torch.ones(2), "c": torch.ones(1)}, "text"),
    ],
)
def test_the_digest_covers_names_types_shapes_values_and_metadata(other):
    assert digest(*other) != digest({"a": torch.ones(2)}, "text")


def test_a_change_of_the_metadata_is_noticed(file):
    content = file.read_bytes()
    assert content.count(b"1.5") == 1
    file.write_bytes(content.replace(b"1.5", b"9.5"))
    with pytest.raises(DamagedError, match="does not contain what was written to it"):
        read_tensors(file)


def test_the_newest_checkpoint_is_loaded_and_the_oldest_are_dropped(checkpoints):
    loaded = checkpoints.load()
    assert (loaded.step, loaded.damaged) == (30, ())
    assert loaded.metadata == {"step": 30, "seconds": 3.0}
    assert torch.equal(loaded.tensors["weight"], torch.full((4,), 30.0))
    assert len(list(checkpoints.folder.iterdir())) == 2


def test_checkpoints_are_kept_in_the_order_of_their_steps(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (9, 10, 99_999, 100_000):
        checkpoints.save(step, {"weight": torch.zeros(1)}, {})
        assert checkpoints.load().step == step


def test_a_damaged_later_checkpoint_does_not_push_out_good_ones(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    for step in (50, 100):
        checkpoints.save(step, {"weight": torch.zeros(1)}, {})
    (tmp_path / "step-00000100.safetensors").write_bytes(b"damaged")
    assert checkpoints.load().step == 50
    for step in (60, 70):
        checkpoints.save(step, {"weight": torch.zeros(1)}, {})
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["step-00000060.safetensors", "step-00000070.safetensors"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(damage, checkpoints):
    path = newest(checkpoints)
    damage(path)
    loaded = checkpoints.load()
    assert loaded.step == 20
    assert torch.equal(loaded.tensors["weight"], torch.full((4,), 20.0))
    (lost,) = loaded.damaged
    assert str(path) in lost
    # What is trained again takes its place.
    checkpoints.save(30, {"weight": torch.ones(4)}, {"seconds": 0.0})
    assert checkpoints.load().damaged == ()
    assert checkpoints.load().step == 30


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_if_every_checkpoint_is_damaged_nothing_is_trained_over(damage, checkpoints):
    paths = list(checkpoints.folder.iterdir())
    for path in paths:
        damage(path)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged") as raised:
        checkpoints.load()
    assert all(str(path) in str(raised.value) for path in paths)
    assert "\n" not in str(raised.value)
    assert all(path.exists() for path in paths)


def test_a_file_that_a_kill_left_half_written_is_ignored_and_cleared_away(checkpoints):
    left = checkpoints.folder / ".step-00000040.safetensors.x7f3"
    left.write_bytes(b"half")
    assert checkpoints.load().step == 30
    checkpoints.save(40, {"weight": torch.ones(4)}, {"seconds": 0.0})
    assert not left.exists()


def test_a_save_that_fails_leaves_the_checkpoints_as_they_are(checkpoints):
    with pytest.raises(TypeError):
        checkpoints.save(40, {"weight": torch.ones(4)}, {"seconds": object()})
    assert checkpoints.load().step == 30
    assert len(list(checkpoints.folder.iterdir())) == 2


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path):
    # As one without permissions, which does not stop whoever may read everything.
    (tmp_path / "supernet").symlink_to("supernet")
    with pytest.raises(OSError, match="supernet"):
        Checkpoints(tmp_path / "supernet").load()


def test_without_checkpoints_there_is_nothing_to_load(tmp_path: Path):
    assert Checkpoints(tmp_path / "nowhere").load() is None


def test_a_pipe_is_a_damaged_checkpoint(tmp_path: Path):
    os.mkfifo(tmp_path / "step-00000001.safetensors")
    with pytest.raises(UserError, match=r"step-00000001\.safetensors cannot be read \(it is not a"):
        Checkpoints(tmp_path).load()
