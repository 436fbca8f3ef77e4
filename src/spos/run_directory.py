"""A run on disk: its configuration, metrics, checkpoints and results."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import filelock
import yaml

from spos.config import SECTIONS, STAGE_SECTIONS, Config, first_difference, make_config
from spos.errors import UserError
from spos.files import read_json, write_atomically, write_json


class RunDirectory:
    """A folder that holds one run.

    Args:
        path: the folder; :meth:`open` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.yaml"
        self.metrics_path = path / "metrics.jsonl"
        self.result_path = path / "result.json"
        self.report_path = path / "report.html"
        self.study_path = path / "study.db"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folder where needed, and keep other processes from working on the run.

        Raises:
            UserError: it cannot be written, or another process is at work on it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {self.path}: cannot be made ({error.strerror})") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UserError(f"--out {self.path}: not writable; give a folder that you may write")
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(f"--out {self.path}: another spos process is at work on it") from None
        except OSError as error:
            raise UserError(f"--out {self.path}: not writable ({error.strerror})") from error
        try:
            yield
        finally:
            lock.release()

    def stored(self) -> dict[str, Any]:
        """The sections of the configuration that are fixed so far.

        Raises:
            UserError: the file is damaged, or missing although the run has begun.
        """
        if not self.config_path.exists():
            left = [name for name in ("supernet", "retrain", "study.db") if (self.path / name).exists()]
            if left:
                raise UserError(
                    f"{self.path} holds {left[0]} but no config.yaml: it is half-deleted; restore "
                    "the file, or give another --out"
                )
            return {}
        try:
            stored = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.config_path} is damaged: {reason}") from error
        if not isinstance(stored, dict) or not set(stored) <= set(SECTIONS):
            raise UserError(f"{self.config_path} is damaged: it is no configuration of spos")
        return stored

    def settle(self, given: Mapping[str, Any], stages: tuple[str, ...]) -> Config:
        """Fix the configuration of some stages, or check that it is what was fixed before.

        Args:
            given: the sections given; what they leave out is taken from the disk, or the preset.
            stages: the stages about to run.

        Raises:
            UserError: what is given differs from what is on disk.
        """
        stored = self.stored()
        merged = {
            name: {**stored.get(name, {}), **given.get(name, {})}
            for name in {**stored, **given}
        }
        config = make_config(merged)
        plain = config.as_plain()
        difference = first_difference(stored, plain, SECTIONS)
        if difference:
            raise UserError(
                f"{self.path} was made with another configuration: {difference}; give the same, or "
                "another --out"
            )
        fixed = set(stored).union(*(STAGE_SECTIONS[stage] for stage in stages))
        content = {name: plain[name] for name in SECTIONS if name in fixed}
        if content != stored:
            write_atomically(self.config_path, _yaml(content))
        return config

    def begin_with(self, other: RunDirectory) -> None:
        """Copy the trained supernet and the evaluations of another run, unless this run has begun.

        Raises:
            UserError: the other has no trained supernet, or this run began with something else.
        """
        origin = {"reused": str(other.path.resolve())}
        mark = self.path / "reused.json"
        if mark.exists() and read_json(mark) == origin:
            return
        if self.config_path.exists():
            raise UserError(f"--reuse {other.path}: {self.path} has begun already, without it")
        if not other.stage_path("train").exists() or not (other.path / "supernet").is_dir():
            raise UserError(f"--reuse {other.path}: it holds no trained supernet")
        stored = other.stored()
        shutil.copytree(other.path / "supernet", self.path / "supernet", dirs_exist_ok=True)
        for name in ("data.json", "train.json"):
            write_atomically(self.path / name, (other.path / name).read_bytes())
        if other.study_path.exists():
            copy_database(other.study_path, self.study_path)
        kept = {name: stored[name] for name in STAGE_SECTIONS["train"]}
        write_atomically(self.config_path, _yaml(kept))
        write_json(mark, origin)

    def stage_path(self, stage: str) -> Path:
        """Where the outcome of a finished stage lies."""
        return self.path / f"{stage}.json"

    def outcome(self, stage: str) -> dict[str, Any] | None:
        """The outcome of a stage; None while it is not finished.

        Raises:
            UserError: the file is damaged.
        """
        path = self.stage_path(stage)
        if not path.exists():
            return None
        try:
            outcome = read_json(path)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged ({error}): delete it to do the stage again") from error
        if not isinstance(outcome, dict):
            raise UserError(f"{path} is damaged: delete it to do the stage again")
        return outcome

    def finish(self, stage: str, outcome: Mapping[str, Any]) -> None:
        """Record the outcome of a stage."""
        write_json(self.stage_path(stage), dict(outcome))

    def metrics(self) -> list[dict[str, Any]]:
        """Everything recorded so far; a line cut short by a kill is left out."""
        if not self.metrics_path.exists():
            return []
        lines = []
        for line in self.metrics_path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return lines

    def rewind_metrics(self, stage: str, step: int) -> None:
        """Drop what a stage recorded after a step, before it is done again."""
        metrics = self.metrics()
        kept = [m for m in metrics if m.get("stage") != stage or m.get("step", 0) <= step]
        text = "".join(json.dumps(metric) + "\n" for metric in kept)
        if self.metrics_path.exists() and text != self.metrics_path.read_text(errors="replace"):
            write_atomically(self.metrics_path, text)

    def record(self, metric: Mapping[str, Any]) -> None:
        """Append one line to the metrics."""
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(metric)) + "\n")


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=100)
    return text


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite file as one consistent state, also while another process writes to it."""
    temporary = target.with_name(f".{target.name}.copy")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(temporary)) as new:
        old.backup(new)
    os.replace(temporary, target)
