"""A run on disk: its configuration, metrics, checkpoints and results."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import filelock
import yaml

from spos._util.errors import UserError
from spos._util.files import read_own, write_atomically, write_json
from spos._util.records import read_record, write_record
from spos.run.config import (
    SECTIONS,
    STAGE_SECTIONS,
    Config,
    check_sections,
    first_difference,
    fixed_sections,
    make_config,
    merge_sections,
    required_method,
)
from spos.run.outcome import Outcome
from spos.search import ALGORITHMS
from spos.search.sqlite import copy_database

Kept = TypeVar("Kept", bound=Outcome)

#: Settings that the section ``retrain`` once had, each with the value that decided nothing.
FORMER_RETRAIN = {"paths": 1, "widening_steps": 0}
#: The temporary names under which the files of a run are written.
UNFINISHED = (
    ".*.json.*",
    ".*-seconds.*",
    ".config.yaml.*",
    ".metrics.jsonl.*",
    ".report.html.*",
    ".study.db.*",
    "*/.step-*.safetensors.*",
)


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
        #: Whether a finished search goes on with more iterations (:meth:`settle`).
        self.extended = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folder where needed, and keep other processes from working on the run.

        A folder that is made although no run begins in it is removed again.

        Raises:
            UserError: it cannot be written, or another process is at work on it.
        """
        new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {self.path}: cannot be made ({error.strerror})") from error
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(f"--out {self.path}: another spos process is at work on it") from None
        except OSError as error:
            raise UserError(f"--out {self.path}: not writable ({error.strerror})") from error
        try:
            if self.config_path.exists():
                self._sweep()
            yield
        finally:
            if not self.config_path.exists():
                (self.path / ".lock").unlink(missing_ok=True)
                if new and not os.listdir(self.path):
                    self.path.rmdir()
            lock.release()

    def _sweep(self) -> None:
        """Remove what a kill left of files that were about to be written."""
        for pattern in UNFINISHED:
            for path in list(self.path.glob(pattern)):
                path.unlink(missing_ok=True)

    def stored(self) -> dict[str, Any]:
        """The sections of the configuration that are fixed so far.

        Raises:
            UserError: the file is damaged, or missing although the run has begun.
        """
        if not self.config_path.exists():
            left = [
                name for name in ("supernet", "retrain", "study.db") if (self.path / name).exists()
            ]
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
        if not isinstance(stored, dict):
            raise UserError(f"{self.config_path} is damaged: it is no configuration of spos")
        try:
            sections = check_sections(stored)
        except UserError as error:
            raise UserError(f"{self.config_path} is damaged: {error}") from error
        return _without_former(sections, self.path)

    def settle(
        self, given: Mapping[str, Any], sections: Iterable[str], *, searching: bool = False
    ) -> tuple[Config, dict[str, Any]]:
        """The configuration of the run: what is on disk, what is given, and the preset's.

        Args:
            given: sections of the configuration.
            sections: those to be fixed as a whole; of the others, what is given is.
            searching: whether a search is about to begin or to go on: with more iterations than
                it has on disk, where nothing is retrained yet.

        Returns:
            The configuration, and what :meth:`fix` writes of it.

        Raises:
            UserError: what is given is not valid, or differs from what is on disk.
        """
        stored = self.stored()
        merged = merge_sections(stored, given)
        config = make_config(merged)
        plain = config.as_plain()
        known = self._continued(stored, config) if searching else stored
        difference = first_difference(known, plain, SECTIONS)
        if difference:
            raise UserError(
                f"{self.path} was made with another configuration: {difference}; give the same, or "
                "another --out"
            )
        whole = {name: plain[name] for name in fixed_sections(sections, config)}
        partial = {
            name: {key: plain[name][key] for key in values} for name, values in merged.items()
        }
        content = {**partial, **whole}
        return config, {name: content[name] for name in SECTIONS if name in content}

    def fix(self, content: Mapping[str, Any]) -> None:
        """Write down the configuration of what is about to begin.

        Args:
            content: what :meth:`settle` returned.
        """
        if self.extended:
            # First: without it, a search with either number of iterations is one that has begun.
            self.stage_path("search").unlink(missing_ok=True)
            self.extended = False
        if content != self.stored():
            write_atomically(self.config_path, _yaml(content))

    def _continued(self, stored: dict[str, Any], config: Config) -> dict[str, Any]:
        """What is stored, with more iterations of a search if nothing depends on their number."""
        search = config.search
        before = stored.get("search", {}).get("iterations", search.iterations)
        retrained = [path for name in ("retrain", "compare") for path in self.path.glob(f"{name}*")]
        continues = ALGORITHMS.find(search.algorithm).continues
        if not continues or not before < search.iterations or retrained:
            return stored
        self.extended = self.stage_path("search").exists()
        return {**stored, "search": {**stored["search"], "iterations": search.iterations}}

    def begin_with(self, other: RunDirectory, given: Mapping[str, Any]) -> None:
        """Copy the trained supernet and the evaluations of another run, unless that is done.

        Args:
            other: the run.
            given: sections of the configuration; they must not differ from those of the other.

        Raises:
            UserError: the other has no trained supernet, or this run began with something else.
        """
        origin = {"reused": str(other.path.resolve())}
        mark = self.path / "reused.json"
        if self.config_path.exists():
            if mark.exists() and read_own(mark) == origin:
                return
            raise UserError(f"--reuse {other.path}: {self.path} has begun already, without it")
        if not other.is_finished("train") or not (other.path / "supernet").is_dir():
            raise UserError(f"--reuse {other.path}: it holds no trained supernet")
        stored = other.stored()
        kept = {name: stored[name] for name in STAGE_SECTIONS["train"] if name in stored}
        algorithm = str(given.get("search", {}).get("algorithm", ""))
        if algorithm and required_method(algorithm):
            raise UserError(
                f"--reuse {other.path}: --algorithm {algorithm} trains weights of its own, leave "
                "it out"
            )
        learned = str(stored.get("search", {}).get("algorithm", ""))
        if learned and required_method(learned):
            raise UserError(
                f"--reuse {other.path}: its supernet was trained together with the choice, by "
                f"--algorithm {learned}; give a run whose supernet was trained by single paths"
            )
        config = make_config(merge_sections(kept, given))
        difference = first_difference(kept, config.as_plain(), SECTIONS)
        if difference:
            raise UserError(f"--reuse {other.path}: its supernet is of another run, {difference}")
        shutil.copytree(other.path / "supernet", self.path / "supernet", dirs_exist_ok=True)
        for name in ("data.json", "train.json"):
            write_atomically(self.path / name, (other.path / name).read_bytes())
        if other.study_path.exists():
            copy_database(other.study_path, self.study_path)
        write_json(mark, origin)
        # The last, because a run has begun where it is.
        write_atomically(self.config_path, _yaml(kept))

    def stage_path(self, stage: str) -> Path:
        """Where the outcome of a finished stage lies."""
        return self.path / f"{stage}.json"

    def outcome(self, kind: type[Kept], stage: str | None = None) -> Kept | None:
        """The outcome of a finished stage.

        Args:
            kind (type[Outcome]): record of the stage.
            stage (str | None): name of the stage, where it is not the one that the record names.

        Returns:
            The record; None while the stage is not finished.

        Raises:
            UserError: the file is damaged, or of a newer version.
        """
        path = self.stage_path(stage or kind.stage)
        if not path.exists():
            return None
        advice = "delete it to do the stage again"
        return read_record(kind, path, advice=advice, upgrade=kind.upgrade)

    def is_finished(self, stage: str) -> bool:
        """Whether a stage has an outcome."""
        return self.stage_path(stage).exists()

    def finish(self, outcome: Kept, stage: str | None = None) -> Kept:
        """Record the outcome of a stage, and give it back."""
        write_record(self.stage_path(stage or outcome.stage), outcome)
        return outcome

    def metrics(self) -> list[dict[str, Any]]:
        """Everything recorded so far; a line cut short by a kill is left out."""
        if not self.metrics_path.exists():
            return []
        lines = []
        for line in self.metrics_path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                metric = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(metric, dict):
                lines.append(metric)
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


def _without_former(sections: dict[str, dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    """What is stored, without settings that there are no more and that decided nothing."""
    retrain = dict(sections.get("retrain", {}))
    for name, idle in FORMER_RETRAIN.items():
        value = retrain.pop(name, idle)
        if value != idle:
            raise UserError(
                f"{path} was made with retrain.{name} {value}, which is no longer a setting: a "
                "plain network has no paths; give another --out"
            )
    return {**sections, "retrain": retrain} if "retrain" in sections else sections


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=100)
    return text
