"""``spos.search``: everything in one call."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

import spos
import spos.spaces
from spos import Architecture, OneOf, UserError, _api
from spos._api import FoundNetwork
from spos.data.images import TensorImages
from spos.run.planning.schedule import Schedule, read_plan
from spos.run.scoring import Candidates, score_candidates
from spos.spaces._own import PRESET, OwnLayout, register_model

#: A search of seconds.
QUICK: dict[str, Any] = {
    "supernet": {"steps": 60, "warmup_steps": 3},
    # No plan has such a warm-up for as many steps.
    "retrain": {"steps": 60, "warmup_steps": 4},
    "search": {"population": 6, "iterations": 2, "parents": 2},
}


def layer(inputs: int, outputs: int) -> nn.Sequential:
    options = {f"{k}x{k}": nn.Conv2d(inputs, outputs, k, padding=k // 2) for k in (1, 3, 5)}
    return nn.Sequential(OneOf(options), nn.BatchNorm2d(outputs), nn.ReLU())


def stack() -> nn.Sequential:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))
    return nn.Sequential(layer(1, 8), layer(8, 12), layer(12, 12), *head)


def arrays() -> tuple[Tensor, Tensor]:
    digits = load_digits()
    images = torch.tensor(digits.images * 15.9375).to(torch.uint8)[:, None]
    return images, torch.tensor(digits.target)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> FoundNetwork:
    result: FoundNetwork = spos.search(
        stack(),
        arrays(),
        max_flops="200K",
        settings=QUICK,
        compare=1,
        threads=1,
        out=tmp_path_factory.mktemp("api") / "run",
    )
    return result


def test_a_model_and_arrays_are_enough(found: FoundNetwork) -> None:
    assert found.costs["flops"] <= 200_000
    assert set(found.architecture.values()) <= {"1x1", "3x3", "5x5"}
    assert 0.15 < found.accuracy <= 1
    assert len(found.candidates) == 12 and found.front == ()
    assert found.comparison is not None and len(found.comparison.networks) == 1
    assert found.report.exists()
    assert f"{found.accuracy:.1%}" in found._repr_html_()


@pytest.mark.parametrize(("side", "times"), [(8, 1), (6, 2)])
def test_a_dataset_is_read_once_unless_its_images_are_shrunk(side: int, times: int) -> None:
    class Counted(TensorDataset):
        read = 0

        def __getitem__(self, index: int) -> Any:
            self.read += 1
            return super().__getitem__(index)

    pixels, labels = arrays()
    dataset = Counted(pixels, labels)
    images = _api._Images(dataset, None, None)
    data = images.load({"layout": {"image_size": side}, "data": {"test": 20}}, 0)
    assert data.image_size == side and images.facts.count == len(pixels)
    # The first item a few times more, for its size and channels.
    assert round(dataset.read / len(pixels)) == times
    again = images.load({"layout": {"image_size": side}, "data": {"test": 20}}, 0)
    assert again.fingerprint == data.fingerprint
    assert torch.equal(again.train.pixels([0, 1]), data.train.pixels([0, 1]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"data": "digits", "test": arrays()}, "test: digits is a source with test images of its"),
        ({"data": (arrays()[0], arrays()[1][:30])}, "1797 images and 30 classes: give one class"),
    ],
)
def test_images_that_do_not_go_together_are_refused(
    given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        spos.search("mobile", **given, time="1m", out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_score_that_the_model_cannot_have_is_refused_before_the_training(tmp_path: Path) -> None:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    linear = nn.Sequential(layer(1, 8)[0], *head)
    settings = {**QUICK, "search": {**QUICK["search"], "naswot_weight": 0.5}}
    with pytest.raises(UserError, match="naswot_weight: the network has no activation"):
        spos.search(linear, arrays(), settings=settings, threads=1, out=tmp_path / "run")
    assert not list(tmp_path.glob("run/*.json"))


def test_processes_find_what_one_finds(found: FoundNetwork, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "compare": 1, "threads": 1}
    both = spos.search(stack(), arrays(), **options, workers=2, out=tmp_path / "run")
    assert both.winner == found.winner and both.accuracy == found.accuracy
    assert both.comparison == found.comparison


def test_what_other_processes_cannot_have_is_refused_before_the_training(tmp_path: Path) -> None:
    class Local(nn.Sequential):
        """Known in this function alone."""

    with pytest.raises(UserError, match="model cannot be sent to other processes"):
        spos.search(Local(*stack()), arrays(), settings=QUICK, workers=2, out=tmp_path / "run")
    assert not list(tmp_path.glob("run/*.json"))


def test_the_network_found_predicts_and_is_exported(found: FoundNetwork, tmp_path: Path) -> None:
    images, labels = arrays()
    said = torch.tensor([int(name) for name in found.predict(images)])
    assert (said == labels).float().mean() > found.accuracy - 0.15
    assert not any(isinstance(module, OneOf) for module in found.network.modules())
    with pytest.raises(UserError, match=r"images of torch.float32, shape .*; allowed: uint8"):
        found.predict(images.float())
    assert found.export(tmp_path / "digits.onnx").stat().st_size > 1000


def test_the_same_call_resumes_and_another_model_is_refused(found: FoundNetwork) -> None:
    class Named(nn.Sequential):
        pass

    before = (found.folder / "result.json").read_bytes()
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1}
    loader = DataLoader(TensorDataset(*arrays()), batch_size=8)
    again = spos.search(stack(), loader, compare=1, out=found.folder, **given)
    assert again.result == found.result
    assert (found.folder / "result.json").read_bytes() == before
    wider = nn.Sequential(layer(1, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    with pytest.raises(UserError, match=r"layout\.model is \w+ there and \w+ here"):
        spos.search(wider, arrays(), out=found.folder, **given)
    with pytest.raises(UserError, match=r"space\.name is own-Sequential there and own-Named here"):
        spos.search(Named(*stack()), arrays(), out=found.folder, **given)


def test_another_budget_takes_over_the_supernet_within_a_time_of_its_own(
    found: FoundNetwork, tmp_path: Path
) -> None:
    def another(out: Path, **given: Any) -> FoundNetwork:
        limits: dict[str, Any] = {"max_flops": "150K", "reuse": found, "threads": 1}
        limits["settings"] = {"search": {"algorithm": "random"}}
        result: FoundNetwork = spos.search(stack(), arrays(), out=out, **limits, **given)
        return result

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Schedule, "_keep", killed)
        with pytest.raises(KeyboardInterrupt):
            another(tmp_path / "timed", time=4)
    assert read_plan(tmp_path / "timed") is None
    smaller = another(tmp_path / "timed", time=4)
    assert smaller.costs["flops"] <= 150_000 and smaller.result.train == found.result.train
    configured = yaml.safe_load((smaller.folder / "config.yaml").read_text())
    # The sizes of the stages fit the time, and everything else is as it was there.
    retrained = [configured["retrain"][name] for name in ("steps", "warmup_steps")]
    assert configured["search"]["population"] >= 10 and retrained != [60, 4]
    assert configured["data"] == yaml.safe_load((found.folder / "config.yaml").read_text())["data"]
    plan = read_plan(smaller.folder)
    assert plan is not None and plan.estimates[0].stage == "search"
    assert plan.total == pytest.approx(4, rel=0.15)
    with pytest.raises(UserError, match=r"planned for 4.0 s; give the same"):
        another(tmp_path / "timed", time=60)
    assert another(tmp_path / "timed", time=4).result == smaller.result
    jointly: dict[str, Any] = {"time": 4, "reuse": found, "out": tmp_path / "other"}
    with pytest.raises(UserError, match="--algorithm fbnet trains its own weights"):
        spos.search(stack(), arrays(), settings={"search": {"algorithm": "fbnet"}}, **jointly)
    with pytest.raises(UserError, match=r"--reuse .*: it has no trained supernet"):
        spos.search("mobile", "digits", time=4, reuse=tmp_path, out=tmp_path / "other")
    with pytest.raises(UserError, match=r"--reuse .*: no such folder"):
        spos.search("mobile", "digits", time=4, reuse=tmp_path / "none", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_space_by_name_and_a_source_are_enough_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int, str]] = []
    settings = {**QUICK, "layout": {"depths": [1, 1, 1]}, "space": {"preset": "tiny"}}
    result = spos.search(
        "nasbenchmacro",
        "digits:cluttered",
        max_flops="400K",
        settings={**settings, "supernet": {"steps": 4}, "retrain": {"steps": 4}},
        compare=1,
        threads=1,
        time=30,
        callback=lambda *one: told.append(one),
        out=tmp_path / "run",
    )
    assert result.result.space.name == "nasbenchmacro"
    assert {"message", "train", "search", "retrain"} <= {one[0] for one in told}


@pytest.mark.parametrize(
    ("model", "data", "named", "says"),
    [
        ("mobil", "digits", {}, "unknown space 'mobil': did you mean 'mobile'"),
        ("mobile", "digits", {"time": "soon"}, "--time soon: write a duration"),
        ("mobile", "digits", {"max_flops": "many"}, "max_flops 'many' is not a positive number"),
        ("mobile", [1, 2, 3], {}, "item 0: int; allowed: "),
        (None, "folder:missing", {}, "--data folder:missing: no such folder"),
    ],
)
def test_a_mistake_is_one_line(
    model: Any, data: Any, named: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        spos.search(model, data, out=tmp_path / "run", **named)
    assert not (tmp_path / "run").exists()


def test_other_images_of_the_same_labels_are_no_finished_run(
    found: FoundNetwork, tmp_path: Path
) -> None:
    images, labels = arrays()
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1, "compare": 1}
    for other in ((255 - images, labels), (images, (labels + 1) % 10)):
        with pytest.raises(UserError, match="images of dataset are not those that"):
            spos.search(stack(), other, out=found.folder, **given)
    with pytest.raises(UserError, match="images of dataset are not those that"):
        spos.search(stack(), (255 - images, labels), out=tmp_path / "a", reuse=found, threads=1)


def test_bounds_among_the_settings_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**QUICK, "constraint": {"maximum": {"params": 800}}}
    found = spos.search(
        stack(), arrays(), max_flops="200K", settings=settings, threads=1, out=tmp_path / "run"
    )
    assert found.costs["params"] <= 800 and found.costs["flops"] <= 200_000
    assert "spos: train 60/60" in capsys.readouterr().err


@pytest.mark.parametrize(
    "part",
    [
        {"sampler": SubsetRandomSampler([0, 1, 2])},
        {"batch_sampler": [[0, 1], [2, 3]]},
        {"collate_fn": lambda items: items},
    ],
)
def test_a_loader_of_some_images_is_refused(part: dict[str, Any], tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*arrays()), **part)
    with pytest.raises(UserError, match=f"a DataLoader with the {next(iter(part))} "):
        spos.search(stack(), loader, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_arrays_are_planned_as_sources_are(tmp_path: Path) -> None:
    said: list[str] = []

    def stop(stage: str, _: int, __: int, text: str) -> None:
        said.append(text)
        if stage != "message":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spos.search(stack(), arrays(), callback=stop, threads=1, out=tmp_path / "run")
    chosen = {line.partition(" ")[0] for line in said}
    assert {"supernet.steps", "retrain.steps", "retrain.augment"} <= chosen
    configured = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert configured["supernet"]["steps"] < 20_000
    assert configured["supernet"]["augment"] == "crop", "grey digits are not flipped"


class Shaped(nn.Sequential):
    """A model with code and plain values of its own."""

    scale = 1.0

    def __init__(self, scale: float, act: Any) -> None:
        super().__init__(*stack())
        self.scale, self.act = scale, act

    def forward(self, images: Tensor) -> Tensor:
        for module in self[:-3]:
            images = self.act(self.scale * module(images))
        outputs: Tensor = self[-3:](images)
        return outputs


def known_as(model: nn.Module) -> str:
    layout = spos.spaces.family(register_model(model, 8)).preset(PRESET)
    assert isinstance(layout, OwnLayout)
    return layout.model


def test_a_model_is_known_by_its_code_and_its_values() -> None:
    first = known_as(Shaped(1.0, torch.relu))
    assert known_as(Shaped(1.0, torch.relu).eval()) == first, "with other random weights as well"
    assert known_as(Shaped(-3.0, torch.relu)) != first
    assert known_as(Shaped(1.0, torch.sin)) != first


def test_a_module_that_knows_how_it_begins_has_the_last_word() -> None:
    class Zero(nn.Sequential):
        def reset_parameters(self) -> None:
            nn.init.zeros_(self[0].weight)

    def attention() -> nn.Module:
        parts = (nn.Flatten(2), nn.TransformerEncoderLayer(64, 2, 32), nn.Flatten())
        first = OneOf({"zero": Zero(nn.Conv2d(1, 1, 1)), "skip": nn.Identity()})
        return nn.Sequential(first, *parts)

    def built(model: nn.Module) -> nn.Module:
        space = spos.spaces.family(register_model(model, 8))
        torch.manual_seed(0)
        return space.build(space.preset(PRESET), classes=64, image_channels=1)

    # Whatever the caller's own random numbers were.
    first, second = built(attention()), built(attention())
    for (name, one), (_, two) in zip(
        first.named_parameters(), second.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name
    (zero,) = (module for module in first.modules() if isinstance(module, Zero))
    assert not zero[0].weight.any()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            nn.Sequential(*stack()[:-1], nn.Linear(12, 7)),
            r"outputs of shape \[N, 7\]; allowed for 10 classes: \[N, 10\]",
        ),
        (nn.Sequential(*stack()[:-3]), r"outputs of shape \[N, 12, 8, 8\]"),
        (nn.Sequential(*stack()[:-1], nn.LazyLinear(10)), "lazy layers, whose sizes are not known"),
        (spos.Supernet(stack(), (1, 32, 32)), r"inputs of shape \[1, 32, 32\], the images have"),
    ],
)
def test_a_model_that_does_not_suit_the_images_is_refused(
    model: nn.Module, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says) as refused:
        spos.search(model, arrays(), out=tmp_path / "run", time="1m")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_the_random_numbers_of_the_caller_go_on(found: FoundNetwork) -> None:
    model = stack()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1, "compare": 1}
    spos.search(model, arrays(), out=found.folder, **given)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"time": -5}, "write a duration above 0"),
        ({"time": 0}, "write a duration above 0"),
        ({"threads": 0}, "threads 0: must be at least 1"),
        ({"compare": -1}, "compare -1: must be at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        spos.search(stack(), arrays(), **given, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_images_that_are_not_square_are_cut_and_it_is_said() -> None:
    pixels, labels = arrays()
    wide = torch.nn.functional.pad(pixels, (3, 3))
    data = _api._Images(TensorDataset(wide, labels), None, None).load({}, 0)
    assert "images of 14x8 pixels: the middle 8x8" in data.notes
    assert data.train.pixels([0]).shape == (1, 1, 8, 8)


def test_images_of_several_sizes_are_resized_to_the_one_that_is_given() -> None:
    images = [Image.new("RGB", (20 + number % 3, 24)) for number in range(30)]
    items = [(image, number % 2) for number, image in enumerate(images)]
    with pytest.raises(UserError, match="set the side to resize to: image_size=20"):
        _api._Images(items, None, None)
    planned = {"layout": {"image_size": 16}, "data": {"test": 4, "stream": "always"}}
    data = _api._Images(items, None, None, 16).load(planned, 0)
    assert data.image_size == 16 and not isinstance(data.train, TensorImages)


def test_an_option_inside_of_another_counts_where_it_is_chosen(tmp_path: Path) -> None:
    kernels = {f"{k}x{k}": nn.Conv2d(8, 8, k, padding=k // 2) for k in (1, 3, 5)}
    acts = {"relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU()}
    block = nn.Sequential(OneOf(kernels), nn.BatchNorm2d(8), OneOf(acts))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    model = nn.Sequential(nn.Conv2d(1, 8, 1), OneOf({"skip": nn.Identity(), "block": block}), *head)
    supernet = spos.Supernet(copy.deepcopy(model), (1, 8, 8))
    every = [Architecture(each) for each in itertools.product(range(2), range(3), range(3))]
    assert len({supernet.canonical(one) for one in every}) == 1 + 9
    evaluated: list[tuple[Architecture, ...]] = []

    def score(context: Any, item: Candidates) -> Any:
        evaluated.append(tuple(item.architectures))
        yield from score_candidates(context, item)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spos.run.scoring.score_candidates", score)
        found = spos.search(
            model,
            arrays(),
            settings={**QUICK, "search": {"population": 12, "iterations": 1, "parents": 2}},
            compare=3,
            threads=1,
            out=tmp_path / "run",
        )
    assert len(found.candidates) == 12
    assert len(evaluated[0]) == len(
        {supernet.canonical(one.architecture) for one in found.candidates}
    )
    assert len(evaluated[0]) < 12
    assert found.comparison is not None
    compared = [one.architecture for one in found.comparison.networks]
    networks = map(supernet.space.parse, [*compared, str(found.winner.architecture)])
    assert len({supernet.canonical(one) for one in networks}) == len(compared) + 1
