"""Measuring parts: what is measured once, in which order, and after an interruption."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clockwork import Clock
from torch import nn

from spos._util.errors import UserError
from spos._util.files import read_json
from spos._util.listener import Silent
from spos._util.version import __version__
from spos.cost.latency import LatencyTable, measure_latency
from spos.cost.latency import rounds as rounds_module
from spos.cost.latency.backend import (
    BACKENDS,
    Sample,
    Torch,
    check_runtime,
    make_backend,
    take_sample,
    time_cuda_steps,
    time_steps,
)
from spos.cost.latency.plan import MIN_ROWS, computes_nothing, network_of, parts_of, rows_of
from spos.cost.latency.record import part_key
from spos.cost.latency.rounds import median, sample_rounds, spread
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import family


def test_parts_that_are_alike_are_one_and_nothing_is_not_measured(supernet: Supernet):
    clock = Clock()
    table = measure_latency(supernet, rounds=3, make=clock)
    # 2 of the first layer, 3 of the two alike, 2 of the last, 1 head; a skip is not measured.
    assert len(table.parts) == 8
    skips = [part for key, part in table.parts.items() if key.options == ("skip",)]
    assert [(part.median, part.nothing, part.runs) for part in skips] == [(0, True, 0)]
    others = [part for part in table.parts.values() if not part.nothing]
    # Ten runs in each of three rounds of at least three rows.
    assert all(part.median > 0 and part.runs >= 90 and part.spread == 0 for part in others)
    assert table.versions == {"spos": __version__, "clock": "1"} and table.outputs == 5


def test_parts_are_measured_on_another_device_than_the_one_that_prepares_them(supernet: Supernet):
    # No accelerator here: the device whose tensors have no values stands for one.
    table = measure_latency(
        supernet, rounds=1, make=lambda runtime, _: Torch(replace(runtime, accelerator="meta"))
    )
    assert all(part.median > 0 for part in table.parts.values() if not part.nothing)


def test_every_part_runs_time_steps_with_others_of_its_network(supernet: Supernet):
    parts = parts_of(supernet)
    rows = rows_of(next(iter(parts.values())).supernet, parts.values())
    assert {part_key(part) for row in rows.values() for part in row} == set(parts)
    for row in rows.values():
        assert [part.number for part in row] == list(range(len(supernet.stages)))
    company = Counter(part_key(part) for row in rows.values() for part in row)
    assert min(company.values()) >= MIN_ROWS
    again = rows_of(next(iter(parts.values())).supernet, parts.values())
    assert list(again) == list(rows)


def test_parts_of_a_stage_with_too_many_combinations_are_met_too():
    supernet = family("nasbench201").build(family("nasbench201").preset("tiny"), classes=10)
    parts = parts_of(supernet)
    rows = rows_of(next(iter(parts.values())).supernet, parts.values())
    assert set(parts) <= {part_key(part) for row in rows.values() for part in row}
    assert all(len(row) == len(supernet.stages) for row in rows.values())


def test_steps_are_timed_one_by_one_on_the_output_of_the_one_before():
    seen = []
    times = time_steps([lambda x: seen.append(x) or x + 1, lambda x: time.sleep(0.002) or x * 5], 1)
    assert seen == [1] and times[1] >= 2e6 and times[0] >= 0
    assert time_steps([seen.append], 7) and seen == [1, 7]


def test_the_median_and_the_quartiles():
    values = [10.0, 50.0, 20.0, 40.0, 30.0]
    assert (median(values), spread(values)) == (30, 20)
    found = sample_rounds({"a": lambda: lambda: Sample((values.pop(), 1.0), 2)}, 5, Silent())
    assert found.whole("a") == [31.0, 41.0, 21.0, 51.0, 11.0] and found.runs == {"a": 10}


def test_each_round_goes_through_all_in_an_order_of_its_own():
    order: list[int] = []

    def item(number: int):
        return lambda: lambda: order.append(number) or Sample((1.0,), 1)

    sample_rounds({str(n): item(n) for n in range(8)}, 4, Silent())
    turns = [order[begin : begin + 8] for begin in range(0, 32, 8)]
    assert all(sorted(turn) == list(range(8)) for turn in turns)
    assert len(set(map(tuple, turns))) == 4


def test_an_interrupted_measurement_resumes(
    tmp_path: Path, supernet: Supernet, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "cpu.json"
    whole_clock = Clock()
    whole = measure_latency(supernet, rounds=4, make=whole_clock)
    clock = Clock()

    def stop() -> None:
        if clock.sampled == 10:
            os.kill(os.getpid(), signal.SIGINT)

    clock.before_sample = stop
    with pytest.raises(KeyboardInterrupt):
        measure_latency(supernet, out, rounds=4, make=clock)
    assert clock.sampled == 11
    assert [path.name for path in tmp_path.iterdir()] == ["cpu.json.partial"]
    with pytest.raises(UserError, match=r"with another batch: 1 there, 2 here; rerun its command"):
        measure_latency(supernet, out, rounds=4, batch=2, make=Clock())
    with pytest.raises(UserError, match="with another rounds: 4 there, 5 here"):
        measure_latency(supernet, out, rounds=5, make=Clock())
    again = Clock()
    table = measure_latency(supernet, out, rounds=4, make=again)
    assert again.sampled == whole_clock.sampled - 11
    assert table.parts == whole.parts
    assert [path.name for path in tmp_path.iterdir()] == ["cpu.json"]
    assert LatencyTable.read(out) == table


def test_what_a_kill_leaves_is_samples_of_the_last_seconds(
    tmp_path: Path, supernet: Supernet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rounds_module, "SAVE_EVERY", 0.0)
    clock = Clock()

    def die() -> None:
        if clock.sampled == 8:
            raise SystemError("as if killed")

    clock.before_sample = die
    with pytest.raises(SystemError):
        measure_latency(supernet, tmp_path / "cpu.json", rounds=2, make=clock)
    again, whole = Clock(), Clock()
    measure_latency(supernet, tmp_path / "cpu.json", rounds=2, make=again)
    measure_latency(supernet, rounds=2, make=whole)
    assert again.sampled == whole.sampled - 8


@pytest.mark.parametrize("content", ["{", "[]", '{"conditions": 3}', '{"conditions": null}'])
def test_a_damaged_partial_file_is_named(tmp_path: Path, supernet: Supernet, content: str):
    (tmp_path / "cpu.json.partial").write_text(content)
    with pytest.raises(UserError, match=r"cpu\.json\.partial is damaged.*: delete it"):
        measure_latency(supernet, tmp_path / "cpu.json", make=Clock())


def test_samples_of_parts_that_there_are_not_are_damage(tmp_path: Path, supernet: Supernet):
    path = tmp_path / "cpu.json"
    clock = Clock()
    clock.before_sample = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        measure_latency(supernet, path, rounds=2, make=clock)
    kept = path.with_name("cpu.json.partial")
    stored = read_json(kept)
    kept.write_text(json.dumps({**stored, "samples": {"no such row": [[1.0]]}}))
    with pytest.raises(UserError, match=r"is damaged .*: delete it"):
        measure_latency(supernet, path, rounds=2, make=Clock())


def test_samples_of_another_model_are_not_gone_on_with(tmp_path: Path):
    def model(kernel: int) -> Supernet:
        options = {"a": nn.Conv2d(3, 4, kernel, padding="same"), "b": nn.Conv2d(3, 4, 1)}
        return Supernet(nn.Sequential(OneOf(options)), (3, 8, 8))

    path, clock = tmp_path / "cpu.json", Clock()
    clock.before_sample = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        measure_latency(model(3), path, rounds=2, make=clock)
    with pytest.raises(UserError, match="with another model: "):
        measure_latency(model(5), path, rounds=2, make=Clock())
    assert measure_latency(model(3), path, rounds=2, make=Clock()).versions["spos"] == __version__


@pytest.mark.parametrize(
    "values", [[[1.0, 2.0], [1.0]], [[float("nan")] * 2, [1.0] * 2], [["x"]], 3]
)
def test_samples_that_are_none_are_damage(tmp_path: Path, supernet: Supernet, values: object):
    path, clock = tmp_path / "cpu.json", Clock()
    clock.before_sample = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        measure_latency(supernet, path, rounds=2, make=clock)
    kept = path.with_name("cpu.json.partial")
    stored = read_json(kept)
    name = next(iter(stored["samples"]))
    kept.write_text(json.dumps({**stored, "samples": {**stored["samples"], name: values}}))
    with pytest.raises(UserError, match=r"is damaged .*: delete it"):
        measure_latency(supernet, path, rounds=2, make=Clock())


def test_a_compiler_that_does_not_work_is_one_line(monkeypatch: pytest.MonkeyPatch):
    def compile_(function: object, **options: object) -> object:
        def fail(value: object) -> None:
            raise RuntimeError("InvalidCxxCompiler: no working C++ compiler found\nmore")

        return fail

    monkeypatch.setattr(torch, "compile", compile_)
    backend = Torch(check_runtime("torch.compile", "cpu", 1, 1, False))
    graph = torch.fx.symbolic_trace(nn.ReLU())
    with pytest.raises(UserError, match=r"does not compile here .*needs a C\+\+") as raised:
        backend.load(graph, torch.zeros(1))
    assert "\n" not in str(raised.value)


def test_a_sample_adds_up_to_the_median_of_whole_runs():
    times = iter([[1.0, 5.0], [5.0, 1.0], [3.0, 3.0]] * 1000)
    first, second = take_sample(lambda: [1e6 * value for value in next(times)]).nanoseconds
    assert first + second == pytest.approx(6e6, abs=1)
    # Each step is slow in one run of three, by itself; the medians would say 3 and 3.
    skewed = iter([[1.0, 1.0], [4.0, 1.0], [1.0, 4.0]] * 1000)
    first, second = take_sample(lambda: [1e6 * value for value in next(skewed)]).nanoseconds
    assert first == second == pytest.approx(2.5e6, abs=1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backend": "pytorch"}, "unknown backend 'pytorch': did you mean 'torch'?"),
        ({"threads": 0}, "--threads 0: must be a whole number from 1 to 1024"),
        ({"batch": 0}, "--batch 0: must be"),
        ({"accelerator": "tpu"}, "--accelerator tpu: .*allowed: cpu, cuda"),
        ({"accelerator": "cuda"}, "this machine has no CUDA device; allowed here: cpu"),
        ({"backend": "onnxruntime", "channels_last": True}, "--channels-last: onnxruntime"),
    ],
)
def test_conditions_that_are_not_to_be_had(
    changes: dict[str, object], told: str, supernet: Supernet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        measure_latency(supernet, make=Clock(), **changes)  # type: ignore[arg-type]


def test_a_runtime_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "spos.cost.latency.onnx_session.find_spec",
        lambda name: None if name == "onnxruntime" else 1,
    )
    with pytest.raises(UserError, match=r"is not installed; install it: pip install 'spos\[exp"):
        check_runtime("onnxruntime", "cpu", 1, 1, False)


def test_a_target_that_cannot_be_written_is_found_out_at_once(tmp_path: Path, supernet: Supernet):
    clock = Clock()
    with pytest.raises(UserError, match=r"there is no folder .*none"):
        measure_latency(supernet, tmp_path / "none" / "cpu.json", make=clock)
    with pytest.raises(UserError, match="it is a folder; give the name of a file in it"):
        measure_latency(supernet, tmp_path, make=clock)
    assert clock.loaded == []


def test_a_sample_is_the_median_of_runs_after_others_to_warm_up():
    calls = []

    def once() -> list[float]:
        calls.append(1)
        # The first runs compile something, and every fourth is interrupted.
        slow = 1e9 if len(calls) < 3 or len(calls) % 4 == 0 else 0.0
        return [5e6 + slow, 1e6]

    sample = take_sample(once)
    assert sample.nanoseconds == (5e6, 1e6) and 5 <= sample.runs < len(calls)


def test_torch_runs_on_the_threads_the_batch_and_the_memory_layout_asked_for():
    seen = []

    class Watch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            last = x.is_contiguous(memory_format=torch.channels_last)
            seen.append((tuple(x.shape), last, torch.get_num_threads()))
            return x

    backend = Torch(check_runtime("torch", "cpu", 1, 4, True))
    step = backend.load(Watch(), torch.zeros(4, 3, 8, 8))  # type: ignore[arg-type]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        sample = backend.sampler([step], torch.zeros(4, 3, 8, 8))()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {((4, 3, 8, 8), True, 1)}
    assert sample.nanoseconds[0] > 0 and sample.runs > 0


def test_a_card_is_timed_with_events_of_its_queue(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            told.append("record")

        def synchronize(self) -> None:
            told.append("synchronize")

        def elapsed_time(self, end: object) -> float:
            return 6.0

    monkeypatch.setattr("torch.cuda.Event", Event)
    steps = [lambda x: told.append("first"), lambda x: told.append("second")]
    assert time_cuda_steps(steps, None) == [pytest.approx(6e6)] * 2
    assert told == ["record", "first", "record", "second", "record", "synchronize"]


def test_what_computes_nothing():
    assert computes_nothing(network_of(nn.Sequential(nn.Identity(), nn.Dropout(0.5))))
    assert not computes_nothing(network_of(nn.Sequential(nn.Identity(), nn.ReLU())))


def small() -> Supernet:
    options = {"conv": nn.Conv2d(3, 64, 3, padding=1), "wide": nn.Conv2d(3, 64, 1)}
    return Supernet(nn.Sequential(OneOf(options), nn.BatchNorm2d(64), nn.ReLU()), (3, 16, 16))


def test_torch_measures_a_supernet(tmp_path: Path):
    table = measure_latency(small(), tmp_path / "cpu.json", rounds=2)
    assert len(table.parts) == 4
    assert all(part.median > 0 and part.runs > 0 for part in table.parts.values())
    assert table.versions["torch"] == torch.__version__


class Tokens(nn.Module):
    """Images along the second dimension."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).permute(2, 0, 1)


def test_a_part_is_loaded_for_the_input_that_it_gets(monkeypatch: pytest.MonkeyPatch):
    given = []
    monkeypatch.setattr(Clock, "load", lambda _, __, value: given.append(value.shape) or abs)
    layer = OneOf({"one": nn.Linear(3, 3), "other": nn.ReLU()})
    measure_latency(
        Supernet(nn.Sequential(Tokens(), layer), (3, 4, 4)), batch=2, rounds=1, make=Clock()
    )
    assert given == [(2, 3, 4, 4), (16, 2, 3), (16, 2, 3)]


class Mixed(nn.Module):
    """Weights of its own, which the text of a module leaves out."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.weight.T) @ self.weight


@pytest.mark.parametrize(
    "options",
    [
        (Mixed(8), Mixed(16)),
        [nn.TransformerEncoderLayer(4, heads, 8, batch_first=True) for heads in (1, 2)],
    ],
)
def test_onnx_runtime_keeps_one_graph_for_each_network(options: list[nn.Module], tmp_path: Path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    backend = make_backend(check_runtime("onnxruntime", "cpu", 1, 1, False), tmp_path)
    for one in (*options, *options):
        backend.load(network_of(one), torch.zeros(1, 3, 4))
    assert len(list(tmp_path.iterdir())) == 2, "the second would have the latency of the first"


def test_onnx_runtime_measures_a_supernet_and_keeps_exports_until_the_end(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert BACKENDS[2] == "onnxruntime"
    network = network_of(small().extract([0]))
    backend = make_backend(check_runtime("onnxruntime", "cpu", 1, 2, False), tmp_path / "kept")
    image = torch.zeros(2, 3, 16, 16)
    step = backend.load(network, image)
    (kept,) = (tmp_path / "kept").iterdir()
    written = kept.stat().st_mtime_ns
    assert backend.load(network, image) is not step and kept.stat().st_mtime_ns == written
    (output,) = step([image.numpy()])
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(output), network(image), atol=1e-5)
    assert backend.sampler([step], image)().nanoseconds[0] > 0
    assert {"onnxruntime", "torch"} <= set(backend.versions)
