"""Runs of a preset without a time: its recipe, for the images there are."""

from __future__ import annotations

from typing import Any

import pytest

from spos.data.peek import ImageFacts
from spos.run.config import make_config
from spos.run.planning import planner as planning
from spos.run.planning.plan import Draft, Plan, as_sections
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed
from spos.run.planning.trainings import needs_plan, scale_recipe

SPEED = Speed(1, Line(0.01, 1 / 3e9), Line(0.003, 1 / 9e9))
CIFAR: dict[str, Any] = {"space": {"preset": "cifar"}, "data": {"source": "folder:photos"}}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: SPEED)


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
    scale_recipe(draft, make_config(given), 2000)
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
