"""``--reuse``: another budget on the same supernet, and no evaluation twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import yaml
from commands import SMALL, STEPS, Ended, Started, result_of, until

from spos._util.files import read_json

Cli = Callable[..., Ended]
#: All sixty-four networks of the space: whatever was evaluated before is met again.
ALL = ("--max-flops", "160K", "--population", "16", "--iterations", "4", *SMALL[:8], *SMALL[12:])


def test_a_search_under_another_budget_starts_from_what_is_known(
    finished_run: Path, start: Callable[..., Started], tmp_path: Path
) -> None:
    once = tmp_path / "once"
    ended = start("search", *ALL, "--reuse", finished_run, "--out", once).wait()
    assert ended.status == 0, ended.err
    first = {c["architecture"]: c for c in candidates(finished_run)}
    second = candidates(once)
    known = [candidate for candidate in second if candidate["origin"] == "known"]
    assert len(known) == 16
    for candidate in known:
        there = first[candidate["architecture"]]
        assert candidate["score"] == there["score"]
    met = sum(candidate["architecture"] in first for candidate in second)
    assert met >= 16
    counts = result_of(once)["search"]
    assert (counts["candidates"], counts["evaluated"]) == (len(second), len(second) - met)
    page = (once / "report.html").read_text()
    assert f"compared {len(second)} of 64 architectures" in page
    assert f"Of them, {met} had been scored before" in page
    assert f"Reuse saved {met} of {len(second)} evaluations" in page
    for name in ("train.json", "data.json"):
        here, there = read_json(once / name), read_json(finished_run / name)
        assert here.pop("run") != there.pop("run") and here == there
    # The run that is reused stays as it is, and an interrupted one finds the same.
    again = tmp_path / "again"
    run = start("search", *ALL, "--reuse", finished_run, "--out", again)
    until((again / ".search-seconds").exists, run.process)
    run.kill()
    assert start("search", *ALL, "--reuse", finished_run, "--out", again).wait().status == 0
    assert result_of(again) == result_of(once)


@pytest.mark.parametrize("name", ["search.json", "result.json", "config.yaml", "supernet"])
def test_files_of_the_run_that_is_reused_are_not_those_of_this_one(
    name: str, cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    given = ("--reuse", finished_run, "--max-flops", "120K", "--threads", "1")
    assert cli("search", *given, "--out", out).status == 0
    there, here = finished_run / name, out / name
    if there.is_dir():
        shutil.copytree(there, here, dirs_exist_ok=True)
        (out / "search.json").unlink()
    else:
        shutil.copyfile(there, here)
    command = ("show", out) if name == "result.json" else ("search", "--out", out)
    assert "of another run" in cli(*command).mistake


def candidates(out: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((out / "search.json").read_text())["candidates"]
    return found


def test_a_copy_that_was_cut_short_is_made_again(
    cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished_run / "supernet", out / "supernet")
    (out / "supernet" / f"step-{STEPS:08d}.safetensors").write_bytes(b"half")
    (out / "study.db").write_bytes(b"half")
    (out / "reused.json").write_text(json.dumps({"reused": str(finished_run.resolve())}))
    ended = cli("search", *SMALL, "--max-flops", "130K", "--reuse", finished_run, "--out", out)
    told = [f"spos: --reuse {finished_run}: all settings as there"]
    assert (ended.status, ended.told) == (0, told)
    assert candidates(out) == candidates(finished_run)
    train, there = (
        json.loads((run / "result.json").read_text())["train"] for run in (out, finished_run)
    )
    assert train == {**there, "reused": True} and not there["reused"]
    (study,) = optuna.study.get_all_study_summaries(f"sqlite:///{out}/study.db")
    assert study.n_trials == 18


def test_all_settings_that_are_not_given_are_those_of_the_other_run(
    cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    given = ("--reuse", finished_run, "--out", out)
    ended = cli("search", "--max-flops", "120K", "--population", "4", *given)
    assert ended.status == 0, ended.err
    there, here = (yaml.safe_load((run / "config.yaml").read_text()) for run in (finished_run, out))
    assert here["search"] == {**there["search"], "population": 4}
    assert here["retrain"] == there["retrain"]
    assert here["constraint"]["maximum"] == {"flops": 120_000}
    (told,) = ended.told
    assert "search.population 6 there, 4 here" in told and "flops=120000 here" in told
    # A folder of runs may be moved: the other run is recognised by its supernet.
    moved = tmp_path / "elsewhere"
    shutil.copytree(finished_run, moved)
    assert cli("search", "--reuse", moved, "--out", out).status == 0
    (moved / "supernet" / f"step-{STEPS:08d}.safetensors").write_bytes(b"another")
    assert "was already started" in cli("search", "--reuse", moved, "--out", out).mistake


def test_a_bound_that_was_refused_can_be_mended_in_the_same_directory(
    cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    given = ("--reuse", finished_run, "--out", tmp_path / "run")
    assert "reachable are" in cli("search", "--max-flops", "1K", *given).mistake
    assert cli("search", "--max-flops", "120K", *given).status == 0
    there, here = (
        yaml.safe_load((run / "config.yaml").read_text())["search"]
        for run in (finished_run, tmp_path / "run")
    )
    assert here == there


def test_nothing_is_copied_where_a_password_is_refused(
    cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    out, given = tmp_path / "run", ("--storage", "mysql://me:hidden@host/studies")
    ended = cli("search", "--reuse", finished_run, *given, "--out", out)
    assert "has a password" in ended.mistake and "hidden" not in ended.err
    assert not out.exists()


def test_a_run_that_only_trained_is_reused(
    cli: Cli, finished_run: Path, finished: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    kept = ("space", "layout", "data", "run", "supernet")
    (finished / "config.yaml").write_text(yaml.safe_dump({name: config[name] for name in kept}))
    (finished / "study.db").unlink()
    out = tmp_path / "out"
    ended = cli("search", *SMALL, "--max-flops", "130K", "--reuse", finished, "--out", out)
    assert ended.status == 0, ended.err
    assert candidates(out) == candidates(finished_run)


def test_a_supernet_of_other_settings_is_not_reused(
    cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    mistake = cli("run", "--seed", "1", "--reuse", finished_run, "--out", out).mistake
    assert mistake == (
        f"--reuse {finished_run}: its supernet has other settings: run.seed is 0 there and 1 here"
    )
    assert not out.exists()


def test_what_holds_no_supernet_is_not_reused(
    cli: Cli, finished_run: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert "no trained supernet" in cli("run", "--reuse", tmp_path, "--out", out).mistake
    assert not out.exists()
    assert "was already started" in cli("run", "--reuse", finished_run, "--out", finished).mistake
    study = (finished / "study.db").read_bytes()
    for damaged in (b"x" * 5000, study[:20000], study[:8192] + bytes(4096) + study[12288:]):
        (finished / "study.db").write_bytes(damaged)
        assert "cannot be copied" in cli("run", "--reuse", finished, "--out", out).mistake
        assert not out.exists()


@pytest.mark.parametrize("name", ["supernet", "data.json", "train.json"])
def test_a_run_that_is_damaged_is_not_reused(
    name: str, cli: Cli, finished: Path, tmp_path: Path
) -> None:
    path = finished / name
    path = max(path.iterdir()) if path.is_dir() else path
    path.write_bytes(path.read_bytes()[:-20])
    mistake = cli("search", "--reuse", finished, "--out", tmp_path / "out").mistake
    assert str(path) in mistake
    assert not (tmp_path / "out").exists()
