"""``spos plan``, and ``spos run`` without a space."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from commands import Ended
from PIL import Image

from spos._cli.kinds import ALGORITHM, SPACE, Name
from spos._cli.main import main
from spos._cli.options import _ALIASES
from spos._cli.plan import _confirm, _directory, next_commands
from spos.report.diagnosis import StageEstimate
from spos.report.result import read_result
from spos.run.config import make_config
from spos.run.planning.plan import Plan, PlannedSetting
from spos.run.planning.speed import Line, Speed
from spos.search import ALGORITHMS
from spos.spaces import SPACES

Cli = Callable[..., Ended]


def test_a_plan_is_shown_and_written_as_json(cli: Cli, tmp_path: Path) -> None:
    given = ("plan", "--data", "digits", "--time", "1m", "--threads", "1")
    shown = cli(*given)
    assert shown.status == 0
    for text in ("Chosen for you", "supernet.steps", "Expected time", "in all", "measured with"):
        assert text in shown.out
    plan = json.loads(cli(*given, "--json").out)
    assert plan["seconds"] == 60 and plan["speed"]["threads"] == 1
    assert not list(tmp_path.iterdir())


def test_a_plan_says_and_refuses_what_its_run_would(cli: Cli) -> None:
    given = ("plan", "--data", "digits", "--time", "10s", "--threads", "1", "--json")
    planned = cli(*given, "--algorithm", "random", "--set", "search.mutation=0.5")
    assert planned.status == 0 and json.loads(planned.out)
    assert "search.mutation 0.5: without effect with --algorithm random" in planned.err
    mistake = cli(*given, "--storage", "mysql://me:secret@host/studies").mistake
    assert mistake and "has a password, which is not kept" in mistake and "secret" not in mistake


def test_a_comparison_is_given_up_by_a_zero(cli: Cli, finished_run: Path) -> None:
    assert cli("run", "--compare", "0", "--out", finished_run).status == 0
    mistake = cli("run", "--compare", "-1", "--out", finished_run).mistake
    assert mistake == "--compare -1: must be a whole number, at least 0"


def test_a_plan_says_what_images_it_is_for_and_shortens_nothing(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = cli("plan", "--time", "10s", "--max-params", "100K", "--threads", "1").out
    assert "│ data.source" in shown and "example images, as no" in shown
    assert "constraint.maximum" in shown and "…" not in shown
    given = cli("plan", "--data", "digits", "--time", "10s", "--threads", "1").out
    assert "data.source" not in given


def test_a_plan_of_a_trained_supernet_has_no_training(cli: Cli, finished_run: Path) -> None:
    given = ("plan", "--reuse", finished_run, "--threads", "1")
    shown = cli(*given, "--time", "1m")
    assert shown.status == 0 and "Chosen for you" not in shown.out
    assert "│ search" in shown.out and "│ train" not in shown.out
    assert cli(*given).mistake.endswith("has its settings already; give a --time")


def test_the_first_command_needs_nothing_but_images(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("run", "--data", "digits", "--time", "4s", "--compare", "1", "--threads", "1")
    ended = cli(*given)
    assert ended.status == 0, ended.err
    out = tmp_path / "runs/digits-4s"
    result = json.loads((out / "result.json").read_text())
    assert result["space"]["name"] == "mobile" and result["comparison"]["asked"] == 1
    assert "layout.image_size 8: the images' own" in ended.err
    reason = result["constraint"]["reason"]
    assert reason.endswith("multiply-adds: what the time allows")
    assert reason in " ".join(ended.out.split())
    before = (out / "result.json").read_bytes()
    again = cli(*given)
    assert again.status == 0
    assert (out / "result.json").read_bytes() == before
    # What is printed to go on with works as printed.
    commands = [line.split()[1:] for line in again.out.partition("Next:")[2].splitlines() if line]
    assert [command[0] for command in commands] == ["run", "export", "predict"]
    digit = tmp_path / "photo.jpg"
    Image.new("L", (8, 8)).save(digit)
    for command in commands:
        ended = cli(*command)
        assert ended.status == 0, ended.err
    assert "photo.jpg" in ended.out
    there, here = (
        json.loads(path.read_text()) for path in sorted(tmp_path.glob("runs/*/result.json"))
    )
    assert here["winner"]["costs"]["flops"] < there["winner"]["costs"]["flops"]


def test_the_next_budget_is_of_what_the_user_limited(finished_run: Path) -> None:
    result = read_result(finished_run / "result.json")
    assert result.winner
    costs = {name: 4 * value for name, value in result.winner.costs.items()}
    costly = replace(result, winner=replace(result.winner, costs=costs))
    for limits, cost in ((["latency", "params"], "params"), (["flops"], "flops"), ([], "flops")):
        budget = next_commands(finished_run, costly, limits)[2]
        assert f" --max-{cost} " in budget


def test_no_budget_follows_a_search_whose_supernet_cannot_be_reused(finished_run: Path) -> None:
    result = read_result(finished_run / "result.json")
    assert result.winner and result.search
    costs = {name: 4 * value for name, value in result.winner.costs.items()}
    costly = replace(result, winner=replace(result.winner, costs=costs))
    assert any("--reuse" in line for line in next_commands(finished_run, costly))
    learned = replace(costly, search=replace(result.search, algorithm="darts", method="darts"))
    assert not any("--reuse" in line for line in next_commands(finished_run, learned))


def test_no_budget_is_below_a_cost_of_nothing(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A latency by a fit may be 0, or less."""
    result = read_result(finished_run / "result.json")
    assert result.winner
    free = replace(result.winner, costs={"flops": -10_000})
    searched = SimpleNamespace(candidates=[free])
    monkeypatch.setattr("spos.run.RunDirectory.outcome", lambda *_: searched)
    for cost in (-10_000, 0):
        found = replace(result, winner=replace(free, costs={"flops": cost}))
        assert not any("--max" in line for line in next_commands(finished_run, found))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ("--network", "mobilenet_v2", "--time", "9s"),
            "--network mobilenet_v2: a network by name is trained alone, by spos retrain",
        ),
        (
            ("--algorithm", "fbnet", "--set", "run.precision=16-mixed", "--time", "9s"),
            "run.precision 16-mixed: not for --algorithm fbnet",
        ),
        (
            ("--algorithm", "darts", "--space", "resnet-bits", "--time", "9s"),
            "a differentiable search mixes the outputs of modules",
        ),
        (("--time", "soon"), "--time soon: write a duration above 0"),
        (("--data", "folder:missing"), "--data folder:missing: no such folder or file"),
        (("--max-flops", "1"), "satisfies flops <= 1; the smallest has 34.08K flops"),
    ],
)
def test_a_mistake_is_one_line(
    given: tuple[str, ...],
    told: str,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in cli("run", *given, "--threads", "1").mistake
    assert not (tmp_path / "runs/digits").exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "runs/digits"),
        ({"data": "folder:/a/b/my photos"}, "runs/my-photos"),
        (
            {"data": "fashion-mnist", "max_params": "2M", "seed": 3},
            "runs/fashion-mnist-2M-params-seed-3",
        ),
        ({"reuse": "runs/a", "max_flops": "3M"}, "runs/a-3M-flops"),
        ({"data": "folder:..", "duration": "1h30m"}, "runs/1h30m"),
    ],
)
def test_a_run_directory_is_named_after_what_is_given(options: dict[str, str], name: str) -> None:
    assert _directory(options) == name


def test_the_help_of_a_run_fits_a_screen_and_more_is_there(cli: Cli) -> None:
    shown, everything = cli("run", "--help"), cli("run", "--help-all")
    assert shown.status == everything.status == 0
    assert len(shown.out.splitlines()) <= 50 < len(everything.out.splitlines())
    for topic in ("Images:", "Limits:", "Search:", "Run:"):
        assert topic in shown.out
    assert "--latency-table" not in shown.out and "--latency-table" in everything.out
    assert "--time" in shown.out and "--help-all" in shown.out


def test_the_help_of_all_commands_has_all_their_options(cli: Cli) -> None:
    everything = cli("--help-all")
    assert everything.status == 0 and cli("run", "--help-all").out in everything.out
    for name, command in main.commands.items():
        assert f"Usage: spos {name} " in everything.out
        for option in (one for one in command.params if isinstance(one, click.Option)):
            assert option.opts[-1] in everything.out


def test_defaults_in_the_help_are_those_of_the_settings(cli: Cli) -> None:
    told = {}
    for _, setting, _, text in _ALIASES:
        if found := re.search(r"(\S+) \(the default\)|by default (\S+)\.$", text):
            told[setting] = found[1] or found[2]
    assert told.keys() >= {"data.source", "search.algorithm", "run.seed", "run.precision"}
    config = make_config({})
    for setting, value in told.items():
        section, name = setting.split(".")
        assert str(getattr(getattr(config, section), name)) == value, setting
    shown = cli("doctor", "--help-all").out
    assert "[default: 12]" in shown and "[default: 1]" in shown


@pytest.mark.parametrize("flag", ["--stream", "--on-broken", "--precision"])
def test_all_values_that_the_shell_completes_are_allowed(flag: str) -> None:
    setting, kind = next((setting, kind) for name, setting, kind, _ in _ALIASES if name == flag)
    section, _, key = setting.partition(".")
    assert isinstance(kind, Name)
    for name in kind.names():
        assert getattr(getattr(make_config({section: {key: name}}), section), key) == name


def test_the_shell_completes_the_names_of_the_registries() -> None:
    assert set(ALGORITHM.names()) == set(ALGORITHMS)
    assert set(SPACE.names()) <= set(SPACES)


def test_the_shell_completes_options(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SPOS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "spos run --max-f")
    monkeypatch.setenv("COMP_CWORD", "2")
    completed = cli("run")
    assert completed.status == 0 and completed.out.split() == ["plain,--max-flops"]
    for words in ("show ru", "predict runs/a pho", "run --reuse ru", "export ru", "run --out ru"):
        begun = words.rpartition(" ")[2]
        monkeypatch.setenv("COMP_WORDS", f"spos {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        assert cli("run").out.split() == [f"file,{begun}"]
    values = {
        "run --algorithm f": ["fbnet"],
        "run --space nas": ["nasbench201", "nasbenchmacro"],
        "spaces mo": ["mobile"],
        "latency --space pl": ["plain"],
        "train --precision b": ["bf16-mixed"],
        "search --logger m": ["mlflow"],
        "run --recipe p": ["paper"],
        "doctor --accelerator c": ["cpu", "cuda"],
        "run --stream zz": [],
    }
    for words, names in values.items():
        monkeypatch.setenv("COMP_WORDS", f"spos {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        assert cli("run").out.split() == [f"plain,{name}" for name in names], words
    monkeypatch.delenv("COMP_WORDS")
    assert cli("run").mistake.startswith("_SPOS_COMPLETE=bash_complete: the shell did not")
    monkeypatch.setenv("_SPOS_COMPLETE", "bash_sorce")
    assert cli("run").mistake.startswith("_SPOS_COMPLETE=bash_sorce: did you mean 'bash_source'?")


def test_a_long_run_is_confirmed_with_its_plan_in_sight(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(0.01, 1e-9)
    plan = Plan(
        seconds=None,
        spent=1.0,
        images=100,
        flops=1e6,
        step_seconds=0.1,
        speed=Speed(1, line, line),
        choices=(PlannedSetting("supernet.steps", 500, "5 epochs"),),
        estimates=(StageEstimate("train", 7200.0),),
    )
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert not _confirm(plan)
    shown = capsys.readouterr().err
    assert "supernet.steps 500: 5 epochs" in shown and "2 h" in shown
    # Nobody is asked where a time was given.
    assert _confirm(replace(plan, seconds=9000.0))
