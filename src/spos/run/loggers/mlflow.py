"""MLflow: a run on a tracking server, or in a database on this machine."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from spos._util.errors import UserError
from spos._util.text import redact
from spos.run.logger import LOGGERS, Logger, Point

#: Tag that a run is found again by, whatever server made it.
TAG = "spos.run"
#: Experiment of the runs, unless the environment names another.
EXPERIMENT = "spos"
#: What a server takes at once, and the characters of a parameter.
MOST, LONGEST = 1000, 500
#: Seconds to wait for the first answer of a server, and how often it is asked.
PATIENCE, ATTEMPTS = 10, 3


@contextmanager
def _soon() -> Iterator[None]:
    """Wait no longer than :data:`PATIENCE` for a server that takes a connection and says nothing.

    Only inside: whatever takes a file may need minutes.
    """
    from mlflow.store.db import utils

    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    given, attempts = os.environ.get(name), utils.MAX_RETRY_COUNT
    os.environ[name] = given or str(PATIENCE)
    # A database that cannot be opened is tried again ten times, for almost two minutes.
    utils.MAX_RETRY_COUNT = ATTEMPTS
    try:
        yield
    finally:
        utils.MAX_RETRY_COUNT = attempts
        if given is None:
            del os.environ[name]


def _make_database(address: str) -> None:
    """Create the database of a new SQLite file, whole or not at all.

    MLflow creates its tables one by one, and refuses a database in which a kill or a full disk
    interrupted that.
    """
    from mlflow import MlflowClient
    from sqlalchemy.engine import make_url

    if not address.startswith("sqlite:"):
        return
    url = make_url(address)
    path = Path(url.database or ":memory:")
    if path.name == ":memory:" or path.exists() or not path.parent.is_dir():
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made = Path(folder) / path.name
        whole = url.set(database=str(made)).render_as_string(hide_password=False)
        MlflowClient(whole).search_experiments(max_results=1)
        try:
            os.link(made, path)
        except FileExistsError:
            # Another run was faster; its database stays.
            pass
        except OSError:
            # The file system has no hard links.
            os.replace(made, path)


@LOGGERS.register("mlflow")
class MlflowLogger(Logger):
    """A run of the experiment ``MLFLOW_EXPERIMENT_NAME`` at ``MLFLOW_TRACKING_URI``."""

    needs = ("mlflow",)
    extra = "mlflow"

    @classmethod
    def check(cls) -> None:
        super().check()
        # A server that is not there is said at once, and not after minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(ATTEMPTS - 1))
        from mlflow import MlflowClient, get_tracking_uri

        # It prints a traceback whenever a database fails, which is told in one line.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        try:
            with _soon():
                _make_database(get_tracking_uri())
                MlflowClient().search_experiments(max_results=1)
        except Exception as error:
            # Redacted before it is cut: the cut could hide where a secret begins or ends.
            reason = redact(" ".join(str(error).split()))[:200]
            raise UserError(
                f"--logger mlflow: {get_tracking_uri()} cannot be used ({reason}); set "
                "MLFLOW_TRACKING_URI to your tracking server, or start it"
            ) from error

    def __init__(self, path: Path, identity: str) -> None:
        from mlflow import MlflowClient

        super().__init__(path, identity)
        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        # Found by its tag and not by a file: a kill in between would leave a run without one.
        found = self._client.search_runs([experiment], f"tags.`{TAG}` = '{identity}'")
        if found:
            self._run = found[0].info.run_id
            self._client.set_terminated(self._run, "RUNNING")
        else:
            made = self._client.create_run(
                experiment, tags={TAG: identity}, run_name=path.resolve().name
            )
            self._run = made.info.run_id
        # Read whole, since a server has what a killed process gave it.
        data = self._client.get_run(self._run).data
        self._settings, self._numbers = dict(data.params), dict(data.metrics)
        self._tags = dict(data.tags)

    def steps(self) -> Mapping[str, int]:
        last: dict[str, int] = {}
        for name in self._numbers:
            stage, _, _ = name.rpartition("/")
            history = self._client.get_metric_history(self._run, name)
            last[stage] = max([last.get(stage, 0), *(metric.step for metric in history)])
        return last

    def log(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch: list[Metric] = []
        for one in points:
            # All values of a point at once: the last step is that of a whole point.
            if len(batch) + len(one.values) > MOST:
                self._client.log_batch(self._run, metrics=batch)
                batch = []
            batch += [Metric(name, value, now, one.step) for name, value in one.named.items()]
        self._client.log_batch(self._run, metrics=batch)

    def settings(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        texts = {name: value[:LONGEST] for name, value in values.items()}
        new = [Param(name, text) for name, text in texts.items() if name not in self._settings]
        # A parameter cannot be changed, a tag can.
        changed = [
            RunTag(name, text)
            for name, text in texts.items()
            if self._settings.get(name, text) != text and self._tags.get(name) != text
        ]
        for begin in range(0, len(new), 100):
            self._client.log_batch(self._run, params=new[begin : begin + 100])
        self._client.log_batch(self._run, tags=changed)
        self._settings = {**texts, **self._settings}
        self._tags |= {one.key: one.value for one in changed}

    def conclude(self, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        for name, value in numbers.items():
            if self._numbers.get(name) != value:
                self._client.log_metric(self._run, name, value)
                self._numbers[name] = value
        for path in files:
            self._client.log_artifact(self._run, str(path))

    def close(self, *, finished: bool) -> None:
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")
