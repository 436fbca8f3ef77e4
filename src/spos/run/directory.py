"""A run on disk: its configuration, metrics, checkpoints and results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from spos._util.errors import UserError
from spos._util.files import as_path, read_own
from spos._util.plain_yaml import parse_yaml
from spos._util.records import START_FILE, read_record, run_of, write_record
from spos.run.config import Config, check_sections, find_difference, make_config, merge_sections
from spos.run.config_file import read_config_file, write_config_file
from spos.run.folder import open_folder
from spos.run.former import upgrade_settings
from spos.run.metrics import read_metrics, rewind_metrics
from spos.run.outcome import Outcome, StartFacts
from spos.run.passwords import refuse_password
from spos.search import ALGORITHMS
from spos.training.checkpoint import Checkpoints

Kept = TypeVar("Kept", bound=Outcome)

#: File of the plan that a run was started by, if it was.
PLAN_FILE = "plan.json"


class RunDirectory:
    """A folder that holds one run.

    Args:
        path (str | Path): folder of the run; :meth:`open` creates it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path = as_path(path, "run directory")
        self.config_path = path / "config.yaml"
        self.data_path = path / START_FILE
        self.metrics_path = path / "metrics.jsonl"
        self.result_path = path / "result.json"
        self.report_path = path / "report.html"
        self.study_path = path / "study.db"
        #: Whether a finished search is continued with more iterations, see :meth:`resolve_config`.
        self.extended = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Create the folder if it is missing, and lock it against other processes.

        Folders that were created are removed again if no run was started. The thread that has
        opened a folder may open it again inside, which changes nothing.

        Raises:
            UserError: the folder is not writable, or another process uses it.
        """
        with open_folder(self.path, self.config_path, unstarted=(PLAN_FILE,)):
            yield

    def planning_seconds(self) -> float | None:
        """Seconds that the plan of the run took; None without one."""
        path = self.path / PLAN_FILE
        return float(read_own(path)["spent"]) if path.exists() else None

    def planned_limit(self, maximum: Mapping[str, float]) -> str:
        """Why the plan of the run chose these bounds; empty if it did not."""
        path = self.path / PLAN_FILE
        chosen = read_own(path)["choices"] if path.exists() else ()
        reasons = (
            one["reason"]
            for one in chosen
            if one["setting"] == "constraint.maximum" and one["value"] == maximum
        )
        return next(reasons, "")

    def read_config(self) -> dict[str, Any]:
        """Read the sections of the configuration that are frozen so far.

        Returns:
            Settings by section; empty before the run was started.

        Raises:
            UserError: the file is damaged, or missing although the run was started.
        """
        if not self.config_path.exists():
            for name in ("supernet", "retrain", "study.db"):
                if (self.path / name).exists():
                    raise UserError(
                        f"{self.path} contains {name} but config.yaml is missing; restore the "
                        "file, or give another --out"
                    )
            return {}
        try:
            stored = parse_yaml(read_config_file(self.config_path, run_of(self.path)))
            if not isinstance(stored, dict):
                raise UserError("it is not a configuration of spos")
            sections = check_sections(stored)
        except ValueError as error:
            raise UserError(f"{self.config_path} is damaged: {error}") from error
        return upgrade_settings(sections, self.path)

    def resolve_config(
        self, given: Mapping[str, Any], sections: Iterable[str], *, searching: bool = False
    ) -> tuple[Config, dict[str, Any]]:
        """Merge the settings on disk, the given settings and the defaults of the preset.

        Args:
            given (Mapping): settings by section.
            sections (Iterable[str]): names of the sections to freeze as a whole; of the others only
                the given settings are frozen.
            searching (bool): whether a search is about to run. It may then have more iterations
                than on disk, as long as no network was retrained.

        Returns:
            The configuration, and the part of it that :meth:`freeze_config` writes.

        Raises:
            UserError: a given setting is not valid, or differs from the one on disk.
        """
        stored = self.read_config()
        merged = merge_sections(stored, given)
        # Runs from before passwords were refused keep theirs.
        refuse_password(
            {
                section: {key: one for key, one in values.items() if one != there.get(key)}
                for section, values in merged.items()
                for there in [stored.get(section, {})]
            }
        )
        config = make_config(merged)
        plain = config.as_plain()
        known = self._allow_more_iterations(stored, config) if searching else stored
        difference = find_difference(known, plain)
        if difference:
            raise UserError(
                f"{self.path} was made with another configuration: {difference}; give the same "
                "settings, or another --out"
            )
        whole = config.frozen(sections)
        return config, {
            name: plain[name] if name in whole else {key: plain[name][key] for key in merged[name]}
            for name in plain
            if name in whole or name in merged
        }

    def freeze_config(self, content: Mapping[str, Any], run: str = "") -> None:
        """Write the configuration of the stages that are about to start.

        Args:
            content (Mapping): settings by section, as :meth:`resolve_config` returns them.
            run (str): the run, as its outcomes name it; empty where that is not known yet.
        """
        if self.extended:
            # Removed first, so that after a kill the search is unfinished with either number of
            # iterations.
            self.stage_path("search").unlink(missing_ok=True)
            self.extended = False
        if content != self.read_config():
            self.write_config(content, run)

    def write_config(self, content: Mapping[str, Any], run: str = "") -> None:
        """Write the configuration file, from which on the run counts as started.

        Args:
            content (Mapping): settings by section.
            run (str): the run, as in :meth:`freeze_config`.
        """
        write_config_file(self.config_path, content, run)

    def _allow_more_iterations(self, stored: dict[str, Any], config: Config) -> dict[str, Any]:
        """Return the stored settings, with more iterations of the search where that is allowed."""
        search = config.search
        before = stored.get("search", {}).get("iterations", search.iterations)
        later = ("finalists", "retrain", "known", "compare")
        retrained = any(path.name.startswith(later) for path in self.path.glob("*"))
        continues = ALGORITHMS.find(search.algorithm).continues
        if not continues or not before < search.iterations or retrained:
            return stored
        self.extended = self.stage_path("search").exists()
        return {**stored, "search": {**stored["search"], "iterations": search.iterations}}

    def stage_path(self, stage: str) -> Path:
        """Path of the outcome of a stage of the run.

        Args:
            stage (str): name of the stage, such as ``"train"``.
        """
        return self.path / f"{stage}.json"

    def outcome(self, kind: type[Kept], stage: str | None = None) -> Kept | None:
        """Read the outcome of a finished stage of the run.

        Args:
            kind (type[Outcome]): record type of the stage.
            stage (str | None): name of the stage; None for the name in the record type.

        Returns:
            The record; None while the stage is not finished.

        Raises:
            UserError: the file is damaged, of another run, or was written by a newer version.
        """
        path = self.stage_path(stage or kind.stage)
        if not path.exists():
            return None
        outcome = read_record(kind, path, advice=kind.advice, upgrade=kind.upgrade)
        started = self.start_facts()
        if started and started.run and outcome.run and outcome.run != started.run:
            raise UserError(
                f"{path} is of another run than {self.data_path}: restore the one that does not "
                "belong here, or give another --out"
            )
        return outcome

    def is_finished(self, stage: str) -> bool:
        """Whether a stage of the run is finished.

        Args:
            stage (str): name of the stage, such as ``"train"``.
        """
        return self.stage_path(stage).exists()

    def finish(self, outcome: Kept, stage: str | None = None) -> Kept:
        """Write the outcome of a stage of the run, and return it.

        Args:
            outcome (Outcome): record of the stage.
            stage (str | None): name of the stage; None for the name in the record type.
        """
        kept = replace(outcome, run=self._run())
        write_record(self.stage_path(stage or outcome.stage), kept)
        return kept

    def start_facts(self) -> StartFacts | None:
        """Read the facts about the images and the task; None before the run was started.

        Raises:
            UserError: the file is damaged.
        """
        if not self.data_path.exists():
            return None
        return read_record(StartFacts, self.data_path, upgrade=StartFacts.upgrade)

    def checkpoints(self, folder: str) -> Checkpoints:
        """The checkpoints of a training of the run.

        Args:
            folder (str): name of their folder, such as ``"supernet"``.
        """
        return Checkpoints(self.path / folder, run=self._run())

    def metrics(self) -> list[dict[str, Any]]:
        """Read all recorded metrics.

        A line that is damaged, truncated by a kill, or of another run is skipped.
        """
        run = self._run()
        return [
            {name: value for name, value in line.items() if name != "run"}
            for line in read_metrics(self.metrics_path)
            if not run or line.get("run", run) == run
        ]

    def rewind_metrics(self, stage: str, step: int) -> None:
        """Drop the metrics that a stage recorded after a step.

        Args:
            stage (str): name of the stage of the run.
            step (int): last step whose metrics are kept, at least 0.
        """
        rewind_metrics(self.metrics_path, stage, step)

    def record(self, metric: Mapping[str, Any]) -> None:
        """Append one line to the metrics.

        Args:
            metric (Mapping): values by name; anything that JSON can represent.
        """
        run = self._run()
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**metric, **({"run": run} if run else {})}) + "\n")

    def _run(self) -> str:
        """What the run was started with, as its files repeat it; empty if that is not known."""
        started = self.start_facts()
        return started.run if started else ""
