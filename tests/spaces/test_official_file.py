"""Reading the release's file: every way it is saved, and everything that is not one."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spos._util.errors import UserError
from spos.spaces.official import load_official

RELEASE = {
    "first_conv.0.weight": torch.rand(16, 3, 3, 3),
    "first_conv.1.running_mean": torch.rand(16),
    "first_conv.1.running_var": torch.rand(16),
    "first_conv.1.num_batches_tracked": torch.tensor(150000),
    "features.0.3.branch_main.0.weight": torch.rand(16, 1, 3, 3),
    "classifier.0.weight": torch.rand(1000, 1024),
}


def test_every_way_the_weights_are_saved(tmp_path: Path) -> None:
    bare = RELEASE
    parallel = OrderedDict((f"module.{name}", tensor) for name, tensor in bare.items())
    contents: list[dict[str, Any]] = [
        bare,
        parallel,
        {"state_dict": parallel},
        {"iteration": 5, "state_dict": bare},
    ]
    file = tmp_path / "saved"
    for content in contents:
        # The release is from 2019, before PyTorch saved zip archives.
        for archive in (True, False):
            torch.save(content, file, _use_new_zipfile_serialization=archive)
            assert_same(load_official(str(file)), bare)
    save_file(dict(parallel), tmp_path / "saved.safetensors")
    assert_same(load_official(tmp_path / "saved.safetensors"), bare)


def assert_same(loaded: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert sorted(loaded) == sorted(expected)
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_a_stand_alone_network_is_refused(tmp_path: Path) -> None:
    affine = {f"first_conv.1.{name}": torch.ones(16) for name in ("weight", "bias")}
    file = tmp_path / "retrained.pth"
    torch.save({"state_dict": {**RELEASE, **affine}}, file)
    with pytest.raises(UserError, match=r"stand-alone network.*first_conv\.1\.weight"):
        load_official(file)


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(Harmful.target),)

    target = Path()


@pytest.mark.parametrize("archive", [True, False])
def test_code_in_a_pickle_never_runs(tmp_path: Path, archive: bool) -> None:
    Harmful.target = tmp_path / "made-by-the-pickle"
    file = tmp_path / "harmful.pth"
    torch.save({"state_dict": Harmful()}, file, _use_new_zipfile_serialization=archive)
    with pytest.raises(UserError, match=r"refused: reading it would run \w+\.mkdir") as raised:
        load_official(file)
    assert "\n" not in str(raised.value)
    assert not Harmful.target.exists()


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "x.safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    state = {"first_conv.0.weight": torch.rand(16, 3, 3, 3), "other": torch.rand(100)}
    if name == "x.safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=name == "zip.pth")
    whole = file.read_bytes()
    pieces = [whole[: len(whole) * n // 23] for n in range(23)] + [whole[:1], whole[:-1]]
    pieces += [b"\x00" * 64, b"\xff" * 64, b"\x80\x02" + whole[40:], b"<html>not found</html>"]
    if name == "zip.pth":
        at = whole.index(state["other"].numpy().tobytes()) + 5
        pieces.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for piece in pieces:
        file.write_bytes(piece)
        with pytest.raises(UserError, match=rf"{name} (is damaged|is refused)") as raised:
            load_official(file)
        assert "\n" not in str(raised.value)


def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.pth does not exist"):
        load_official(tmp_path / "absent.pth")
    with pytest.raises(UserError, match="is not a file"):
        load_official(tmp_path)
    file = tmp_path / "other.pth"
    contents: tuple[tuple[Any, str], ...] = (
        ([1, 2], r"something else than tensors \(list\)"),
        ({"state_dict": 3}, r"something else than tensors \(int\)"),
        ({"iteration": 5, "best": 0.7}, r"something else than tensors \(iteration, best\)"),
        ({}, "lacks first_conv"),
        ({"fc.weight": torch.zeros(2, 2)}, r"lacks first_conv\.0\.weight and classifier"),
    )
    for content, expected in contents:
        torch.save(content, file)
        with pytest.raises(UserError, match=expected):
            load_official(file)
