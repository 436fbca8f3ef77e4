"""A run on disk."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from spos._util.errors import UserError
from spos._util.records import write_record
from spos.run.config import STAGE_SECTIONS
from spos.run.directory import RunDirectory
from spos.run.outcome import StartFacts


def test_what_is_given_for_a_later_stage_is_remembered(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    config, fixed = directory.resolve_config({"search": {"population": 7}}, STAGE_SECTIONS["train"])
    assert directory.read_config() == {}
    directory.freeze_config(fixed)
    assert directory.read_config()["search"] == {"population": 7}
    later, whole = directory.resolve_config({"search": {"iterations": 3}}, STAGE_SECTIONS["search"])
    assert (later.search.population, later.search.iterations) == (7, 3)
    assert later.supernet == config.supernet
    directory.freeze_config(whole)
    with pytest.raises(UserError, match=r"search\.iterations is 3 there and 4 here"):
        directory.resolve_config({"search": {"iterations": 4}}, STAGE_SECTIONS["search"])
    assert "retrain" not in directory.read_config()


def test_a_configuration_that_is_fixed_already_is_not_written_again(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.freeze_config(directory.resolve_config({}, STAGE_SECTIONS["train"])[1])
    before = directory.config_path.stat().st_mtime_ns
    directory.freeze_config(directory.resolve_config({}, STAGE_SECTIONS["train"])[1])
    assert directory.config_path.stat().st_mtime_ns == before


def test_only_one_opens_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDirectory(tmp_path / "run")
    with directory.open():
        found: list[str] = []

        def other() -> None:
            try:
                with RunDirectory(tmp_path / "run").open():
                    pass
            except UserError as error:
                found.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert found[0].endswith("another spos process is using it")
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert found[1].endswith("leave out torchrun: --devices N starts the processes")
    assert not (tmp_path / "run").exists()


def test_folders_in_which_no_run_was_started_are_removed_again(tmp_path: Path) -> None:
    for name in ("new/above/run", "new/other"):
        with RunDirectory(tmp_path / name).open():
            assert (tmp_path / name).is_dir()
        assert not list(tmp_path.iterdir())
    (tmp_path / "known").mkdir()
    with RunDirectory(tmp_path / "known" / "run").open():
        pass
    with RunDirectory(tmp_path / "new" / "run").open():
        (tmp_path / "new" / "file").touch()
    assert {path.name for path in tmp_path.rglob("*")} == {"known", "new", "file"}


def test_what_a_kill_in_the_first_write_left_is_removed(tmp_path: Path) -> None:
    for name in (".config.yaml.0a1b2c3d", ".plan.json.0a1b2c3d", ".notes.json.mine"):
        (tmp_path / name).write_text("ha")
    with RunDirectory(tmp_path).open():
        assert sorted(one.name for one in tmp_path.iterdir()) == [".lock", ".notes.json.mine"]


def test_curves_are_cut_back_to_the_step_that_a_training_resumes_from(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    for stage, step in (("train", 5), ("train", 10), ("retrain", 10), ("retrain", 20)):
        directory.record({"stage": stage, "step": step})
    with directory.metrics_path.open("a") as file:
        file.write('5\n{"stage": "retr')
    directory.rewind_metrics("retrain", 10)
    kept = [json.loads(line) for line in directory.metrics_path.read_text().splitlines()]
    assert [(m["stage"], m["step"]) for m in kept] == [("train", 5), ("train", 10), ("retrain", 10)]
    before = directory.metrics_path.stat().st_mtime_ns
    directory.rewind_metrics("retrain", 10)
    assert directory.metrics_path.stat().st_mtime_ns == before


def test_curves_of_another_run_are_not_those_of_this_one(tmp_path: Path) -> None:
    other, own = (RunDirectory(tmp_path / name) for name in ("other", "own"))
    images = StartFacts(
        source="digits",
        classes=("0", "1"),
        outputs=2,
        image_size=8,
        channels=1,
        train=9,
        validation=3,
        fingerprint="c3",
    )
    for directory, run in ((other, "a1"), (own, "b2")):
        directory.path.mkdir()
        write_record(directory.data_path, replace(images, run=run))
        directory.record({"stage": "train", "step": 5, "loss": 1.0})
    assert own.metrics() == [{"stage": "train", "step": 5, "loss": 1.0}]
    shutil.copy(other.metrics_path, own.metrics_path)
    assert own.metrics() == []


def test_a_name_that_is_no_text_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"run\xff")
    told = r"run\\xff: its name is not UTF-8; give one that is"
    with pytest.raises(UserError, match=told), RunDirectory(path).open():
        pass
    assert not path.exists()
