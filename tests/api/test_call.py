"""``spos.search``: everything in one call."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from own_models import QUICK, arrays, layer, stack
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spos
import spos.spaces
from spos import OneOf, UserError
from spos._api import FoundNetwork
from spos._api.arguments import join_bounds, name_folder
from spos.run.planning.schedule import Schedule, read_plan


def test_a_model_and_arrays_are_enough(found: FoundNetwork) -> None:
    assert found.costs["flops"] <= 200_000
    assert set(found.architecture.values()) <= {"1x1", "3x3", "5x5"}
    assert 0.15 < found.accuracy <= 1
    assert len(found.candidates) == 12 and found.front == ()
    assert found.comparison is not None and len(found.comparison.networks) == 1
    assert found.report.exists()
    assert f"{found.accuracy:.1%}" in found._repr_html_()
    assert f">multiply-adds</th><td>{found.costs['flops']:,}<" in found._repr_html_()
    first, *told = str(found).splitlines()
    assert first == f"FoundNetwork of {found.folder}" and repr(found) == str(found)
    assert told[0] == f"  test accuracy: {found.accuracy:.1%}"
    assert re.fullmatch(r"  costs: \S+ multiply-adds, \S+ parameters.*", told[1])
    assert told[2:] == [f"  architecture: {found.winner.architecture}"]


def test_processes_find_what_one_finds(found: FoundNetwork, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "compare": 1, "threads": 1}
    both = spos.search(stack(), arrays(), **options, workers=np.int64(2), out=tmp_path / "run")
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
    few = images[:20]
    larger = [Image.fromarray(image.numpy()).resize((24, 24)).convert("RGB") for image in few[:, 0]]
    for form in (few / 255, few.numpy(), few[:, 0].numpy(), list(few)):
        assert found.predict(form) == found.predict(images)[:20]
    same = zip(found.predict(larger), found.predict(few), strict=True)
    assert sum(one == other for one, other in same) > 10
    assert found.predict([]) == []
    # As while it is fine-tuned.
    state = {name: one.clone() for name, one in found.network.state_dict().items()}
    found.network.double().train()
    assert found.predict(few) == found.predict(images)[:20]
    assert all(module.training for module in found.network.modules())
    found.network.float().eval()
    assert all(torch.equal(one, state[name]) for name, one in found.network.state_dict().items())
    with pytest.raises(UserError, match=r"image 0: values of 0 to 239; allowed for float: 0 to 1"):
        found.predict(images.float())
    with pytest.raises(UserError, match="give several, such as a list of one"):
        found.predict(larger[0])
    photo = tmp_path / "photo.png"
    larger[0].save(photo)
    for files in (photo, str(photo), [str(photo)]):
        assert found.predict(files) == found.predict(larger[:1])
    assert found.predict([photo, larger[1]]) == found.predict(larger[:2])
    for other, told in ((tmp_path, "not a regular file"), (tmp_path / "none.png", "No such file")):
        with pytest.raises(UserError, match=rf"^{re.escape(str(other))}: .*{told}"):
            found.predict(other)
    with pytest.raises(UserError, match=r"images of shape \[24, 24, 3\]: a single one; give image"):
        found.predict(np.array(larger[0]))
    with pytest.raises(UserError, match="image 0: int; allowed: a PIL image, a tensor, or an"):
        found.predict([5])
    assert found.export(tmp_path / "digits.onnx").stat().st_size > 1000


def test_the_same_call_resumes_and_another_model_is_refused(found: FoundNetwork) -> None:
    class Named(nn.Sequential):
        pass

    before = (found.folder / "result.json").read_bytes()
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1}
    loader = DataLoader(TensorDataset(*arrays()), batch_size=8)
    again = spos.search(stack(), loader, compare=1, loggers=None, out=found.folder, **given)
    assert again.result == found.result
    assert (found.folder / "result.json").read_bytes() == before
    wider = nn.Sequential(layer(1, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    with pytest.raises(UserError, match=r"the model differs, in its .* torch\.manual_seed"):
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
    assert smaller.costs["flops"] <= 150_000 and smaller.result.train and found.result.train
    assert smaller.result.train == replace(found.result.train, reused=True)
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
    with pytest.raises(UserError, match=r"^reuse .*: it has no trained supernet"):
        spos.search("mobile", "digits", time=4, reuse=tmp_path, out=tmp_path / "other")
    with pytest.raises(UserError, match=r"^reuse .*: no such folder"):
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
        ("mobile", "digits", {"time": "soon"}, "^time soon: write a duration"),
        ("mobile", "digits", {"max_flops": "many"}, "max_flops 'many' is not a positive number"),
        ("mobile", [1, 2, 3], {}, "item 0: int; allowed: "),
        (stack(), (arrays()[0], 0 * arrays()[1]), {}, "^data dataset: only one class"),
        ("mobile", {"a": 1}, {}, "dataset dict: has no items by index"),
        (nn.Conv2d, "digits", {}, "model <class .*Conv2d'>: must be a module with choices, the"),
        (None, Path("missing"), {}, "^data folder:missing: no such folder"),
        (None, "folder:missing", {}, "^data folder:missing: no such folder"),
    ],
)
def test_a_mistake_is_one_line(
    model: Any, data: Any, named: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        spos.search(model, data, out=tmp_path / "run", **named)
    assert not (tmp_path / "run").exists()


def test_bounds_among_the_settings_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**QUICK, "constraint": {"maximum": {"params": 800}}}
    found = spos.search(
        stack(), arrays(), max_flops="200K", settings=settings, threads=1, out=tmp_path / "run"
    )
    assert found.costs["params"] <= 800 and found.costs["flops"] <= 200_000
    assert "spos: train 60/60" in capsys.readouterr().err


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


def test_the_random_numbers_of_the_caller_go_on(found: FoundNetwork) -> None:
    model = stack()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1, "compare": 1}
    spos.search(model, arrays(), out=found.folder, **given)
    assert torch.equal(torch.rand(3), expected)


def test_threads_search_one_after_the_other(tmp_path: Path) -> None:
    def search(width: int) -> FoundNetwork:
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
        settings = {
            "supernet": {"steps": 4, "warmup_steps": 0},
            "retrain": {"steps": 4, "warmup_steps": 0},
            "search": {"population": 2, "iterations": 1, "parents": 1},
        }
        # Models of one class.
        model, out = nn.Sequential(layer(1, width), *head), tmp_path / str(width)
        found: FoundNetwork = spos.search(
            model, arrays(), settings=settings, compare=0, threads=1, out=out
        )
        return found

    with ThreadPoolExecutor(2) as pool:
        for width, found in zip((4, 6), pool.map(search, (4, 6)), strict=True):
            assert found.network.get_submodule("3").in_features == width


def test_modes_of_the_caller_change_nothing(found: FoundNetwork, tmp_path: Path) -> None:
    given: dict[str, Any] = {"max_flops": "200K", "settings": QUICK, "threads": 1, "compare": 1}
    model, images = stack(), arrays()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
            again = spos.search(model, images, out=tmp_path / "run", **given)
            said = again.predict(images[0][:9])
    finally:
        torch.set_default_dtype(torch.float32)
    assert again.candidates == found.candidates
    assert again.result.comparison == found.result.comparison
    assert again.accuracy == found.accuracy and said == found.predict(images[0][:9])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"time": -5}, "time -5: must be above 0 seconds"),
        ({"time": 0}, "time 0: must be above 0 seconds"),
        ({"threads": 0}, "threads 0: must be at least 1"),
        ({"threads": 10**9}, "threads 1000000000: must be at most 1024"),
        ({"workers": 0}, "workers 0: must be at least 1"),
        ({"workers": 10**9}, "workers 1000000000: must be at most 1024"),
        ({"compare": -1}, "compare -1: must be at least 0"),
        ({"compare": 10**9}, "compare 1000000000: must be at most 1000000"),
    ],
)
def test_numbers_out_of_range_are_refused(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        spos.search(stack(), arrays(), **given, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"time": float("nan")}, "time nan: must be above 0 seconds, and below 1e"),
        ({"time": float("inf")}, "time inf: must be above 0 seconds, and below 1e"),
        ({"time": 10**400}, "time 10*: must be above 0 seconds, and below 1e"),
        ({"time": [1]}, r"time \[1\]: must be a duration"),
        ({"limits": [1]}, r"limits \[1\]: must be upper bounds by the names of costs"),
        ({"limits": {"flops": 1}, "max_flops": "10M"}, "flops is given as max_flops too; give one"),
        ({"out": 3}, "out 3: must be a path"),
        ({"out": ""}, "out '': must be a path"),
        ({"init": ""}, "init '': must be a path"),
        ({"reuse": ""}, "reuse '': must be an earlier search"),
        ({"out": "x" * 5000}, r"out x+\.\.\.: File name too long"),
        ({"out": "a\0b"}, r"out a\\x00b: embedded null byte"),
        ({"init": "x" * 5000}, r"init x+\.\.\.: File name too long"),
        ({"reuse": "x" * 5000}, r"reuse x+\.\.\.: File name too long"),
        ({"workers": True}, "workers True: must be a whole number"),
        ({"seed": "a"}, "seed 'a': must be a whole number"),
        ({"classes": 5}, "classes 5: must be a list of names"),
        ({"classes": {"a", "b"}}, "classes {.*}: must be a list of names"),
        ({"compare_with": [5]}, r"compare_with \[5\]: must be a list of names"),
        ({"callback": 5}, "callback 5: must be a function of the stage, the steps done"),
        ({"compare_with": "resnet18"}, "compare_with 'resnet18': must be a list of names"),
        ({"settings": "abc"}, "settings 'abc': must be settings by section"),
        ({"settings": {"run": None}}, "section 'run' is not a mapping"),
        ({"settings": {"layout": {"image_size": "abc"}}}, "image_size 'abc': must be a valid int"),
        ({"settings": {"run": {"seed": "abc"}}}, "run.seed 'abc': must be a valid integer"),
        (
            {"settings": {"constraint": {"maximum": [1]}}, "max_flops": "10M"},
            r"constraint.maximum \[1\]: must be bounds by the names of costs",
        ),
    ],
)
def test_arguments_of_another_kind_are_refused(
    given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        spos.search(stack(), arrays(), **{"out": tmp_path / "run", **given})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "given", "says"),
    [
        (
            {"space": {"name": "nasbench201"}},
            {},
            "name 'nasbench201' contradicts the argument model",
        ),
        ({"space": {"preset": "tiny"}}, {}, r"space.preset 'tiny' contradicts the argument model"),
        ({"space": {"name": "mobile"}}, {"model": "nasbench201"}, "name 'mobile' contradicts"),
        ({"data": {"source": "digits"}}, {}, "data.source 'digits' contradicts the argument data"),
        ({"run": {"seed": 1}}, {"seed": 2}, "run.seed 1 contradicts the argument seed"),
        ({"constraint": {"maximum": {"flops": 5}}}, {"max_flops": 4}, r"maximum.flops is given by"),
        ({"supernet": {"init": "a"}}, {"init": "b"}, "supernet.init 'a' contradicts"),
        (
            {"supernet": {"augment": "none"}, "retrain": {"augment": "none"}},
            {"augment": abs},
            "retrain.augment leave no stage for the argument augment",
        ),
    ],
)
def test_a_setting_and_an_argument_that_differ_are_refused(
    settings: dict[str, Any], given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"^settings: .*{says}.*; (give one of them|leave one)"):
        spos.search(
            **{"model": stack(), "data": arrays(), "out": tmp_path / "run", **given},
            settings=settings,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["folder", "cifar10", "hf", "webdataset"])
def test_images_of_a_name_that_no_file_has_are_refused(source: str, tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(UserError, match=f"^data {source}:"):
            spos.search(None, f"{source}:{name}", out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_those_of_python(tmp_path: Path) -> None:
    given: dict[str, Any] = {"time": np.float32(60), "compare": np.int64(1), "threads": np.int64(1)}
    found = spos.search(stack(), arrays(), **given, settings=QUICK, out=tmp_path / "run")
    assert found.comparison is not None and found.comparison.asked == 1


def test_runs_are_named_after_what_was_asked() -> None:
    bounds = join_bounds({"latency": 5e6}, flops="1M", params=None)
    named = name_folder(nn.Sequential(), (1, 2), bounds, 60.0, 0)
    assert named == Path("runs/Sequential-images-1M-flops-5000000-latency-60s")
    assert name_folder("mobile", TensorDataset(), {}, None, 1) == Path(
        "runs/mobile-TensorDataset-seed-1"
    )
    long = [name_folder("mobile", "folder:" + "a/" * 900 + end, {}, None, 0) for end in "ab"]
    assert all(len(one.name) < 255 for one in long) and long[0] != long[1]
