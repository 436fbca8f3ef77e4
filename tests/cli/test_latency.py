"""spos latency: a table, its validation, and a search under a bound of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import FEW, Ended

from spos._util.files import read_json, write_json

Cli = Callable[..., Ended]

#: The space that the runs of these tests search, as options of spos latency.
SPACE = (
    *("--space", "shufflenetv2", "--preset", "tiny", "--classes", "10", "--image-channels", "1"),
    *("--set", "layout.channels=[16,24]", "--set", "layout.depths=[1,2]"),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A table of that space with 1 ms for each part and a little for each option."""
    from spos.cost.latency import measure_latency
    from spos.cost.latency.backend import Sample
    from spos.run.latency import resolve_source

    source = resolve_source(
        space="shufflenetv2",
        preset="tiny",
        assignments=SPACE[9::2],
        classes=10,
        image_channels=1,
    )

    class Backend:
        def __init__(self) -> None:
            self.versions = {"clock": "1"}

        def load(self, network: Any, value: Any) -> Any:
            size = sum(parameter.numel() for parameter in network.parameters())
            return lambda: 1e6 + 10.0 * size

        def sampler(self, steps: Any, value: Any) -> Any:
            return lambda: Sample(tuple(step() for step in steps), 1)

    path = tmp_path_factory.mktemp("latency") / "cpu.json"
    measure_latency(
        source.build(),
        path,
        space=source.space,
        preset=source.preset,
        layout=source.layout,
        rounds=1,
        make=lambda runtime, kept: Backend(),
    )
    stored: dict[str, Any] = read_json(path)
    return stored


@pytest.fixture
def cpu(table: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "cpu.json"
    path.write_text(json.dumps(table))
    return path


def test_a_table_is_measured_once_and_validated(cli: Cli, tmp_path: Path):
    out = tmp_path / "measured.json"
    ended = cli("latency", *SPACE, "--rounds", "1", "--threads", "1", "--out", out)
    assert ended.status == 0, ended.err
    assert "the space from" in ended.out and f"--validate {out} --fit" in ended.out
    stored = json.loads(out.read_text())
    facts = ("space", "preset", "outputs", "unit", "backend", "threads", "batch", "format")
    assert [stored[name] for name in facts] == [
        *("shufflenetv2", "tiny", 10, "ns", "torch", 1, 1, 1),
    ]
    # Three stages with 4 options each, and three without choices.
    assert len(stored["parts"]) == 15 and all(part["median"] > 0 for part in stored["parts"])
    again = cli("latency", *SPACE, "--rounds", "1", "--out", out)
    assert again.status == 0 and "is measured already: delete it" in again.err
    assert "--fit" in again.out
    assert json.loads(out.read_text()) == stored
    other = cli("latency", *SPACE, "--batch", "2", "--out", out)
    assert "exists, measured with torch on" in other.mistake and "batch 2" in other.mistake
    ended = cli("latency", "--validate", out, "--networks", "6", "--rounds", "2", "--fit")
    assert ended.status == 0, ended.err
    assert "Spearman" in ended.out and "corrected, by a fit" in ended.out
    assert (tmp_path / "measured-validation.html").read_text().startswith("<!DOCTYPE html>")
    validation = json.loads((tmp_path / "measured-validation.json").read_text())
    assert len(validation["networks"]) == 6
    fitted = json.loads(out.read_text())
    # A fit on a busy machine is left out where it takes more than all.
    assert fitted["fit"] in (validation["fit"], {"intercept": 0, "boundary": 0, "networks": 6})
    assert fitted["parts"] == stored["parts"]
    assert "--fit" not in cli("latency", *SPACE, "--rounds", "1", "--out", out).out


def test_a_search_under_a_bound_of_latency(cli: Cli, tmp_path: Path, cpu: Path):
    out = tmp_path / "run"
    bounds = ("--max-latency", "6.08ms", "--max-flops", "1G", "--max-params", "10M")
    ended = cli("run", *FEW, "--out", out, *bounds, "--latency-table", cpu)
    assert ended.status == 0, ended.err
    result = json.loads((out / "result.json").read_text())
    device = json.loads(cpu.read_text())["device"]
    assert result["latency"] == {
        "unit": "ns",
        "backend": "torch",
        "accelerator": "cpu",
        "device": device,
        "threads": 1,
        "batch": 1,
        "channels_last": False,
    }
    assert 6_000_000 < result["winner"]["costs"]["latency"] <= 6_080_000
    assert all(6_000_000 < row["costs"]["latency"] <= 6_080_000 for row in result["top"])
    shown = cli("show", out).out
    assert "latency" in shown and "6.08ms of latency" in shown
    assert "6.08ms" in (out / "report.html").read_text()
    # The run keeps its own copy: the file is no longer needed, but must not change.
    cpu.unlink()
    assert cli("run", *FEW, "--out", out, *bounds, "--latency-table", cpu).status == 0
    # The run determines what is measured.
    ended = cli("latency", "--run", out, "--rounds", "1", "--out", tmp_path / "of-run.json")
    assert ended.status == 0, ended.err
    measured = json.loads((tmp_path / "of-run.json").read_text())
    kept = json.loads((out / "latency.json").read_text())
    for name in ("space", "preset", "layout", "input_shape", "outputs"):
        assert measured[name] == kept[name]


def test_a_run_is_finished_on_another_machine(cli: Cli, tmp_path: Path, cpu: Path):
    out = tmp_path / "run"
    bounds = ("--max-latency", "6.08ms", "--latency-table", cpu)
    assert cli("search", *FEW, "--out", out, *bounds).status == 2  # Nothing is trained yet.
    ended = cli("train", *FEW, "--out", out)
    assert ended.status == 0, ended.err
    assert cli("search", "--out", out, *bounds).status == 0
    # The run resumes with its own copy; another device there is as if the run had moved.
    kept = out / "latency.json"
    write_json(kept, {**read_json(kept), "device": "a processor elsewhere"})
    cpu.unlink()
    ended = cli("retrain", "--out", out)
    assert ended.status == 0, ended.err
    # A search of another directory has to name the device.
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(kept.read_text())
    other = ("run", *FEW, "--reuse", out, "--max-latency", "6.08ms")
    told = cli(*other, "--out", tmp_path / "b", "--latency-table", elsewhere).mistake
    assert "--latency-device 'a processor elsewhere'" in told
    # A table that is given again must be the one that the run started with.
    write_json(elsewhere, {**read_json(kept), "date": "later"})
    told = cli("retrain", "--out", out, "--latency-table", elsewhere).mistake
    assert "is no longer the table that" in told and "leave it out to resume" in told


def test_the_latency_of_an_architecture(cli: Cli, cpu: Path):
    arguments = ("profile", "shufflenetv2", *SPACE[2:], "--architecture", "0,1,2")
    facts = json.loads(cli(*arguments, "--latency-table", cpu, "--json").out)
    assert facts["latency"] == 6_000_000 + 10 * facts["params"]
    assert sum(stage["latency"] for stage in facts["stages"]) == facts["latency"]
    assert "ms" in cli(*arguments, "--latency-table", cpu).out
    assert "latency" not in json.loads(cli(*arguments, "--json").out)


MEASURE = ("latency", *SPACE, "--out", "OUT")
RUN = ("run", *FEW, "--out", "OUT", "--latency-table", "CPU")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("latency", "--out", "OUT"), "--space NAME is missing (or --run DIR)"),
        (("latency", *SPACE), "--out is missing: give the table to write"),
        ((*MEASURE, "--space", "fbnett"), "unknown space 'fbnett': did you mean 'fbnet'?"),
        ((*MEASURE, "--threads", "0"), "--threads 0: must be a whole number, at least 1"),
        ((*MEASURE, "--rounds", "x"), "--rounds x: must be a whole number, at least 1"),
        ((*MEASURE, "--backend", "onnx"), "unknown backend 'onnx': did you mean 'onnxruntime'?"),
        ((*MEASURE, "--set", "run.seed=1"), "allowed here is layout.KEY=VALUE"),
        ((*MEASURE, "--fit"), "--fit: it belongs to --validate FILE"),
        ((*MEASURE, "--run", "OUT"), "--run determines space, preset"),
        (("latency", "--run", "OUT", "--out", "OUT"), "is not a run directory"),
        (("latency", *SPACE, "--out", "OUT/none/cpu.json"), "there is no folder"),
        (("latency", "--validate", "OUT"), "No such file or directory"),
        (
            ("latency", "--validate", "CPU", "--batch", "2"),
            "the table of --validate holds it",
        ),
        (("latency", "--validate", "CPU", "--networks", "2"), "--networks 2: must be at least 4"),
        ((*RUN, "--max-latency", "4M"), "--max-latency '4M' is not a time such as 4ms"),
        ((*RUN, "--max", "energy=3"), "unknown cost 'energy'"),
        ((*RUN, "--max-latency", "1ms"), "no network of this space satisfies max latency 1ms"),
        ((*RUN, "--max-latency", "7ms", "--latency-device", "A72"), "--latency-device 'A72'"),
        ((*RUN, "--max-latency", "7ms", "--space", "fbnet"), "its space is shufflenetv2, here"),
        (("train", *FEW, "--out", "OUT", "--max-latency", "7ms"), "give --latency-table FILE"),
        (
            (
                "profile",
                "fbnet",
                "--preset",
                "tiny",
                "--architecture",
                "FIRST",
                "--latency-table",
                "CPU",
            ),
            "its space is shufflenetv2, here it is fbnet",
        ),
    ],
)
def test_a_mistake_is_one_line(
    cli: Cli, tmp_path: Path, cpu: Path, arguments: tuple[str, ...], told: str
):
    names = {"OUT": str(tmp_path / "out"), "CPU": str(cpu), "FIRST": ",".join("0" * 7)}
    if "fbnet" in arguments and arguments[0] == "run":
        arguments = tuple(a for a in arguments if a not in ("--channels", "16,24", "1,2"))
        arguments = tuple(a for a in arguments if a != "--depths")
    given = [names.get(a, a.replace("OUT/", f"{names['OUT']}/")) for a in arguments]
    assert told in cli(*given).mistake


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "spos latency table", "format": 9}'])
def test_a_file_that_is_not_a_table(cli: Cli, tmp_path: Path, cpu: Path, content: str):
    cpu.write_text(content)
    arguments = ("run", *FEW, "--out", tmp_path / "run", "--max-latency", "4ms")
    assert str(cpu) in cli(*arguments, "--latency-table", cpu).mistake
    assert not (tmp_path / "run").exists()
