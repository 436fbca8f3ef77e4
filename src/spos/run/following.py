"""Loggers that follow a run by its files, whichever process writes them."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spos._util.files import read_own, write_atomically, write_json
from spos._util.listener import Listener
from spos._util.settings import show_value
from spos._util.text import redact
from spos.report.result import Result, read_result
from spos.run.directory import RunDirectory
from spos.run.logger import LOGGERS, Logger, Point
from spos.run.outcome import SearchOutcome

#: Seconds between looks at the files of the run.
INTERVAL = 5.0
#: Seconds that a run which is not finished waits for loggers at its end.
PATIENCE = 10.0
#: File of the run directory with the name under which loggers know the run.
IDENTITY = "loggers.json"
#: What is not a value of a point in a line of the metrics.
NO_VALUES = ("stage", "step", "steps")


class Follower:
    """Gives loggers what is new in a run directory, now and then, and at the end.

    The files say everything, whatever process or machine wrote them, and they outlive a kill: the
    next process gives what the last one did not.

    Args:
        directory (RunDirectory): directory of the run.
        kinds (Mapping): loggers to make, by name.
        listener (Listener): receiver of messages.
        files (Sequence[Path]): files to give beside those of every run.
    """

    def __init__(
        self,
        directory: RunDirectory,
        kinds: Mapping[str, type[Logger]],
        listener: Listener,
        files: Sequence[Path] = (),
    ) -> None:
        self._directory, self._kinds, self._listener = directory, kinds, listener
        self._files = files
        self._loggers: dict[str, Logger] = {}
        self._last: dict[str, dict[str, int]] = {}
        self._seen: dict[str, dict[Path, tuple[int, ...]]] = {}
        self._failed: dict[str, str] = {}
        self._closed: set[str] = set()
        self._result: Result | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to look, in a thread."""
        self._thread.start()

    def stop(self, result: Result | None) -> None:
        """Give what is left, and end; with the result of a run that is finished.

        Of a run that is not, the next process gives what takes longer than :data:`PATIENCE`.
        """
        self._result = result
        self._end.set()
        self._thread.join(PATIENCE if result is None else None)
        for name in self._kinds:
            reason = self._failed.get(name)
            if name not in self._closed:
                reason = reason or f"no answer within {PATIENCE:g} s"
            if reason is not None:
                self._listener.message(
                    f"--logger {name}: not everything was given to it ({reason}); "
                    "the same command gives it the rest"
                )

    def _follow(self) -> None:
        while not self._end.wait(INTERVAL):
            for name in self._kinds:
                self._give(name)
        # Here too, because a server that does not answer is not to hold up an interruption.
        for name in self._kinds:
            self._give(name, self._result)
            with suppress(Exception):
                if name in self._loggers:
                    self._loggers.pop(name).close(finished=self._result is not None)
            self._closed.add(name)

    def _give(self, name: str, result: Result | None = None) -> None:
        """Give a logger what is new; what goes wrong does not end a training, and is told later."""
        self._failed.pop(name, None)
        try:
            self._send(name, result)
        # A logger raises anything: servers are away, disks are full.
        except Exception as error:
            self._failed[name] = _reason(error)
            with suppress(Exception):
                # What it took, the next one says when it is asked.
                self._loggers.pop(name).close(finished=False)

    def _send(self, name: str, result: Result | None) -> None:
        directory = self._directory
        if not directory.config_path.exists():
            return  # The run has not begun.
        if name not in self._loggers:
            self._loggers[name] = self._kinds[name](directory.path, _identity(directory))
            self._last[name] = dict(self._loggers[name].steps())
            self._seen[name] = {}
        logger, last, seen = self._loggers[name], self._last[name], self._seen[name]
        searched = directory.stage_path(SearchOutcome.stage)
        # Before they are read: what is written meanwhile is new the next time.
        now = {
            one: _state(one) for one in (directory.config_path, directory.metrics_path, searched)
        }
        changed = {path for path, state in now.items() if seen.get(path) != state}
        if directory.config_path in changed:
            logger.settings(_settings(directory))
        if changed - {directory.config_path}:
            new = [one for one in _points(directory) if one.step > last.get(one.stage, 0)]
            if new:
                logger.log(new)
            last.update({one.stage: one.step for one in new})
        seen.update(now)
        if result is not None:
            known = [directory.config_path, directory.result_path, directory.report_path]
            files = dict.fromkeys(path for path in (*known, *self._files) if path.exists())
            with tempfile.TemporaryDirectory() as folder:
                # Runs from before passwords were refused have theirs in this file.
                shown = Path(folder) / directory.config_path.name
                text = directory.config_path.read_text(encoding="utf-8")
                write_atomically(shown, redact(text))
                given = [shown if path == directory.config_path else path for path in files]
                logger.conclude(_summary(result), given)


def _reason(error: Exception) -> str:
    return redact(" ".join(str(error).split()))[:200] or type(error).__name__


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


@contextmanager
def following(
    directory: RunDirectory, kinds: Mapping[str, type[Logger]], listener: Listener
) -> Iterator[list[Result]]:
    """Let loggers follow a run; the list that is given takes the result once it is finished.

    A logger tells its program that the run goes on: begin once all checks of the run have passed.

    Args:
        directory (RunDirectory): directory of the run.
        kinds (Mapping): loggers to make, by name (:func:`check_loggers`).
        listener (Listener): receiver of messages.
    """
    results: list[Result] = []
    if not kinds:
        yield results
        return
    follower = Follower(directory, kinds, listener)
    follower.start()
    try:
        yield results
    finally:
        follower.stop(results[-1] if results else None)


def check_loggers(names: Sequence[str]) -> dict[str, type[Logger]]:
    """Find loggers by name, and check that they can be used.

    Raises:
        UserError: a logger does not exist, is not installed, or cannot be reached.

    Example:
        >>> check_loggers(["csvv"])
        Traceback (most recent call last):
        ...
        spos.UserError: unknown logger 'csvv': did you mean 'csv'? allowed: csv, mlflow, wandb
    """
    kinds = {name: LOGGERS.find(name) for name in dict.fromkeys(names)}
    for kind in kinds.values():
        kind.check()
    return kinds


def attach(run: Path, names: Sequence[str], files: Sequence[Path], listener: Listener) -> None:
    """Give loggers more files of a run that is finished.

    Args:
        run (Path): run directory.
        names (Sequence[str]): names of loggers.
        files (Sequence[Path]): files that are there.
        listener (Listener): receiver of messages.

    Raises:
        UserError: a logger does not exist, is not installed, or cannot be reached.
    """
    directory = RunDirectory(run)
    kinds, result = check_loggers(names), read_result(directory.result_path)
    follower = Follower(directory, kinds, listener, files)
    follower.start()
    follower.stop(result)


def _identity(directory: RunDirectory) -> str:
    """The name under which loggers know a run, made at random when it is first asked for."""
    path = directory.path / IDENTITY
    if not path.exists():
        write_json(path, {"run": secrets.token_hex(8)})
    return str(read_own(path, "restore it, or delete it for a new run in the loggers")["run"])


def _points(directory: RunDirectory) -> list[Point]:
    """Everything that was recorded of a run, by stage: its trainings, and its candidates."""
    found = [
        Point(line["stage"], line["step"], values)
        for line in directory.metrics()
        if line.get("step") and (values := _numbers(line))
    ]
    searched = directory.outcome(SearchOutcome)
    best = float("-inf")
    for number, one in enumerate(searched.candidates if searched else (), 1):
        values = {"score": one.score, **_numbers(one.costs)}
        if one.dropped_after is None:
            best = max(best, one.score)
        else:
            values["dropped_after"] = one.dropped_after
        values["best"] = best
        found.append(Point(SearchOutcome.stage, number, values))
    return sorted(found, key=lambda one: one.step)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if name not in NO_VALUES and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _settings(directory: RunDirectory) -> dict[str, str]:
    """The settings of a run as far as they are fixed, by section and name."""
    return {
        f"{section}.{name}": show_value(value)
        for section, values in directory.read_config().items()
        for name, value in values.items()
    }


def _summary(result: Result) -> dict[str, float]:
    """What came of a run, in numbers."""
    found: dict[str, float] = {}
    if result.winner is not None:
        found |= {f"result/{name}": float(value) for name, value in result.winner.costs.items()}
        found["result/one_shot"] = result.winner.score
    if result.test_score is not None:
        found["result/test"] = result.test_score
    if result.comparison is not None:
        found["result/random_mean"] = result.comparison.random_mean
    return found
