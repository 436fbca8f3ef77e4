"""Model files: written, opened, and files that are something else."""

from __future__ import annotations

import io
import json
import os
import resource
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import metadata
from torch import Tensor, fx

from spos import UserError
from spos.cost.latency.onnx_session import open_session
from spos.export.formats import FORMATS
from spos.export.onnx_file import OPSET, open_onnx, write_onnx
from spos.export.program_file import open_program, read_program_metadata, write_program
from spos.export.weights_file import read_weights, write_weights
from spos.training.weights import read_weights as read_weights_file

Graphs = Callable[..., fx.GraphModule]
onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")


def operations(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.fixture(scope="module")
def onnx_file(graph_of: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    write_onnx(path, graph_of("plain", fold=False), metadata(), False)
    return path


@pytest.fixture(scope="module")
def program_file(graph_of: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "a.pt2"
    write_program(path, graph_of("plain"), metadata(), True)
    return path


def test_an_onnx_file_holds_everything(onnx_file: Path, graph_of: Graphs, pixels: Tensor):
    opened = open_onnx(onnx_file)
    assert opened.metadata == metadata()
    for images in (pixels, pixels[:1]):
        expected = graph_of("plain", fold=False)(images)
        torch.testing.assert_close(opened.run(images), expected, rtol=1e-4, atol=1e-5)
    model = onnx.load(onnx_file)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert "BatchNormalization" in operations(onnx_file)
    assert not list(onnx_file.parent.glob("*.data"))


def test_a_program_holds_everything(program_file: Path, graph_of: Graphs, pixels: Tensor):
    opened = open_program(program_file)
    assert opened.metadata == metadata() == read_program_metadata(program_file)
    for images in (pixels, pixels[:1]):
        expected = graph_of("plain")(images)
        torch.testing.assert_close(opened.run(images), expected, rtol=1e-4, atol=1e-5)


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(graph_of: Graphs, tmp_path: Path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"a\.pt2"):
            write_program(tmp_path / "a.pt2", graph_of("plain"), metadata(), True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def damaged(path: Path, tmp_path: Path, keep: float) -> Path:
    content = path.read_bytes()
    cut = tmp_path / path.name
    cut.write_bytes(content[: int(len(content) * keep)])
    return cut


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_files_cut_short_are_one_line(
    keep: float, onnx_file: Path, program_file: Path, graph_of: Graphs, tmp_path: Path
):
    weights = tmp_path / "b.safetensors"
    write_weights(weights, graph_of("plain"), metadata(), True)
    assert read_weights(weights)[0] == metadata()
    for path, read in (
        (onnx_file, open_onnx),
        (program_file, read_program_metadata),
        (weights, read_weights),
    ):
        with pytest.raises(UserError) as caught:
            read(damaged(path, tmp_path, keep))
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_program_of_other_bytes_is_noticed(program_file: Path, tmp_path: Path):
    content = bytearray(program_file.read_bytes())
    with zipfile.ZipFile(program_file) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content[largest.header_offset + 200] ^= 1
    other = tmp_path / "a.pt2"
    other.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_program_metadata(other)


def test_what_would_fill_the_memory_is_not_read(program_file: Path, tmp_path: Path):
    packed, large = tmp_path / "a.pt2", tmp_path / "a.onnx"
    with zipfile.ZipFile(program_file) as archive, zipfile.ZipFile(packed, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name))
        changed.writestr("a/zeros", bytes(10**6), zipfile.ZIP_DEFLATED)
    for read in (read_program_metadata, read_weights_file):
        with pytest.raises(UserError, match="damaged: its members are larger than the file"):
            read(packed)
    large.touch()
    # A hole, which takes no space on the disk.
    os.truncate(large, 2 << 30)
    with pytest.raises(UserError, match=r"a\.onnx is not an ONNX file: it has more than 2 GiB"):
        open_onnx(large)


def test_a_program_without_a_part_is_one_line(
    program_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    other = tmp_path / "a.pt2"
    with zipfile.ZipFile(program_file) as archive, zipfile.ZipFile(other, "w") as changed:
        for name in archive.namelist():
            if not name.endswith("weight_0"):
                changed.writestr(name, archive.read(name))
    with pytest.raises(UserError, match=r"a\.pt2 is damaged \(.*weight_0: file not found"):
        open_program(other)
    assert not caplog.records


def altered(content: bytearray, place: int, value: bytes) -> bytes:
    """An archive with other bytes in what its directory says of its first member."""
    begin = content.rindex(b"PK\x05\x06")
    first = int.from_bytes(content[begin + 16 : begin + 20], "little") + place
    content[first : first + len(value)] = value
    return bytes(content)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (8, b"\x01"),
        (10, b"\x63"),
        (10, b"\x0c"),
        (10, b"\x0e"),
        (20, b"\xff" * 8),
        (42, b"\xff" * 4),
    ],
    ids=["encrypted", "method", "bzip2", "lzma", "size", "offset"],
)
def test_an_altered_directory_of_a_program_is_damage(place: int, value: bytes, tmp_path: Path):
    path, content = tmp_path / "a.pt2", io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/data.txt", "none" * 99)
    path.write_bytes(altered(bytearray(content.getvalue()), place, value))
    with pytest.raises(UserError, match=r"a\.pt2 is (not a file of torch\.export, or )?damaged"):
        read_program_metadata(path)


def test_a_program_whose_members_begin_before_it_is_damage(program_file: Path, tmp_path: Path):
    path, content = tmp_path / "a.pt2", program_file.read_bytes()
    path.write_bytes(content[len(content) // 2 :])
    with pytest.raises(UserError, match=r"a\.pt2 is damaged: its members are larger"):
        read_program_metadata(path)


def test_models_of_others_are_refused(onnx_file: Path, tmp_path: Path):
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"foreign.onnx is not a model of spos"):
        open_onnx(path)
    archive = tmp_path / "foreign.pt2"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/data.txt", "none")
    with pytest.raises(UserError, match=r"foreign.pt2 is not a model of spos"):
        read_program_metadata(archive)


def test_an_input_that_is_not_what_the_metadata_says_is_damage(onnx_file: Path, tmp_path: Path):
    model = onnx.load(onnx_file)
    for entry in model.metadata_props:
        if entry.key == "image_size":
            entry.value = json.dumps(9)
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"other.onnx is damaged: its input is"):
        open_onnx(path)


def test_a_network_is_opened_where_a_signal_ends_the_wait(
    onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def opened(content: bytes) -> Any:
        threads.append(threading.current_thread())
        return open_session(content)

    monkeypatch.setattr("spos.export.onnx_file.open_session", opened)
    open_onnx(onnx_file)
    assert threads and threading.main_thread() not in threads


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed.*spos\[export\]"):
        FORMATS["onnx"].check(tmp_path / "a.onnx")
    if package == "onnxruntime":
        with pytest.raises(UserError, match=r"onnxruntime is not installed"):
            open_onnx(tmp_path / "a.onnx")
