"""Runs of a preset without a time: its recipe, for the images there are."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from spos.data import register_augmentation
from spos.data.peek import ImageFacts
from spos.run.config import make_config
from spos.run.planning import capacity
from spos.run.planning import schedule as scheduling
from spos.run.planning.plan import Draft, Plan, as_sections
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import Schedule
from spos.run.planning.speed import Line, Speed
from spos.run.planning.trainings import needs_plan, scale_recipe

SPEED = Speed(1, Line(0.01, 1 / 3e9), Line(0.003, 1 / 9e9))
RECIPES = ("supernet", "retrain")
CIFAR: dict[str, Any] = {"space": {"preset": "cifar"}, "data": {"source": "folder:photos"}}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: SPEED)


def plan(count: int, given: dict[str, Any] = CIFAR, compare: int | None = None) -> Plan:
    facts = ImageFacts(
        count=count,
        classes=10,
        side=32,
        channels=3,
        grey=False,
        has_validation=False,
        has_test=False,
    )
    return Planner(given, None, facts=facts, compare=compare).plan()


def test_a_small_data_set_is_not_trained_on_for_days() -> None:
    made = plan(2000)
    chosen = as_sections(made.choices)
    # Of 1,800 images without the test ones: a seventh of the images that 50,000 see.
    assert chosen["supernet"]["steps"] == pytest.approx(100_000 * (1800 / 50_000) ** 0.6, rel=0.01)
    assert chosen["retrain"]["steps"] == chosen["supernet"]["steps"]
    reason = next(one.reason for one in made.choices if one.setting == "supernet.steps")
    assert "the preset has 100,000 steps for 50,000 images" in reason
    config = make_config(made.complete(CIFAR))
    assert config.supernet.warmup_steps == 1000 and config.supernet.augment == "standard"


def test_as_many_images_as_the_preset_was_made_for_leave_it_as_it_is() -> None:
    made = plan(50_000)
    assert made.choices == ()
    # The estimate alone is of use.
    assert made.total > 3600 and not made.fitted


def test_what_the_user_gave_is_left_as_it_is() -> None:
    given = {**CIFAR, "supernet": {"steps": 50}}
    chosen = as_sections(plan(2000, given).choices)
    assert "steps" not in chosen["supernet"] and "steps" in chosen["retrain"]


def test_batches_shrink_with_the_data_and_the_learning_rate_with_them() -> None:
    given = {"space": {"name": "shufflenetv2", "preset": "imagenet"}}
    draft = Draft(given)
    scale_recipe(draft, make_config(given), 2000, grey=False)
    choices = as_sections(tuple(draft.choices))
    assert choices["supernet"]["batch_size"] == 128
    assert choices["supernet"]["learning_rate"] == pytest.approx(0.5 / 8)
    seen = choices["supernet"]["steps"] * 128
    assert seen == pytest.approx(150_000 * 1024 * (2000 / 1_281_167) ** 0.6, rel=0.01)


def test_the_comparison_is_part_of_the_estimate() -> None:
    alone, compared = plan(2000), plan(2000, compare=2)
    seconds = {one.stage: one.seconds for one in compared.estimates}
    assert seconds["compare"] == pytest.approx(3 * seconds["retrain"])
    assert compared.total == pytest.approx(alone.total + seconds["compare"], rel=1e-3)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"space": {"preset": "tiny"}}, False),
        ({"space": {"preset": "cifar"}}, True),
        ({"space": {"preset": "tiny"}, "data": {"source": "folder:photos"}}, True),
        ({"data": {"source": "digits"}}, True),
        ({"network": {"name": "mobilenet_v2"}, "space": {"preset": "cifar"}}, False),
        ({"space": {"preset": "cifar"}, "search": {"algorithm": "fbnet"}}, True),
        (
            {
                "space": {"preset": "tiny"},
                "data": {"source": "folder:photos"},
                "supernet": {"steps": 5},
                "retrain": {"steps": 5},
            },
            False,
        ),
    ],
)
def test_a_plan_is_made_where_it_tells_something(given: dict[str, Any], needed: bool) -> None:
    assert needs_plan(given) is needed


def slow(image: Tensor) -> Tensor:
    time.sleep(0.01)
    return image


def test_a_function_of_ones_own_takes_its_time_of_each_step() -> None:
    recipe = {"augment": register_augmentation(slow), "steps": 10, "batch_size": 100}
    made = plan(2000, {**CIFAR, "supernet": recipe, "retrain": recipe})
    alone = plan(2000, {**CIFAR, **{one: {**recipe, "augment": "crop"} for one in RECIPES}})
    assert made.step_seconds > alone.step_seconds + 1
    more = [one.seconds for one in made.estimates if one.stage in ("train", "retrain")]
    less = [one.seconds for one in alone.estimates if one.stage in ("train", "retrain")]
    assert all(long > short + 10 for long, short in zip(more, less, strict=True))


def test_the_later_trainings_are_fitted_to_such_a_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = SimpleNamespace(augment=register_augmentation(slow), batch_size=100)
    context: Any = SimpleNamespace(
        config=SimpleNamespace(retrain=recipe),
        data=SimpleNamespace(channels=3, image_size=8, train=None),
        fabric=SimpleNamespace(device=torch.device("cpu")),
    )
    schedule = Schedule(plan(2000), 0.0, known=("any",))
    monkeypatch.setattr(schedule, "_networks", lambda _: (0.5, 0.0))
    own, uniform = schedule._steps(context)
    assert own > 1.5 and uniform == 0
    monkeypatch.setattr(scheduling, "check_known", lambda *_: (None, {"flops": 0}))
    assert schedule._known(context, 1.0)[0] > 1
