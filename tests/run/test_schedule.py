"""The later stages of a planned run, fitted to the time that is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plans import SPEED

from spos._util.listener import Silent
from spos.data.peek import ImageFacts
from spos.run.config import make_config
from spos.run.outcome import RetrainOutcome
from spos.run.planning import schedule as schedule_module
from spos.run.planning.plan import Plan
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import Schedule


def test_finalists_that_train_at_the_same_time_leave_more_for_the_retraining(monkeypatch):
    own = {"processes": 2, "parallel": 2.0}
    steps = []
    for more in ({}, own):
        made = Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), (), **more)
        schedule = Schedule(made, 0.0)
        monkeypatch.setattr(Schedule, "used", lambda *_: 100.0)
        monkeypatch.setattr(Schedule, "_steps", lambda *_: (0.1, 0.1))
        recipe = SimpleNamespace(batch_size=1)
        finalists = SimpleNamespace(count=3, share=0.5)
        network = SimpleNamespace(compare_share=1.0)
        config = SimpleNamespace(retrain=recipe, finalists=finalists, network=network)
        context = SimpleNamespace(
            config=config, directory=None, fitness=SimpleNamespace(by_metric=0), frozen={}
        )
        monkeypatch.setattr(schedule_module, "read_found", lambda _: SimpleNamespace(budgets=()))
        monkeypatch.setattr(schedule_module, "choose_finalists", lambda *_, **__: [0, 1, 2])
        steps.append(schedule._retrain(context)["retrain"]["steps"])
    assert steps[1] > 1.4 * steps[0]


def test_budgets_share_the_time_of_one(monkeypatch):
    made = Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), ())
    schedule = Schedule(made, 0.0)
    monkeypatch.setattr(Schedule, "used", lambda *_: 100.0)
    monkeypatch.setattr(Schedule, "_steps", lambda *_: (0.1, 0.1))
    monkeypatch.setattr(Schedule, "_slowness", lambda *_: 1.0)

    def fitted(budgets: tuple[float, ...], **given: int) -> tuple[int, int]:
        config = make_config(
            {"constraint": {"budgets": {"flops": budgets}} if budgets[1:] else {}, "search": given}
        )
        retrainings = {str(budget): "" for budget in budgets}
        found = SimpleNamespace(budgets=budgets[1:], retrainings=retrainings)
        monkeypatch.setattr(schedule_module, "read_found", lambda _: found)
        monkeypatch.setattr(schedule_module, "choose_finalists", lambda *_, **__: [])
        images = range(1000)
        context = SimpleNamespace(
            config=config,
            data=SimpleNamespace(validation=images, train=images),
            directory=None,
            frozen={"search": given},
            fitness=SimpleNamespace(by_metric=False),
        )
        sizes = schedule._search(context)["search"] | given
        steps = schedule._retrain(context)["retrain"]["steps"]
        return sizes["population"] * sizes["iterations"], steps

    (one, alone), (four, together) = fitted((1e6,)), fitted((1e6, 2e6, 3e6, 4e6))
    assert one / 6 < four < one / 3
    # Of four networks, and three that they are compared with.
    assert together == pytest.approx(alone * 4 / 7, rel=0.02)
    # What is given of the two is kept, and the other one follows.
    assert fitted((1e6,), iterations=20)[0] == pytest.approx(one, rel=0.2)


def test_the_later_stages_suit_what_the_user_gave_of_them(monkeypatch):
    monkeypatch.setattr(Schedule, "used", lambda *_: 299.0)
    monkeypatch.setattr(Schedule, "_steps", lambda *_: (0.1, 0.1))
    monkeypatch.setattr(Schedule, "_slowness", lambda *_: 1.0)
    monkeypatch.setattr(schedule_module, "read_found", lambda _: None)
    given: dict[str, Any] = {
        "search": {"crossover_children": 10, "mutation_children": 20},
        "retrain": {"warmup_steps": 300},
    }
    context = SimpleNamespace(
        config=make_config(given),
        data=SimpleNamespace(validation=range(1000), train=range(1000)),
        directory=None,
        frozen=given,
        fitness=SimpleNamespace(by_metric=False),
    )
    schedule = Schedule(Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), ()), 0.0)
    fitted = {**schedule._search(context), **schedule._retrain(context)}
    config = make_config({name: fitted[name] | given[name] for name in given})
    assert config.search.population == 30 and config.retrain.steps == 301


@pytest.mark.usefixtures("measured")
def test_the_time_in_which_large_photographs_are_read_is_not_for_the_stages(monkeypatch):
    facts = ImageFacts(5000, 5, 64, 3, grey=False, has_validation=False, has_test=False)
    slow = replace(facts, reading=100.0)
    times = []
    for each in (facts, slow):
        made = Planner({}, 300.0, facts=each).plan()
        assert made.total == pytest.approx(300, rel=0.02)
        times.append({one.stage: one.seconds for one in made.estimates})
    assert "read" not in times[0] and times[1].pop("read") == 100
    assert sum(times[1].values()) == pytest.approx(300 - 100 - made.spent, rel=0.02)
    monkeypatch.setattr(Schedule, "_keep", lambda *_: None)
    schedule = Schedule(made, 0.0)
    directory = SimpleNamespace(is_finished=lambda _: True)
    schedule.settings("train", SimpleNamespace(directory=directory, reading=90.0))
    # As part of what was spent before the first stage, it is no part of a training either.
    assert schedule.plan.spent == made.spent + 90.0
    assert schedule.plan.total == pytest.approx(made.total - 10.0)


def after_retraining(seconds: float, share: float = 1.0, **beside: float) -> Any:
    """A run whose winner is trained, and maybe networks of the comparison beside it."""
    times = {f"compare-{name.lstrip('_')}": spent for name, spent in beside.items()}
    names = [Path(f"{stage}.json") for stage in times]
    times[RetrainOutcome.stage] = seconds
    outcomes = {stage: SimpleNamespace(seconds=spent) for stage, spent in times.items()}
    directory = SimpleNamespace(
        path=SimpleNamespace(glob=lambda _: names),
        outcome=lambda kind, stage=None: outcomes.get(stage or kind.stage),
    )
    config = SimpleNamespace(network=SimpleNamespace(compare_share=share))
    return SimpleNamespace(directory=directory, listener=Silent(), config=config)


@pytest.mark.parametrize(
    ("used", "training", "compared"),
    # Each network takes what the retraining took, loading and testing included: 25 or 16 s.
    [(250, 20.0, 1), (236, 12.0, 4), (295, 20.0, 0), (100, 12.0, 5), (275, 20.0, 1)],
)
def test_as_many_networks_are_compared_as_the_time_bears(monkeypatch, used, training, compared):
    each = 25.0 if training == 20.0 else 16.0
    made = Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), ())
    schedule = Schedule(made, 0.0)
    monkeypatch.setattr(Schedule, "used", lambda *_: used)
    monkeypatch.setattr(Schedule, "before", lambda *_: used - each)
    monkeypatch.setattr(Schedule, "_keep", lambda *_: None)
    monkeypatch.setattr(Schedule, "_steps", lambda *_: (0.1, 0.1))
    assert schedule.networks(after_retraining(training)) == compared
    # At most half a network beyond the tolerance; one where there would be none otherwise.
    assert used + (compared + 1 if compared else 0) * each <= 1.03 * 300 + each / 2 * (
        2 if compared == 1 else 1
    )


def test_what_the_process_took_to_begin_is_no_part_of_a_training(monkeypatch):
    schedule = Schedule(Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), ()), 0.0)
    now = [200.0]
    monkeypatch.setattr(Schedule, "used", lambda *_: now[0])
    # Imports and the time between stages took 40 s, which no stage counts.
    monkeypatch.setattr(Schedule, "before", lambda *_: 160.0)
    for name, result in (("_keep", None), ("_steps", (0.1, 0.1)), ("_retrain", {})):
        monkeypatch.setattr(Schedule, name, lambda *_, result=result: result)
    context = after_retraining(20.0)
    context.directory.is_finished = lambda _: False
    context.frozen = {}
    schedule.new = False
    schedule.settings("retrain", context)
    now[0] = 221.0
    # 79 s are left for networks of 21 s, of which the uniform one is the first.
    assert schedule.networks(context) == 3


@pytest.mark.parametrize(("used", "compared"), [(230, 5), (255, 4), (275, 2), (295, 2), (300, 0)])
def test_where_the_uniform_network_is_trained_there_is_time_for_more(monkeypatch, used, compared):
    made = Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), (), processes=2, parallel=1.6)
    schedule = Schedule(made, 0.0)
    monkeypatch.setattr(Schedule, "used", lambda *_: used)
    # The winner took 20 s, the uniform network 30 s meanwhile, and the test of both 5 s more.
    monkeypatch.setattr(Schedule, "before", lambda *_: used - 35)
    monkeypatch.setattr(Schedule, "_keep", lambda *_: None)
    # One or two others at a time take 25 s.
    assert schedule.networks(after_retraining(20.0, uniform=30.0)) == compared


@pytest.mark.parametrize(
    ("used", "beside", "compared"),
    [
        # Beside the winner, which took 40 s, all were trained for a quarter as long.
        (270, {"found": 10.0, "uniform": 10.0, "_1": 10.0, "_2": 10.0}, 5),
        (308, {"found": 10.0, "uniform": 10.0, "_1": 10.0, "_2": 10.0}, 2),
        # Where they are left, those of the winner and the uniform network take 15 s each as well.
        (250, {}, 2),
        (290, {}, 0),
    ],
)
def test_of_shorter_trainings_those_that_are_done_count(monkeypatch, used, beside, compared):
    several = {"processes": 2, "parallel": 2.0} if beside else {}
    schedule = Schedule(Plan(300.0, 10.0, 300, 1e6, 0.2, SPEED, (), (), **several), 0.0)
    monkeypatch.setattr(Schedule, "used", lambda *_: used)
    monkeypatch.setattr(Schedule, "before", lambda *_: used - 45)
    monkeypatch.setattr(Schedule, "_keep", lambda *_: None)
    monkeypatch.setattr(Schedule, "_steps", lambda *_: (0.1, 0.1))
    assert schedule.networks(after_retraining(40.0, 0.25, **beside)) == compared
