"""Networks on the hub, by a client that copies to a folder, and networks that are loaded."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

import spos
from spos import UserError
from spos._cli.commands import push_command
from spos._util.files import file_digest
from spos.export import export_run
from spos.export.hub import push
from spos.export.trained import load_trained
from spos.training.checkpoint import digest, read_tensors, write_tensors

hub = pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")
NotFoundError: Any = pytest.importorskip("huggingface_hub.errors").RepositoryNotFoundError
AwayError: Any = pytest.importorskip("huggingface_hub.errors").LocalEntryNotFoundError
#: Of the same choices, with weights that no memory holds.
HUGE = {"channels": [10**6, 10**7], "depths": [1, 1]}
FILES = ["README.md", "config.json", "network.py", "network.safetensors"]


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the hub."""
    there = tmp_path / "remote"

    class Copying:
        def create_repo(self, name: str, *, private: bool | None, exist_ok: bool) -> str:
            assert exist_ok
            (there / name).mkdir(parents=True, exist_ok=True)
            return f"https://hub/{name}"

        def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
            shutil.copytree(folder_path, there / repo_id, dirs_exist_ok=True)

        def snapshot_download(self, name: str, *, allow_patterns: list[str]) -> str:
            if not (there / name).exists():
                response = SimpleNamespace(headers={}, request=None)
                raise NotFoundError("404 Client Error", response=response)
            for file in allow_patterns:
                (tmp_path / "cache" / name).mkdir(parents=True, exist_ok=True)
                shutil.copy(there / name / file, tmp_path / "cache" / name / file)
            return str(tmp_path / "cache" / name)

    monkeypatch.setattr(hub, "HfApi", Copying)
    return there


@pytest.fixture
def pushed(remote: Path, trained_run: Path) -> Path:
    push("ada/digits", trained_run)
    return remote / "ada/digits"


def test_a_pushed_network_predicts_as_the_run_does(pushed: Path, trained_run: Path) -> None:
    network, trained = spos.load("ada/digits"), load_trained(trained_run)
    images = trained.test.pixels(range(100))
    mean, std = (torch.tensor(one).view(-1, 1, 1) for one in (trained.data.mean, trained.data.std))
    with torch.inference_mode():
        expected = trained.network((images.float() / 255 - mean) / std)
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)
    names = [trained.data.classes[place] for place in expected.argmax(1).tolist()]
    assert network.predict(images) == names and len({*names}) > 1
    # The run itself, and its files in a folder.
    assert spos.load(trained_run).predict(images) == names
    assert spos.load(pushed).predict(images) == names


def test_the_card_says_what_it_is_and_how_to_load_it(pushed: Path) -> None:
    assert {path.name for path in pushed.iterdir()} >= {*FILES}
    card = hub.ModelCard.load(pushed / "README.md")
    assert card.data.library_name == "spos"
    assert card.data.pipeline_tag == "image-classification"
    assert 'spos.load("ada/digits")' in card.text and "## Accuracy" in card.text


def test_no_token_is_written(
    remote: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    ended = CliRunner().invoke(push_command, ["ada/digits", str(trained_run)])
    assert ended.exit_code == 0, ended.output
    assert ended.output.splitlines()[0] == "https://hub/ada/digits"
    written = [path.read_bytes() for path in remote.rglob("*") if path.is_file()]
    assert written and not any(b"hf_secret" in one for one in (*written, ended.output.encode()))


def test_code_in_the_folder_is_not_executed(pushed: Path, tmp_path: Path) -> None:
    (pushed / "network.py").write_text(f"open({str(tmp_path / 'harmed')!r}, 'w')")
    spos.load(pushed)
    spos.load("ada/digits")
    assert not (tmp_path / "harmed").exists()


def changed(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        del config["digest"]
        (folder / "config.json").write_text(json.dumps({**config, **values}))

    return change


def flipped(folder: Path) -> None:
    content = bytearray((folder / "network.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "network.safetensors").write_bytes(content)


def published(width: float) -> Callable[[Path], None]:
    return changed(architecture="mobilenet_v2", width=width)


def rewritten(kind: torch.dtype = torch.float32, **values: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "network.safetensors"
        tensors, strings = read_tensors(file)
        tensors = {k: v.to(kind) if v.is_floating_point() else v for k, v in tensors.items()}
        write_tensors(file, tensors, {**strings, **values})
        changed(sha256=file_digest(file))(folder)

    return change


def described(text: str) -> Callable[[Path], None]:
    """Replace the metadata, with digests that fit."""

    def change(folder: Path) -> None:
        file = folder / "network.safetensors"
        tensors, _ = read_tensors(file)
        header = {"spos": text, "sha256": digest(tensors, text)}
        save_file(tensors, file, metadata=header)
        changed(sha256=file_digest(file))(folder)

    return change


many_outputs = rewritten(classes="[]", outputs=str(2**62))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (flipped, "is not the file that config.json describes"),
        (changed(space="mine"), "its space mine is not in the catalogue"),
        (changed(architecture="1,1"), "its weights are of another network"),
        (changed(layout=HUGE), "its weights are of another network"),
        (changed(layout={"depths": [10**9, 1]}), "it has 1000000001 blocks, and the file"),
        (changed(layout={"depths": [10**9, -(10**9)]}), "its network cannot be built"),
        (published(1e18), "its network cannot be built"),
        (published(1e400), "its network cannot be built"),
        (published(float("nan")), "its network cannot be built"),
        (many_outputs, "its network cannot be built"),
        (rewritten(torch.float16), r"of another network \(.* of torch.float16, not torch.float32"),
        (rewritten(image_size=str(10**9)), "image_size: Input should be less than or equal to"),
        (changed(architecture=7), r"config\.json is damaged"),
        (described("{"), r"network\.safetensors holds metadata that is not JSON"),
        (described("[" * 100_000), "not JSON .it is nested too deeply"),
        (described("5"), r"network\.safetensors holds metadata without names"),
        (described('"spos_format"'), "metadata without names"),
        (described('{"spos_format": 1}'), "is damaged: its metadata is not texts by name"),
        (described('{"spos_format": "1", "classes": 5}'), "its metadata is not texts by name"),
        (
            lambda folder: (folder / "network.safetensors").unlink(),
            "it is not a network that spos has pushed",
        ),
    ],
)
def test_a_damaged_network_is_one_line(
    change: Callable[[Path], None], line: str, pushed: Path
) -> None:
    change(pushed)
    with pytest.raises(UserError, match=line):
        spos.load(pushed)


def test_an_exported_file_is_loaded(trained_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
    export_run(trained_run, "onnx", tmp_path / "network.onnx")
    images = load_trained(trained_run).test.pixels(range(50))
    expected = spos.load(trained_run).predict(images)
    assert spos.load(tmp_path).predict(images) == expected
    assert spos.load(tmp_path / "network.onnx").predict(images) == expected
    with pytest.raises(UserError, match=r"shape \[50, 1, 4, 8\]; allowed: uint8"):
        spos.load(tmp_path).predict(images[:, :, :4])


def test_what_is_not_there_is_one_line(remote: Path, tmp_path: Path, trained_run: Path) -> None:
    missing = "ada/nothing: there is no such file or folder here, and the hub has no repository"
    with pytest.raises(UserError, match=missing):
        spos.load("ada/nothing")
    with pytest.raises(UserError, match="nor the name of a repository on the hub; write USER/NAME"):
        push("digits", trained_run)
    with pytest.raises(UserError, match="has no network that can be loaded"):
        spos.load(tmp_path)


def test_a_hub_that_is_away_is_one_line(
    remote: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class RefusedError(Exception):
        """As the client of the network has it, of no class of Python."""

    def away(*values: Any, **named: Any) -> None:
        raise RefusedError("[Errno -2] Name or service not known")

    monkeypatch.setattr(hub.HfApi, "create_repo", away)
    monkeypatch.setattr(hub.HfApi, "snapshot_download", away)
    with pytest.raises(UserError, match=r"the hub cannot be reached or refuses it \(\[Errno -2"):
        push("ada/digits", trained_run)
    told = r"no such file or folder here, and the hub cannot give .* USER/NAME .* \(\[Errno -2"
    with pytest.raises(UserError, match=told):
        spos.load("ada/digits")

    def nothing_here(*values: Any, **named: Any) -> None:
        raise AwayError("(Got: ConnectError) for the specified revision on )")

    monkeypatch.setattr(hub.HfApi, "snapshot_download", nothing_here)
    told = r"here, the hub cannot be reached, and no repository .* was fetched before$"
    with pytest.raises(UserError, match=told):
        spos.load("ada/digits")


def test_without_the_extra_it_says_which(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An import of it fails as if it were not there.
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'spos\[hub\]'"):
        push("ada/digits", trained_run)
    told = r"ada/digits: there is no such file or folder here, .* pip install 'spos\[hub\]'"
    with pytest.raises(UserError, match=told):
        spos.load("ada/digits")


def test_a_single_file_is_classified_as_a_list_of_it(pushed: Path, tmp_path: Path) -> None:
    network = spos.load("ada/digits")
    path = tmp_path / "1.png"
    Image.new("L", (8, 8), 200).save(path)
    assert network.classify(path) == network.classify(str(path)) == network.classify([path])
