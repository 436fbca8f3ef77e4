"""The precision of a plan: measured, chosen where a device has bfloat16, and in its times."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spos.data.peek import ImageFacts
from spos.run.config import make_config
from spos.run.planning import capacity, measuring, planner
from spos.run.planning.mixtures import make_parts, measure_mixture
from spos.run.planning.planner import Planner
from spos.run.planning.precision import has_bfloat16
from spos.run.planning.speed import Line, Speed
from spos.space import Architecture
from spos.spaces import family

FACTS = ImageFacts(50_000, 10, 32, 3, grey=False, has_validation=False, has_test=False)


def plan(
    monkeypatch: pytest.MonkeyPatch, half: float, **run: Any
) -> tuple[Planner, dict[str, Any]]:
    """Plan for a GPU on which a step in bfloat16 takes a share of the time."""
    seen = torch.device("cuda")
    monkeypatch.setattr(planner, "make_fabric", lambda *_: SimpleNamespace(device=seen))
    monkeypatch.setattr(capacity, "has_bfloat16", lambda device: device.type == "cuda")

    def measure(*given: Any) -> Speed:
        factor = half if given[-1] == "bf16-mixed" else 1.0
        training, evaluation = (Line(5e-3, each * factor) for each in (3e-12, 1e-12))
        return Speed(1, training, evaluation, given[-1])

    monkeypatch.setattr(capacity, "measure_speed", measure)
    made = Planner({"data": {"source": "folder:x"}, "run": run}, 600, facts=FACTS)
    found = made.plan()
    chosen = {one.setting: one for one in found.choices}
    assert found.speed.precision == made.config().run.precision
    return made, chosen


def test_bfloat16_is_chosen_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    made, chosen = plan(monkeypatch, 0.25)
    # Half of a step is launches, which take as long.
    assert chosen["run.precision"].reason == "1.6 times as fast as 32-true here"
    assert made.config().run.precision == "bf16-mixed"


def test_bfloat16_is_left_where_it_gains_little(monkeypatch: pytest.MonkeyPatch) -> None:
    made, chosen = plan(monkeypatch, 0.95)
    assert "run.precision" not in chosen
    assert made.config().run.precision == "32-true"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_given_precision_stays(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    made, chosen = plan(monkeypatch, 0.25, precision=precision)
    assert "run.precision" not in chosen
    assert made.config().run.precision == precision


def test_a_cpu_computes_in_the_precision_by_default() -> None:
    assert not has_bfloat16(torch.device("cpu"))


def test_steps_are_measured_in_the_precision_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    supernet = family("mobile").build(family("mobile").preset("tiny"), classes=10)
    table, seen = family("mobile").costs(supernet), []
    last = [one for one in supernet.modules() if isinstance(one, torch.nn.Linear)][-1]
    last.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    monkeypatch.setattr(measuring, "_seconds", lambda work, more=1.0: work() or 1.0)
    cpu, path = torch.device("cpu"), Architecture([0] * len(table.space.option_counts))
    for precision, kind in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        found = measuring.measure_speed(supernet, table, 2, [1], cpu, precision)
        measuring.measure_networks(supernet, [path], 2, cpu, precision)
        assert found.precision == precision
        assert set(seen) == {kind}
        seen.clear()


def test_steps_of_a_differentiable_search_are_measured_in_its_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "space": {"name": "mobile", "preset": "tiny"},
        "run": {"precision": "bf16-mixed"},
        "search": {"algorithm": "fbnet"},
    }
    config = make_config(given)
    supernet = family("mobile").build(config.layout, classes=10)
    parts, seen = make_parts(config, supernet, family("mobile").costs(supernet)), []
    last = [one for one in supernet.modules() if isinstance(one, torch.nn.Linear)][-1]
    last.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    monkeypatch.setattr(measuring, "_seconds", lambda work, more=1.0: work() or 1.0)
    measure_mixture(config, supernet, parts, 2)
    assert set(seen) == {torch.bfloat16}
