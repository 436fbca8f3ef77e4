"""Known networks beside the one found: of the zoo, of other libraries, with weights of a file."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spos import UserError
from spos._util.records import write_record
from spos.report.headline import headline
from spos.report.known import known_table, known_words
from spos.report.result import Result, read_result
from spos.run import run
from spos.run.known_networks import build_known, parse_known
from spos.run.known_weights import load_weights
from spos.run.planning.planner import Planner
from spos.spaces.zoo import NETWORKS
from spos.spaces.zoo._libraries import InColour, build_library_network
from spos.training.checkpoint import Checkpoints

RECIPE = {"steps": 4, "batch_size": 16, "warmup_steps": 0}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 2, "iterations": 1, "parents": 1},
    "constraint": {"maximum": {"flops": 6e5, "model_bytes": 1e9}},
    "retrain": RECIPE,
}
SIZES = {"classes": 10, "image_channels": 1, "image_size": 8}


class Theirs(nn.Module):
    """A network as another library builds it, for colour images."""

    def __init__(self, classes: int, channels: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))
        self.head = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Several(Theirs):
    """One that has another output while it is trained."""

    def forward(self, x: torch.Tensor) -> Any:
        out = super().forward(x)
        return (out, out) if self.training else out


class Untested(Theirs):
    """One that can only be trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            raise ValueError("no evaluation")
        return super().forward(x)


def _create(name: str, *, pretrained: bool, num_classes: int, **more: int) -> nn.Module:
    assert not pretrained
    if name == "patches":
        return nn.Conv2d(3, num_classes, 16)
    if name == "vit":
        return Theirs(num_classes, more.pop("img_size"))
    if more:
        raise TypeError(f"unexpected {next(iter(more))}")
    return {"resnet": Theirs, "inception": Several, "untested": Untested}[name](num_classes)


def _model(name: str, *, weights: None, num_classes: int) -> nn.Module:
    return _create(name, pretrained=False, num_classes=num_classes)


NAMES = ["resnet", "inception", "untested", "vit", "patches"]


@pytest.fixture
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the parts of timm and torchvision that are used."""
    timm = SimpleNamespace(
        create_model=_create,
        list_models=lambda: NAMES,
        get_pretrained_cfg=lambda name: SimpleNamespace(fixed_input_size=name == "vit"),
    )
    models = SimpleNamespace(get_model=_model, list_models=lambda module: NAMES)
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))


def costs_of(name: str, maximum: dict[str, float]) -> tuple[int, float]:
    network, width = build_known(parse_known(name), **SIZES, maximum=maximum)
    return sum(parameter.numel() for parameter in network.parameters()), width


def test_a_network_is_scaled_to_the_limits() -> None:
    params, width = costs_of("mobilenet_v2@fit", {"params": 200_000, "flops": 1e12})
    assert params <= 200_000
    assert costs_of(f"mobilenet_v2@{width + 0.05}", {})[0] > 200_000
    # The least one, where none is within the limits; the largest one, where all are.
    assert costs_of("mobilenet_v2@fit", {"params": 1})[1] == 0.1
    with pytest.raises(UserError, match=r"^mobilenet_v2@fit: nothing limits its width; give --max"):
        costs_of("mobilenet_v2@fit", {"latency": 1e6})


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name].scales])
def test_every_network_that_scales_has_the_least_width(name: str) -> None:
    with torch.device("meta"):
        build_known(parse_known(f"{name}@0.1"), **SIZES, maximum={})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mobilenet_v3", "unknown network 'mobilenet_v3': did you mean 'mobilenet_v2'?"),
        ("mobilenet_v2@0", "mobilenet_v2@0: the width must be a number from 0.1 to 4, or fit"),
        ("resnet18_w2a2@0.5", "resnet18_w2a2@0.5: 'resnet18_w2a2' has one width; those with more"),
        ("mobilenet_v2=", "'mobilenet_v2=' is not the name of a network; write NAME"),
        (":resnet18", "':resnet18' is not the name of a network"),
        ("tim:resnet18", "unknown library 'tim': did you mean 'timm'? allowed: timm, torchvision"),
        ("timm:resnet18@0.5", "timm:resnet18@0.5: timm names its widths; leave out @0.5"),
        ("timm:resnat", "timm has no network 'resnat': did you mean resnet?"),
        ("timm:inception", "timm:inception: its output in training is tuple; needed is [N, 10]"),
        ("timm:untested", "timm:untested cannot be trained on images of 8 pixels: "),
        ("timm:patches", "timm:patches cannot be trained on images of 8 pixels: Calculated padded"),
        ("mobilenet_v2=none.pth", "none.pth cannot be read (No such file or directory): give"),
        ("mobilenet_v2=/dev/zero", "/dev/zero cannot be read (it is not a regular file): give"),
        ("mobilenet_v2=none.bin", "none.bin cannot be read (No such file or directory): give"),
    ],
)
@pytest.mark.usefixtures("_libraries")
def test_a_mistake_is_one_line_before_anything_is_trained(
    name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path / "run", GIVEN, compare_with=[name])
    assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_there_is_one_line(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"classes": 10, "image_channels": 3, "image_size": 32}
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"install it: pip install 'spos\[{library}\]'"):
        build_library_network(library, "resnet18", **sizes)


@pytest.mark.parametrize(("library", "name"), [("timm", "resnet18"), ("torchvision", "resnet18")])
def test_the_libraries_themselves_build_a_network(library: str, name: str) -> None:
    pytest.importorskip(library, exc_type=Exception, reason=f"{library} cannot be imported here")
    sizes = {"classes": 10, "image_channels": 1, "image_size": 32}
    network = build_library_network(library, name, **sizes).eval()
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


@pytest.fixture(scope="module")
def found_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("found") / "run"
    run(out, GIVEN)
    return out


@pytest.fixture
def found(found_once: Path, tmp_path: Path) -> Path:
    """A run that has retrained its winner."""
    return shutil.copytree(found_once, tmp_path / "run")


def test_networks_are_trained_and_shown_beside_the_one_found(found: Path) -> None:
    known = ["mobilenet_v2@fit", "mobilenet_v2@0.35"]
    result = run(found, GIVEN, compare_with=known)
    fitted, large = result.known
    assert fitted.costs["flops"] <= 6e5 < large.costs["flops"]
    assert fitted.costs["model_bytes"] == 4 * fitted.costs["params"]
    assert (fitted.name, large.name, large.width) == (*known, 0.35)
    assert all(0 <= one.test_score <= 1 for one in result.known)
    assert read_result(found / "result.json") == result
    page = (found / "report.html").read_text()
    assert "Beside known networks" in page and "mobilenet_v2@0.35 exceeds the limits" in page
    assert f"mobilenet_v2@fit, width {fitted.width:g}" in page
    # Nothing is left to do, also where they are not asked for.
    before = (found / "result.json").read_bytes()
    assert run(found, GIVEN, compare_with=known).known == result.known
    assert run(found, GIVEN).known == result.known
    assert (found / "result.json").read_bytes() == before
    _check_words(result)


def _check_words(result: Result) -> None:
    large = result.known[1]
    better = replace(result, known=(replace(large, test_score=1.0),))
    with TemporaryDirectory() as folder:
        lacking = replace(large, costs={"params": 1})
        write_record(Path(folder) / "result.json", replace(result, known=(lacking,)))
        with pytest.raises(UserError, match="the known network has no cost flops"):
            read_result(Path(folder) / "result.json")
    assert "Better is the known mobilenet_v2@0.35 (100.0% with " in headline(better)
    assert "over the limit of multiply-adds)." in headline(better)
    assert "better than 0 of 1 known network." in known_words(better)
    table = known_table(better)
    assert table.best == 1 and table.values[-1].cells == ("over", "within")
    worse = replace(result, known=(replace(large, test_score=0.0),))
    assert "Better" not in headline(worse) and known_table(worse).best == 0


class Apart:
    """Carries out work as other processes do: with copies of all that is sent to them."""

    count = 2

    def map(self, context: Any, work: Any, items: Any, label: str = "") -> Iterator[Any]:
        for number in reversed(range(len(items))):
            sent, item = pickle.loads(pickle.dumps((context, items[number])))
            yield from ((number, value) for value in work(sent, item))

    def close(self) -> None:
        """Nothing was started."""


@pytest.mark.usefixtures("_libraries")
def test_networks_are_added_and_an_interrupted_training_is_resumed(
    found: Path, tmp_path: Path
) -> None:
    both = ["timm:resnet", "torchvision:resnet"]
    whole = shutil.copytree(found, tmp_path / "whole")
    together = run(whole, GIVEN, compare_with=both, workers=Apart())
    first = run(found, GIVEN, compare_with=both[:1])
    assert first.known == together.known[:1]
    trained = (found / "known-timm-resnet.json").read_bytes()
    ended = patch("spos.run.fit.loader", side_effect=KeyboardInterrupt)
    with ended, pytest.raises(KeyboardInterrupt):
        run(found, GIVEN, compare_with=both)
    assert (found / "known-torchvision-resnet").is_dir()
    assert read_result(found / "result.json").known == first.known
    assert run(found, GIVEN, compare_with=both).known == together.known
    assert (found / "known-timm-resnet.json").read_bytes() == trained


Save = Callable[[dict[str, torch.Tensor], Path], object]


@pytest.mark.parametrize(("kind", "save"), [("safetensors", save_file), ("pth", torch.save)])
def test_weights_are_loaded_but_for_a_classifier_of_other_classes(
    kind: str, save: Save, tmp_path: Path
) -> None:
    theirs, network = Theirs(1000), InColour(Theirs(10))
    fresh = network.network.head.weight.clone()
    save(theirs.state_dict(), tmp_path / f"theirs.{kind}")
    matched = load_weights(network, str(tmp_path / f"theirs.{kind}"), 10)
    assert matched.describe() == (
        "7 of 9 tensors taken; fresh: 2 (head.weight, head.bias); left in the file: 2 "
        "(head.weight, head.bias)"
    )
    assert torch.equal(network.network.features[0].weight, theirs.features[0].weight)
    assert torch.equal(network.network.head.weight, fresh)


@pytest.mark.usefixtures("_libraries")
def test_a_training_begins_from_the_weights_of_a_file(found: Path, tmp_path: Path) -> None:
    file, name = tmp_path / "theirs.pth", f"timm:resnet={tmp_path / 'theirs.pth'}"
    # Weights that steps of this size leave where they are.
    theirs = {key: 1e4 * value for key, value in Theirs(1000).state_dict().items()}
    torch.save(theirs, file)
    (known,) = run(found, GIVEN, compare_with=[name]).known
    assert known.weights.startswith("theirs.pth (sha256 ")
    (folder,) = (path for path in found.glob("known-timm-resnet-*") if path.is_dir())
    kept = Checkpoints(folder).load().tensors["model.network.features.0.weight"]
    assert torch.allclose(kept, theirs["features.0.weight"], rtol=0.1)
    torch.save(Theirs(1000).state_dict(), file)
    with pytest.raises(UserError, match=r"was made with theirs.pth \(sha256 .*another --out"):
        run(found, GIVEN, compare_with=[name])
    file.unlink()
    assert run(found, GIVEN, compare_with=[name]).known == (known,)


def test_one_layer_alone_is_the_classifier(tmp_path: Path) -> None:
    file = str(tmp_path / "theirs.pth")
    torch.save({"state_dict": Theirs(10, channels=8).state_dict()}, file)
    with pytest.raises(UserError, match=r"has the shape \[8.*it is of another network"):
        load_weights(Theirs(10, channels=10), file, 10)


@pytest.mark.usefixtures("_libraries")
def test_a_file_under_two_names_is_one_network(
    found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(Theirs(1000).state_dict(), "theirs.pth")
    names = ["timm:resnet=theirs.pth", "timm:resnet=./theirs.pth"]
    told: list[str] = []
    listener = SimpleNamespace(message=told.append, progress=lambda *values: None)
    (known,) = run(found, GIVEN, compare_with=names, listener=listener).known
    assert known.name == names[0]
    (line,) = [one for one in told if one.startswith("--compare-with")]
    assert "7 of 9 tensors taken; fresh: 2 (head.weight, head.bias)" in line
    # Moved between two calls, of which the first ended before the comparison was written.
    Path("theirs.pth").rename("moved.pth")
    assert run(found, GIVEN, compare_with=["timm:resnet=moved.pth"]).known == (known,)
    (found / "known.json").unlink()
    (again,) = run(found, GIVEN, compare_with=["timm:resnet=moved.pth"]).known
    assert again.test_score == known.test_score
    (stage,) = found.glob("known-timm-resnet-*.json")
    shutil.copy(stage, found / "known-timm-vit.json")
    with pytest.raises(UserError, match=r"would keep it where timm:resnet=theirs\.pth is"):
        run(found, GIVEN, compare_with=["timm:vit"])


def test_bytes_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise.pth").write_bytes(b"\x80\x02" + b"a." * 250)
    with pytest.raises(UserError, match="is damaged or not a checkpoint"):
        load_weights(Theirs(10), str(tmp_path / "noise.pth"), 10)


class Harmful:
    """An object in a file of weights that runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return (print, ("harm",))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"features.0.weight": Harmful()}, "is refused: reading it would run"),
        ({"state_dict": {}}, "holds no tensors by name"),
        ({"conv.weight": torch.zeros(1)}, "has no features.0.bias and 8 more: it is of another"),
        (
            Theirs(10, channels=8).state_dict(),
            "features.0.weight has the shape [8, 3, 3, 3], that of the network [4",
        ),
    ],
)
@pytest.mark.usefixtures("_libraries")
def test_other_weights_are_one_line(
    content: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(UserError) as caught:
        run(tmp_path / "run", GIVEN, compare_with=[f"timm:resnet={tmp_path / 'weights.pth'}"])
    assert told in str(caught.value)
    assert "harm" not in capsys.readouterr().out


def test_a_plan_leaves_them_their_time(tmp_path: Path) -> None:
    given = {"data": {"source": "digits"}, "constraint": {"maximum": {"flops": 4e5}}}
    alone = Planner(given, 600.0, threads=1).plan()
    beside = Planner(given, 600.0, threads=1, known=["mobilenet_v2"]).plan()
    times = {one.stage: one.seconds for one in beside.estimates}
    assert times["known"] > times["retrain"] > 0
    assert beside.total <= 1.01 * max(alone.total, 600.0)


def test_they_are_not_compared_with_a_network_by_name(tmp_path: Path) -> None:
    given = {**GIVEN, "network": {"name": "mobilenet_v2"}}
    with pytest.raises(UserError, match="known networks are compared only with the winner"):
        run(tmp_path / "run", given, ("retrain",), compare_with=["mobilenet_v2"])
