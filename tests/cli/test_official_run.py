"""A search of the supernet of the official release, and the published costs of its networks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from commands import Ended, Started, result_of
from PIL import Image

from spos.spaces import family

Cli = Callable[..., Ended]
PUBLISHED = "2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3"


def test_the_published_network_costs_what_was_published(cli: Cli) -> None:
    ended = cli(
        "profile", "shufflenetv2", "--preset", "imagenet", "--architecture", PUBLISHED, "--json"
    )
    assert (ended.status, ended.err) == (0, "")
    facts = json.loads(ended.out)
    assert (facts["flops"], facts["params"]) == (322_918_720, 3_558_464)
    assert sum(stage["flops"] for stage in facts["stages"]) == facts["flops"]
    table = cli("profile", "--architecture", json.dumps(facts["names"]))
    assert (table.status, table.err) == (0, "")
    assert "322,918,720" in table.out
    assert "3,558,464" in table.out


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the form of the release, of a supernet for two classes."""
    spaces = family("shufflenetv2")
    torch.manual_seed(0)
    supernet = spaces.build(spaces.preset("imagenet"), classes=2)
    state = {}
    for name, tensor in supernet.state_dict().items():
        name = re.sub(r"^(features\.\d+)\.options\.", r"\1.", name.removeprefix("model."))
        state["module." + re.sub(r"^classifier\.\d+\.", "classifier.0.", name)] = tensor
    path = tmp_path_factory.mktemp("official") / "checkpoint-150000.pth.tar"
    torch.save({"state_dict": state}, path)
    return path


def pictures(at: Path, *classes: str) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 1)):
        for number in range(count * len(classes)):
            folder = at / split / classes[number % len(classes)]
            folder.mkdir(parents=True, exist_ok=True)
            content = BytesIO()
            noise = random.integers(0, 255, (224, 224, 3), dtype=np.uint8)
            Image.fromarray(noise).save(content, "JPEG")
            (folder / f"{number}.jpg").write_bytes(content.getvalue())
    return at


def test_the_official_supernet_is_searched(
    cli: Cli, start: Callable[..., Started], checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    imported = cli("import-official", checkpoint, "--out", out)
    assert (imported.status, imported.err) == (0, "")
    assert "2 classes" in imported.out
    assert (out / "supernet" / "step-00150000.safetensors").exists()
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["space"] == {"name": "shufflenetv2", "preset": "imagenet"}
    assert config["data"] == {"mean": [0, 0, 0], "std": [pytest.approx(1 / 255)] * 3}
    assert "already contains a run" in cli("import-official", checkpoint, "--out", out).mistake
    search = (
        *("search", "--out", out, "--max-flops", "330M", "--population", "2"),
        *("--iterations", "1", "--validation", "3", "--set", "run.calibration=4"),
        *("--set", "run.evaluation_batch=4"),
    )
    three = pictures(tmp_path / "three", "cat", "cow", "dog")
    other = cli(*search, "--data", f"folder:{three}").mistake
    assert "was trained on 2 classes" in other
    assert "has 3" in other
    two = pictures(tmp_path / "two", "cat", "dog")
    ended = start(*search, "--data", f"folder:{two}").wait()
    assert ended.status == 0, ended.err
    result = result_of(out)
    assert result["search"]["evaluated"] == 2
    assert result["winner"]["costs"]["flops"] <= 330_000_000
    assert yaml.safe_load((out / "config.yaml").read_text())["data"]["source"] == f"folder:{two}"
    assert "data.source is" in cli(*search, "--data", f"folder:{three}").mistake


def test_what_is_not_an_official_supernet_leaves_nothing_behind(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    assert str(path) in cli("import-official", path, "--out", tmp_path / "run").mistake
    assert not (tmp_path / "run").exists()
