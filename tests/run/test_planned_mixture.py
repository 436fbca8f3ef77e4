"""Plans of differentiable searches: the time of their steps, their batches and their cooling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spos import Architecture, OneOf, Supernet, UserError
from spos._util.listener import Silent
from spos.cost import CostTable
from spos.data.peek import ImageFacts
from spos.run.config import make_config
from spos.run.directory import RunDirectory
from spos.run.planning import capacity, measuring, supernets
from spos.run.planning.estimates import SHARES
from spos.run.planning.execute import describe, run_planned
from spos.run.planning.measuring import measure_networks
from spos.run.planning.mixtures import make_parts, measure_mixture, split_sizes
from spos.run.planning.plan import Plan, as_sections
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import Schedule, read_plan
from spos.run.planning.speed import Line, Speed
from spos.training.recipe import DifferentiableSettings

SPEED = Speed(1, Line(0.01, 1 / 3e9), Line(0.003, 1 / 9e9))
#: Seconds of a step of every mixture.
STEP = 0.25
#: The temperature of the last of the 90 epochs of FBNet.
LAST = 5 * 0.956**89


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: SPEED)
    monkeypatch.setattr(supernets, "measure_mixture", lambda *_: STEP)


def given(algorithm: str = "fbnet", **sections: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"source": "digits"}, "search": {"algorithm": algorithm}, **sections}


def plan(settings: dict[str, Any], seconds: float | None, count: int = 1438) -> Plan:
    facts = ImageFacts(count, 10, 8, 1, grey=True, has_validation=False, has_test=True)
    return Planner(settings, seconds, facts=facts).plan()


def temperatures(made: Plan, settings: dict[str, Any]) -> list[float]:
    """Temperatures of all epochs of the weights: of four fifths of the images of the search."""
    config = make_config(made.complete(settings))
    images = made.images - config.data.validation
    epoch = (images - round(0.2 * images)) // config.supernet.batch_size
    epochs = range((config.supernet.steps - 1) // epoch + 1)
    return [config.differentiable.temperature_at(number) for number in epochs]


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("algorithm", ["fbnet", "darts", "proxylessnas"])
def test_the_stages_share_the_time_by_the_steps_of_the_mixture(algorithm: str) -> None:
    made = plan(given(algorithm), 600)
    assert 0.95 * 600 <= made.total <= 1.02 * 600
    times = {one.stage: one.seconds for one in made.estimates}
    assert times["train"] == pytest.approx(SHARES[0] * 600, rel=0.1)
    steps = as_sections(made.choices)["supernet"]["steps"]
    assert made.step_seconds == STEP and times["train"] == pytest.approx(steps * STEP)
    # One network is derived and scored; a search of single paths would take 8% of the time.
    assert 0 < times["search"] < 2
    sampled = plan(given(algorithm, differentiable={"derive": "sample"}), 600)
    more = {one.stage: one.seconds for one in sampled.estimates}
    assert more["search"] == pytest.approx(50 * times["search"])


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("seconds", [60, 600, 3600])
def test_a_short_training_cools_as_far_as_a_long_one(seconds: int) -> None:
    settings = given()
    made = plan(settings, seconds)
    cooled = temperatures(made, settings)
    assert cooled[0] == 5
    if len(cooled) < 90:
        assert cooled[-1] == pytest.approx(DifferentiableSettings().temperature_at(89))
        assert cooled[-1] == pytest.approx(LAST, rel=0.02)
        reason = f"cools to 0.091 in {len(cooled)} epochs of the 978 images of the weights"
        assert reason in "\n".join(describe(made))
    else:
        assert "temperature_decay" not in as_sections(made.choices).get("differentiable", {})


@pytest.mark.usefixtures("measured")
def test_what_takes_time_before_the_training_leaves_the_last_temperature() -> None:
    settings = given()
    made = plan(settings, 300).after(100)
    cooled = temperatures(made, settings)
    assert len(cooled) < len(temperatures(plan(settings, 300), settings))
    assert cooled[-1] == pytest.approx(LAST, rel=0.02)


@pytest.mark.usefixtures("measured")
def test_one_epoch_cannot_cool_and_that_is_said() -> None:
    made = plan(given(), 600, count=500_000)
    assert "of no effect in a single epoch: the temperature stays 5" in "\n".join(describe(made))


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "settings",
    [given("darts"), given("proxylessnas"), given(differentiable={"temperature_decay": 0.1})],
)
def test_a_decay_is_chosen_only_where_it_is_open_and_used(settings: dict[str, Any]) -> None:
    chosen = as_sections(plan(settings, 300).choices)
    assert "differentiable" not in chosen


@pytest.mark.usefixtures("measured")
def test_batches_fit_the_images_of_theta() -> None:
    settings = given()
    facts = ImageFacts(60, 2, 8, 1, grey=True, has_validation=False, has_test=True)
    made = Planner(settings, 300, facts=facts).plan()
    config = make_config(made.complete(settings))
    weights, theta = split_sizes(config, 60 - config.data.validation)
    assert theta == 10 and weights == 41
    assert config.supernet.batch_size == 10


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (given(run={"precision": "16-mixed"}), "run.precision 16-mixed: not"),
        (given(differentiable={"unit": 1e12}), "differentiable.unit 1.000T"),
        (given(supernet={"method": "uniform"}), "needs a supernet trained by the method fbnet"),
        (given(space={"name": "shufflenetv2-channels"}), "a differentiable search mixes"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told) as raised:
        plan(settings, 60)
    assert "\n" not in str(raised.value)


def test_the_gates_of_proxylessnas_are_refused_jointly_before_the_run_is_started(
    tmp_path: Path,
) -> None:
    settings = given("proxylessnas", differentiable={"form": "joint"})
    with pytest.raises(UserError, match=r"differentiable\.form joint: the gates of ProxylessNAS"):
        run_planned(tmp_path / "run", settings, seconds=20, threads=1)
    assert not (tmp_path / "run").exists()


class Second(nn.Conv2d):
    """A convolution, each call of which takes a second of a clock that nothing else moves."""

    clock = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Second.clock += 1
        return super().forward(x)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are those of the clock."""

    def seconds(work: Callable[[], None], _: float = 1.0) -> float:
        began = Second.clock
        work()
        return Second.clock - began

    monkeypatch.setattr(measuring, "_seconds", seconds)


def space(options: dict[str, nn.Module], outputs: int) -> Supernet:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(outputs, 10))
    return Supernet(nn.Sequential(OneOf(options), head), (4, 8, 8))


@pytest.mark.usefixtures("clock")
def test_the_steps_that_are_measured_run_all_options_and_train_theta() -> None:
    supernet = space({str(k): Second(4, 4, k, padding=k // 2) for k in (1, 3, 5)}, 4)
    table = CostTable(supernet)

    def seconds(algorithm: str, **settings: Any) -> float:
        config = make_config(given(algorithm, differentiable=settings))
        return measure_mixture(config, supernet, make_parts(config, supernet, table), 4)

    # Three options for the weights, and in 89% of the steps three more for theta.
    assert seconds("fbnet") == pytest.approx(3 + 0.89 * 3)
    assert seconds("darts", every=2) == pytest.approx(3 + 0.445 * 3)
    # One option for the weights, two for theta.
    assert seconds("proxylessnas", warmup=0.5) == pytest.approx(1 + 0.5 * 2)
    # Theta has no batches of its own.
    assert seconds("darts", form="joint") == 3


@pytest.mark.usefixtures("clock")
def test_networks_are_measured_one_by_one() -> None:
    twice = nn.Sequential(Second(4, 4, 3), Second(4, 4, 3))
    supernet = space({"once": Second(4, 4, 3), "twice": twice}, 4)
    paths = [Architecture([0]), Architecture([1])]
    assert measure_networks(supernet, paths, 4, torch.device("cpu")) == [1, 2]


@pytest.mark.parametrize(("channels", "last"), [(4, False), (16, True)])
def test_steps_are_measured_in_the_memory_format_of_the_training(
    channels: int, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A strided 1x1 convolution of few channels is not trained in the format channels last.
    layers = nn.Sequential(nn.Conv2d(4, channels, 3), nn.Conv2d(channels, 8, 1, stride=2))
    supernet, seen = space({"both": layers}, 8), []
    supernet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    monkeypatch.setattr(measuring, "_seconds", lambda work: work() or 1.0)
    measure_networks(supernet, [Architecture([0])], 4, torch.device("cpu"))
    for tensor in (seen[0], layers[0].weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last) is last


class Stopped(Silent):
    """A kill at a step of the training."""

    def __init__(self) -> None:
        self.seen = 0

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        self.seen += stage == "train"
        if self.seen == 3:
            raise KeyboardInterrupt


def test_a_planned_search_is_resumed_by_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, settings = tmp_path / "run", given("proxylessnas")
    measure, times = Schedule._steps, []

    def steps(*given: Any) -> tuple[float, float]:
        times.append(measure(*given))
        return times[-1]

    monkeypatch.setattr(Schedule, "_steps", steps)
    with pytest.raises(KeyboardInterrupt):
        run_planned(out, settings, seconds=4, threads=1, listener=Stopped())
    made = read_plan(out)
    assert made is not None and not (out / "train.json").exists()
    config = RunDirectory(out).read_config()
    result = run_planned(out, settings, seconds=4, threads=1, compare=1)
    after = RunDirectory(out).read_config()
    assert all(after[name] == config[name] for name in ("supernet", "differentiable", "constraint"))
    assert result.train is not None and result.train.method == "proxylessnas"
    assert result.train.steps == as_sections(made.choices)["supernet"]["steps"]
    assert result.test_score is not None and result.winner is not None
    assert result.comparison is not None and result.comparison.uniform is not None
    # When the retraining began, and not again.
    ((own, uniform),) = times
    assert own > 0 and uniform > 0
    before = (out / "result.json").read_bytes()
    assert run_planned(out, settings, seconds=4, threads=1, compare=1) == result
    assert (out / "result.json").read_bytes() == before
