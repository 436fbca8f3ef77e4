"""Plans: what is chosen for the user."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from plans import DIGITS, chosen, plan

from spos import Constraint, CostTable, UserError
from spos._util.randomness import generator
from spos.data.peek import ImageFacts
from spos.data.split import split_targets
from spos.run.config import Config, make_config, merge_sections
from spos.run.planning import capacity, measuring
from spos.run.planning import planner as planning
from spos.run.planning.duration import parse_duration
from spos.run.planning.execute import describe, run_planned
from spos.run.planning.layouts import choose_layout
from spos.run.planning.plan import Plan
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed
from spos.spaces import family


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty photographs of two classes, of different sizes."""
    random = np.random.default_rng(0)
    for number in range(40):
        width, height = random.integers(150, 300, 2)
        pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.mark.parametrize("text", ["", "1", "m", "-5m", "5 minutes", "0s", "1h x", "9" * 30 + "h"])
def test_a_duration_that_is_none_is_one_line(text):
    with pytest.raises(UserError, match="write a duration above 0, such as 20m, 1h or 1h30m"):
        parse_duration(text)


@given(st.floats(0, 10), st.floats(1, 1e9), st.integers(1, 512))
def test_the_line_of_a_speed_is_inverted(fixed, flops, batch):
    line = Line(fixed, 1e-9)
    assert line.flops(line.seconds(flops, batch), batch) == pytest.approx(flops, rel=1e-3)
    assert line.flops(fixed / 2, batch) == 0


@pytest.mark.usefixtures("measured")
def test_photographs_are_shrunk_to_what_the_time_allows(photos):
    given = {"data": {"source": f"folder:{photos}"}}
    hurried, relaxed = plan(given, 60), plan(given, 36_000)
    assert 32 <= chosen(hurried)["layout.image_size"] < chosen(relaxed)["layout.image_size"] <= 224
    lines = "\n".join(describe(hurried))
    assert "pixels of" in lines and "(median): what the time allows" in lines
    assert "fewer than 200 rank networks badly" in lines


@pytest.mark.usefixtures("measured")
def test_small_images_keep_their_size_and_grey_ones_are_not_flipped():
    made = chosen(plan(DIGITS, 600))
    assert made["layout.image_size"] == 8 and made["supernet.augment"] == "crop"


@pytest.mark.usefixtures("measured")
def test_what_the_user_gave_is_not_chosen():
    given = {**DIGITS, "supernet": {"steps": 77}, "data": {"source": "digits", "validation": 0.3}}
    made = plan(given, 600)
    assert not {"supernet.steps", "data.validation"} & set(chosen(made))
    complete = made.complete(given)
    assert complete["supernet"]["steps"] == 77 and complete["data"]["validation"] == 0.3


@pytest.mark.usefixtures("measured")
def test_a_space_of_the_user_is_kept_and_its_steps_follow_the_time():
    given = {**DIGITS, "space": {"name": "nasbenchmacro", "preset": "tiny"}}
    short, long = (chosen(plan(given, seconds)) for seconds in (60, 600))
    assert not [name for name in short if name.startswith(("space", "layout", "constraint"))]
    assert long["supernet.steps"] > 5 * short["supernet.steps"]


@pytest.mark.usefixtures("measured")
def test_candidates_have_a_second_score_where_the_space_is_chosen():
    assert chosen(plan(DIGITS, 60))["search.naswot_weight"] == planning.NASWOT_WEIGHT
    space = {"name": "nasbenchmacro", "preset": "tiny"}
    accuracy = {"search": {"fitness": "metric"}}
    for own in ({"space": space}, {"search": {"naswot_weight": 0.0}}, accuracy):
        assert "search.naswot_weight" not in chosen(plan({**DIGITS, **own}, 60))


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("seconds", [None, 60, 3600])
def test_the_stages_take_the_time_that_was_given(seconds):
    made = plan(DIGITS, seconds)
    if seconds is None:
        assert made.total > 60
    else:
        assert 0.9 * seconds <= made.total <= 1.02 * seconds


@pytest.mark.usefixtures("measured")
def test_a_limit_beyond_the_time_is_lowered_and_said(photos):
    given = {
        "data": {"source": f"folder:{photos}"},
        "constraint": {"maximum": {"flops": 60e6, "params": 2e6}},
    }
    made = plan(given, 60)
    limits = made.complete(given)["constraint"]["maximum"]
    assert limits["flops"] < 60e6 and limits["params"] == 2e6
    assert "(below your 60.00M): what the time allows" in "\n".join(describe(made))


def test_one_class_is_refused_before_anything_is_measured(photos):
    given = {"data": {"source": f"folder:{photos}"}}
    shutil.rmtree(photos / "dog")
    with pytest.raises(UserError, match="only one class; a classifier needs at least 2"):
        plan(given, 60)


@pytest.mark.parametrize(
    ("settings", "known", "reason"),
    [
        (
            {"constraint": {"storage": "mysql://me:secret@host/db"}},
            [],
            r"storage mysql://me:\*\*\*@",
        ),
        ({}, ["mobilenot_v2"], "unknown network 'mobilenot_v2': did you mean 'mobilenet_v2'?"),
        ({}, ["mobilenet_v2=missing.pth"], "missing.pth"),
        ({}, ["mobilenet_v2@half"], "the width must be a number from 0.1 to 4, or fit"),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(
    tmp_path, monkeypatch, settings, known, reason
):
    monkeypatch.setattr(capacity.Capacity, "measure", lambda *_: pytest.fail("measured"))
    with pytest.raises(UserError, match=reason) as caught:
        run_planned(tmp_path / "run", {**DIGITS, **settings}, seconds=6, compare_with=known)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("device", "batches"), [("cpu", (32, 64)), ("cuda", (128, 256))])
def test_batches_grow_where_an_accelerator_waits_for_launches(monkeypatch, device, batches):
    launching = Speed(1, Line(0.02, 1e-13), Line(0.005, 1e-13))
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: launching)
    monkeypatch.setattr(
        planning, "make_fabric", lambda *_: SimpleNamespace(device=torch.device(device))
    )
    facts = ImageFacts(50_000, 10, 32, 3, grey=False, has_validation=False, has_test=False)
    settings = chosen(Planner({"data": {"source": "folder:x"}}, 600, facts=facts).plan())
    assert (settings["supernet.batch_size"], settings["retrain.batch_size"]) == batches
    growth = batches[0] / 32
    assert settings.get("supernet.learning_rate", 0.1) == pytest.approx(0.1 * growth**0.5)
    # Half of it for weights that are inherited.
    assert settings.get("retrain.learning_rate", 0.1) == pytest.approx(0.05 * growth)
    # Launches alone would take all of the time of a training with small batches.
    assert settings["layout.channels"][0] >= (16 if device == "cuda" else 4)


def test_the_speed_of_an_accelerator_is_measured_by_larger_batches(monkeypatch):
    with torch.device("meta"):
        supernet = family("mobile").build(
            family("mobile").preset("small"), classes=10, image_channels=3
        )
    table = family("mobile").costs(supernet)
    seen: list[int] = []
    supernet.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))

    def seconds(work):
        work()
        # Ten milliseconds of launches, and a microsecond of arithmetic for an image.
        return 0.01 + 1e-6 * seen[-1]

    monkeypatch.setattr(measuring, "_seconds", seconds)
    found = measuring.measure_speed(supernet, table, 32, [1], torch.device("meta"))
    assert seen[:8] == [32, 64, 128, 256, 512, 1024, 2048, 4096]
    assert found.training.fixed == pytest.approx(0.01)
    drawn = supernet.space.sample_many(measuring.SAMPLES, generator(0, "speed"))
    costly = max(int(flops) for flops in table.many(drawn)[:, table.names.index("flops")])
    assert found.training.seconds(costly, 1000) == pytest.approx(0.011)


def test_the_threads_of_the_user_are_not_chosen_anew():
    assert Planner(DIGITS, 60, threads=64).capacity.tried == [64]
    assert Planner(DIGITS, 60).capacity.tried[0] == 1


@pytest.mark.parametrize(("shared", "gain"), [(False, 2.0), (True, 1.0)])
def test_several_processes_are_measured_against_this_one(
    monkeypatch: pytest.MonkeyPatch, shared: bool, gain: float
):
    layout = family("mobile").preset("tiny")
    supernet = family("mobile").build(layout, classes=10)
    spent, both = Counter[int](), threading.Barrier(2, timeout=60)

    def evaluate(_: Any) -> None:
        both.wait()  # Each beside another one.
        spent[threading.get_ident()] += 1

    def timed(work: Callable[[], object], number: int) -> int:
        spent.clear()
        work()
        # A machine on which there is room for all of them, or for one alone.
        return (sum if shared else max)(spent.values())

    monkeypatch.setattr(measuring._Work, "evaluate", evaluate)
    monkeypatch.setattr(measuring, "_seconds", lambda _: 1.0)
    monkeypatch.setattr(measuring, "timeit", SimpleNamespace(timeit=timed))
    threads = torch.get_num_threads()
    found = measuring.measure_side_by_side(supernet, CostTable(supernet), 8, 1, processes=2)
    assert found == gain
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("seconds", "forks", "gain", "processes"),
    [
        (600, True, 1.6, 2),
        (None, True, 1.6, 2),
        (600, True, 1.0, 1),
        (90, True, 1.6, 1),
        (200, True, 1.6, 2),
        # Each would take seconds to start.
        (200, False, 1.6, 1),
    ],
)
@pytest.mark.usefixtures("measured")
def test_a_plan_counts_on_the_processes_that_gain_something(
    monkeypatch: pytest.MonkeyPatch,
    seconds: float | None,
    forks: bool,
    gain: float,
    processes: int,
):
    monkeypatch.setattr(capacity, "may_fork", lambda: forks)
    monkeypatch.setattr(capacity, "measure_side_by_side", lambda *_, **__: gain)
    alone, made = Planner(DIGITS, seconds).plan(), Planner(DIGITS, seconds, processes=2).plan()
    assert (made.processes, made.parallel) == (processes, gain if processes > 1 else 1.0)
    times = {one.stage: one.seconds for one in made.estimates}
    before = {one.stage: one.seconds for one in alone.estimates}
    said = any("2 processes do 1.6 times as much" in line for line in describe(made))
    assert said == (processes == 2)
    if processes == 1:
        assert times == pytest.approx(before, rel=0.1)
    elif seconds is None:
        assert times["search"] == pytest.approx(before["search"] / gain, rel=0.1)
        # One of the three others beside the winner, the other two after them.
        assert times["compare"] == times["retrain"]
        assert times["retrain"] == pytest.approx(before["retrain"] * 2 / gain, rel=0.1)
    else:
        # Trainings in less time, so longer ones fit.
        assert times["retrain"] > 1.05 * before["retrain"]


@pytest.mark.usefixtures("measured")
def test_a_long_plan_trains_a_supernet_in_each_process(monkeypatch: pytest.MonkeyPatch):
    gain = 1.6
    monkeypatch.setattr(capacity, "may_fork", lambda: True)
    monkeypatch.setattr(capacity, "measure_side_by_side", lambda *_, **__: gain)

    def planned(seconds: float, processes: int = 2, **given: Any) -> tuple[Plan, Config, float]:
        one = Planner(merge_sections(DIGITS, given), seconds, processes=processes).plan()
        times = {each.stage: each.seconds for each in one.estimates}
        config = make_config(one.complete(merge_sections(DIGITS, given)))
        return one, config, times["train"]

    alone, single, seconds = planned(7200, 1)
    made, config, together = planned(7200)
    assert (single.supernet.members, config.supernet.members) == (1, 2)
    # Both in the time of one, with fewer steps each.
    assert together == pytest.approx(seconds, rel=0.1)
    assert config.supernet.steps == pytest.approx(single.supernet.steps * gain / 2, rel=0.1)
    assert made.step_seconds == pytest.approx(alone.step_seconds * 2 / gain, rel=0.1)
    assert any(line.startswith("supernet.members 2: side by side") for line in describe(made))
    # Not where they are short, and not against what is given.
    assert planned(600)[1].supernet.members == 1
    assert planned(7200, supernet={"members": 1})[1].supernet.members == 1
    assert planned(7200, search={"racing": 0.9})[1].supernet.members == 1
    assert planned(7200, search={"algorithm": "fbnet"})[1].supernet.members == 1
    assert planned(600, supernet={"members": 3})[1].supernet.members == 3


@pytest.mark.usefixtures("measured")
def test_a_search_of_a_given_size_is_not_said_to_fit_the_time():
    expected = {}
    for iterations in (20, 2000):
        sized = {"search": {"population": 50, "iterations": iterations}}
        times = {one.stage: one.seconds for one in plan({**DIGITS, **sized}, 60).estimates}
        expected[iterations] = times["search"]
    assert expected[2000] == pytest.approx(100 * expected[20], rel=0.1)
    assert sum(times.values()) > expected[2000] > 60


@settings(max_examples=3, deadline=None)
@given(
    side=st.integers(4, 600),
    affordable=st.floats(1e4, 1e9),
    own=st.one_of(st.none(), st.floats(1e5, 1e9)),
)
def test_a_layout_has_networks_to_choose_from_within_the_limits(side, affordable, own):
    bounds = Constraint({} if own is None else {"flops": own})
    facts = ImageFacts(100, 3, side, 3, grey=False, has_validation=False, has_test=False)
    try:
        found = choose_layout(facts, lambda _: affordable, bounds)
    except UserError:
        assert own is not None and own < 2e6
        return
    least, most = found.table.range()["flops"]
    assert least <= found.limit < most
    assert found.limit <= (own or float("inf"))
    assert min(side, 32) <= found.layout.image_size <= min(side, 224)
    family("mobile").build(found.layout, classes=3)


def test_an_augmentation_of_ones_own_leaves_less_time_for_the_network(
    measured: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def slow(image):\n    return image\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sides = []

    def slow(policy: str, batch_size: int, shape: tuple[int, ...], device: Any) -> float:
        own = policy.startswith("mine:slow")
        sides.extend([shape[-1]] if own else [])
        return 1e-3 * batch_size * (shape[-1] / 32) ** 2 if own else 0.0

    monkeypatch.setattr(capacity, "measure_augmentation", slow)
    facts = ImageFacts(5000, 5, 64, 3, grey=False, has_validation=False, has_test=False)
    plain, own = (
        Planner({"retrain": augment}, 3600, facts=facts).plan()
        for augment in ({}, {"augment": "mine:slow"})
    )
    assert sides[0] == 64
    assert 0 < own.flops < plain.flops


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "given",
    [{"constraint": {"budgets": {"flops": ["1M", "60M"]}}}, {"search": {"pareto": "flops"}}],
)
def test_networks_narrower_than_the_limits_allow_are_explained(given: dict[str, Any]) -> None:
    if "search" in given:
        given = {**given, "constraint": {"maximum": {"flops": "60M"}}}
    plan = Planner(merge_sections(DIGITS, given), 60).plan()
    (width,) = (one.reason for one in plan.choices if one.setting == "layout.channels")
    assert width.endswith(": what the time allows (below your 60.00M)")


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("seconds", [None, 600])
def test_steps_that_are_given_are_those_of_the_estimate(seconds: float | None) -> None:
    few, many = (
        next(one.seconds for one in made.estimates if one.stage == "retrain")
        for steps in (100, 100_000)
        for made in [plan({**DIGITS, "retrain": {"steps": steps}}, seconds)]
    )
    assert many == pytest.approx(1000 * few)


@pytest.mark.usefixtures("measured")
def test_a_fair_step_takes_as_long_as_its_paths() -> None:
    uniform, fair = (
        plan({**DIGITS, "space": {"name": "nasbenchmacro"}, "supernet": {"method": method}}, 60)
        for method in ("uniform", "fair")
    )
    assert fair.step_seconds == pytest.approx(3 * uniform.step_seconds), "one for each option"


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("setting", [{"weights": "scratch"}, {"hold_out": True}])
def test_settings_of_the_retraining_leave_the_space_open(setting: dict[str, Any]) -> None:
    facts = ImageFacts(5000, 5, 64, 3, grey=False, has_validation=False, has_test=False)
    open_, given = (
        chosen(Planner({"data": {"source": "folder:x"}, **more}, 60, facts=facts).plan())
        for more in ({}, {"network": setting})
    )
    assert given["space.name"] == "mobile"
    assert given["layout.image_size"] == open_["layout.image_size"]


@pytest.mark.usefixtures("measured")
def test_a_class_with_too_few_images_for_the_parts_is_refused() -> None:
    kinds = {"grey": False, "has_validation": False, "has_test": False}
    facts = ImageFacts(100, 3, 32, 3, **kinds, smallest=("owl", 2))
    message = "class 'owl' has 2 images; a class needs at least 3, one each for training, test, "
    with pytest.raises(UserError, match=message):
        Planner({"data": {"source": "folder:x"}}, 60, facts=facts).plan()
    enough = replace(facts, has_test=True)
    assert Planner({"data": {"source": "folder:x"}}, 60, facts=enough).plan()


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("classes", "each"), [(2, 3), (10, 4), (200, 8), (1000, 5)])
def test_few_images_of_many_classes_are_split_with_one_of_each_class_in_every_part(
    classes: int, each: int
) -> None:
    kinds = {"grey": False, "has_validation": False, "has_test": False}
    facts = ImageFacts(classes * each, classes, 32, 3, **kinds, smallest=("owl", each))
    settings = chosen(Planner({"data": {"source": "folder:x"}}, 60, facts=facts).plan())
    labels = torch.arange(facts.count) % classes
    for part in ("test", "validation"):
        rest, _ = split_targets(labels, settings[f"data.{part}"], 0, option=part)
        labels = labels[rest]
    assert len(labels.unique()) == classes
    assert 2 <= settings["supernet.batch_size"] <= len(labels)


@pytest.mark.usefixtures("measured")
def test_of_panoramas_it_is_said_how_much_is_cut_off() -> None:
    kinds = {"grey": False, "has_validation": False, "has_test": False}
    for cut, told in ((0.81, True), (0.25, False)):
        facts = ImageFacts(1000, 3, 100, 3, **kinds, cut=cut)
        plan = Planner({"data": {"source": "folder:x"}}, 600, facts=facts).plan()
        (reason,) = (one.reason for one in plan.choices if one.setting == "layout.image_size")
        assert reason.endswith("; the middle square, without 81% of an image") == told
