"""Programs that show the curves of a run, and that they go on with it after an interruption."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, NoReturn

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run
from sqlalchemy import Engine, event
from tracking import TrackingServer
from wandb_server import wandb_server

from spos import UserError
from spos._cli.commands import export_command
from spos.run import RunDirectory, following, run
from spos.run.logger import LOGGERS, Logger, Point

RECIPE = {"steps": 8, "batch_size": 16}
GIVEN: dict[str, Any] = {
    "layout": {"channels": [16, 32], "depths": [1, 2]},
    "run": {"evaluation_batch": 64, "calibration": 64, "save_every": 60},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 2, "parents": 2},
    "retrain": RECIPE,
}
ALL = ("csv", "mlflow", "wandb")


class Interrupting:
    """A listener that interrupts a stage, as Ctrl-C does."""

    def __init__(self, stage: str, after: int) -> None:
        self.stage, self.after = stage, after
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        if stage == self.stage and done >= self.after:
            raise KeyboardInterrupt


class Killing(Interrupting):
    """A listener that kills the tracking server within a stage."""

    def __init__(self, server: TrackingServer, stage: str, after: int) -> None:
        super().__init__(stage, after)
        self._server = server

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        with suppress(KeyboardInterrupt):
            super().progress(stage, done, total, detail)
            return
        self._server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def environment(server: TrackingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("loggers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", server.address)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("WANDB_MODE", "offline")
        patch.setattr(following, "INTERVAL", 0.5)
        server.wait()
        yield folder


@pytest.fixture(scope="module")
def logged(environment: Path, server: TrackingServer) -> Path:
    """A run whose server was killed and came back, and that was interrupted within a training."""
    out, listener = environment / "run", Killing(server, "train", 4)
    run(out, GIVEN, ("train",), listener=listener, loggers=ALL)
    told = listener.messages[-1]
    assert told.startswith("--logger mlflow: not everything was given to it (API request to http")
    assert told.endswith("the same command gives it the rest") and "\n" not in told
    server.start()
    server.wait()
    with pytest.raises(KeyboardInterrupt):
        run(out, GIVEN, listener=Interrupting("retrain", 5), loggers=ALL)
    run(out, GIVEN, loggers=ALL)
    return out


def expected(out: Path) -> dict[str, list[int]]:
    """The steps of each stage that the run has recorded."""
    steps: dict[str, list[int]] = {}
    for line in RunDirectory(out).metrics():
        if "step" in line:
            steps.setdefault(line["stage"], []).append(line["step"])
    searched = json.loads((out / "search.json").read_text())
    return {**steps, "search": list(range(1, len(searched["candidates"]) + 1))}


def in_mlflow(out: Path) -> Run:
    client = MlflowClient()
    (experiment,) = [one for one in client.search_experiments() if one.name == "spos"]
    identity = json.loads((out / "loggers.json").read_text())["run"]
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`spos.run` = '{identity}'")
    return found


def test_the_table_has_every_point_once(logged: Path) -> None:
    with (logged / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps: dict[str, list[int]] = {}
    for row in rows:
        steps.setdefault(row["stage"], []).append(int(row["step"]))
    assert steps == expected(logged)
    assert {"train", "search", "retrain"} <= steps.keys()
    assert all(float(row["loss"]) > 0 for row in rows if row["stage"] == "train")
    searched = json.loads((logged / "search.json").read_text())
    scores = [one["score"] for one in searched["candidates"]]
    assert [float(row["score"]) for row in rows if row["stage"] == "search"] == scores


def test_mlflow_has_one_run_with_every_point_once(logged: Path) -> None:
    found, client = in_mlflow(logged), MlflowClient()
    for stage, steps in expected(logged).items():
        key = f"{stage}/{'score' if stage == 'search' else 'loss'}"
        assert [one.step for one in client.get_metric_history(found.info.run_id, key)] == steps
    assert found.info.run_name == "run" and found.info.status == "FINISHED"


def test_mlflow_has_the_settings_the_result_and_its_files(logged: Path) -> None:
    found, result = in_mlflow(logged), json.loads((logged / "result.json").read_text())
    assert found.data.params["supernet.steps"] == "8"
    assert found.data.params["layout.channels"] == "16,32"
    assert found.data.metrics["result/test"] == result["retrain"]["test_score"]
    assert found.data.metrics["result/flops"] == result["winner"]["costs"]["flops"]
    files = {one.path for one in MlflowClient().list_artifacts(found.info.run_id)}
    assert files >= {"config.yaml", "result.json", "report.html"}
    fetched = Path(MlflowClient().download_artifacts(found.info.run_id, "result.json"))
    assert fetched.read_bytes() == (logged / "result.json").read_bytes()


def test_an_exported_network_is_added_to_the_same_run(logged: Path) -> None:
    arguments = [str(logged), "--format", "state-dict", "--logger", "mlflow"]
    ended = CliRunner().invoke(export_command, arguments)
    assert ended.exit_code == 0, ended.output
    files = {one.path for one in MlflowClient().list_artifacts(in_mlflow(logged).info.run_id)}
    assert files >= {"network.safetensors", "network.py", "network.safetensors.md"}


def test_the_same_command_again_adds_nothing(logged: Path) -> None:
    client, before = MlflowClient(), in_mlflow(logged)
    table = (logged / "metrics.csv").read_text()
    run(logged, GIVEN, loggers=ALL)
    again = in_mlflow(logged)
    assert (logged / "metrics.csv").read_text() == table
    assert again.data.metrics == before.data.metrics
    for key in before.data.metrics:
        steps = [one.step for one in client.get_metric_history(again.info.run_id, key)]
        assert len(steps) == len({*steps}), key


def test_a_refused_command_leaves_a_finished_run_as_it_is(logged: Path) -> None:
    other = {**GIVEN, "layout": {"channels": [16, 32], "depths": [2, 2]}}
    with pytest.raises(UserError, match="another configuration"):
        run(logged, other, loggers=("mlflow",))
    assert in_mlflow(logged).info.status == "FINISHED"


def test_wandb_sends_every_point_once_and_to_one_run(logged: Path, tmp_path: Path) -> None:
    shutil.copytree(logged / "wandb", tmp_path / "wandb")
    # One folder of each process.
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    with wandb_server() as (address, kept):
        # Not by the service of this process, which would end with that one.
        others = {name: one for name, one in os.environ.items() if name != "WANDB_SERVICE"}
        own = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "HOME": str(tmp_path)}
        subprocess.run(
            [sys.executable, "-m", "wandb", "sync", *folders],
            env={**others, **own, "WANDB_ERROR_REPORTING": "false"},
            check=True,
            capture_output=True,
        )
    identity = json.loads((logged / "loggers.json").read_text())["run"]
    assert len(folders) >= 3 and kept.history.keys() == {identity}
    lines, steps = kept.history[identity], dict[str, list[int]]()
    for line in lines:
        (stage,) = (name[:-5] for name in line if name.endswith("/step"))
        steps.setdefault(stage, []).append(line[f"{stage}/step"])
    assert steps == expected(logged)
    assert [line["_step"] for line in lines] == list(range(len(lines)))
    assert kept.settings["supernet.steps"] == "8"


def test_what_wandb_had_in_memory_when_it_was_killed_is_given_again(
    environment: Path, tmp_path: Path
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from spos.run.loggers.wandb import WandbLogger
from spos.run.logger import Point
logger = WandbLogger(Path({str(tmp_path)!r}), "killed")
logger.log([Point("train", 1, {{"loss": 0.5}})])
os.kill(os.getpid(), signal.SIGKILL)
"""
    own = {name: one for name, one in os.environ.items() if name != "WANDB_SERVICE"}
    assert subprocess.run([sys.executable, "-c", script], env=own).returncode == -signal.SIGKILL
    (before,) = (tmp_path / "wandb").glob("offline-run-*")
    # A folder of the same second has the same name.
    (before / "mark").touch()
    again = LOGGERS.find("wandb")(tmp_path, "killed")
    assert again.steps() == {} and not (before / "mark").exists()
    again.log([Point("train", 1, {"loss": 0.5})])
    again.close(finished=True)
    last = LOGGERS.find("wandb")(tmp_path, "killed")
    assert last.steps() == {"train": 1}
    last.close(finished=True)


def test_a_logger_that_is_away_does_not_end_a_run_and_gets_the_rest_later(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int]] = []

    class Away(Logger):
        here = False

        def steps(self) -> dict[str, int]:
            last: Counter[str] = Counter()
            for stage, step in given:
                last[stage] = max(last[stage], step)
            return dict(last)

        def log(self, points: Any) -> None:
            if not Away.here:
                raise ConnectionError("no route to the host")
            given.extend((one.stage, one.step) for one in points)

    monkeypatch.setitem(LOGGERS, "away", Away)
    out, listener = environment / "away", Interrupting("", 0)
    run(out, GIVEN, ("train",), listener=listener, loggers=("away",))
    assert not given
    assert listener.messages[-1] == (
        "--logger away: not everything was given to it (no route to the host); the same command "
        "gives it the rest"
    )
    Away.here = True
    run(out, GIVEN, ("train",), loggers=("away",))
    assert given == [("train", step) for step in range(1, 9)]


class Taking(Logger):
    """One that keeps the texts of the files that it is given."""

    given: ClassVar[dict[str, str]] = {}

    def steps(self) -> dict[str, int]:
        return {}

    def log(self, points: Any) -> None: ...

    def conclude(self, numbers: Any, files: Any) -> None:
        Taking.given |= {path.name: path.read_text() for path in files}
        raise ConnectionError("http://ada:hidden@host is away")


def test_no_password_is_given_to_a_logger(
    logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, listener = shutil.copytree(logged, tmp_path / "run"), Interrupting("", 0)
    config = out / "config.yaml"
    # As former versions wrote it.
    former = config.read_text().partition("# digest: ")[0]
    kept = re.sub("storage: .*", "storage: mysql://ada:hidden@host/db", former)
    config.write_text(kept)
    monkeypatch.setitem(LOGGERS, "taking", Taking)
    following.attach(out, ["taking"], [], listener)
    assert "storage: mysql://ada:***@host/db" in Taking.given["config.yaml"]
    assert {"result.json", "report.html"} <= Taking.given.keys()
    assert "(http://ada:***@host is away)" in listener.messages[-1]
    assert config.read_text() == kept


class Hanging(Taking):
    """One whose server does not answer."""

    def steps(self) -> dict[str, int]:
        Event().wait()
        return {}


def test_an_interruption_does_not_wait_for_a_server(
    logged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Interrupting("", 0)
    monkeypatch.setattr(following, "PATIENCE", 0.1)
    with (
        pytest.raises(KeyboardInterrupt),
        following.following(RunDirectory(logged), {"hanging": Hanging}, listener),
    ):
        raise KeyboardInterrupt
    assert (
        "hanging: not everything was given to it (no answer within 0.1 s)" in listener.messages[0]
    )


def test_one_that_does_not_exist_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown logger 'mlfow': did you mean 'mlflow'"):
        run(tmp_path / "run", GIVEN, loggers=("mlfow",))
    assert not (tmp_path / "run").exists()


def test_one_that_is_not_installed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mlflow", "wandb"):
        # An import of it fails as if it were not there.
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UserError, match=rf"{name} is not installed.*'spos\[{name}\]'"):
            run(tmp_path / "run", GIVEN, loggers=(name,))
    assert not (tmp_path / "run").exists()


def test_a_tracking_server_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        UserError, match=r"http://127\.0\.0\.1:1 cannot be used .*MLFLOW_TRACKING_URI"
    ):
        run(tmp_path / "run", GIVEN, loggers=("mlflow",))
    assert not (tmp_path / "run").exists()


def test_a_database_of_mlflow_that_was_cut_short_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    kind = LOGGERS.find("mlflow")

    def fail(*arguments: object) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, "it is not supported")

    def cut(connection: object, cursor: object, statement: str, *more: object) -> None:
        # In the middle of the change of a table.
        if statement.strip().startswith("DROP TABLE"):
            fail()

    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", lambda seconds: None)
    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(UserError, match="it is not supported"):
            kind.check()
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    # As on a file system without links.
    monkeypatch.setattr("os.link", fail)
    kind.check()
    kind(tmp_path / "run", "whole").close(finished=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_token_that_no_header_may_hold_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    # As read from a file that was written on Windows; longer than what of an error is shown.
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret" * 50 + "\r")
    with pytest.raises(UserError, match=r"cannot be used .*MLFLOW_TRACKING_URI") as raised:
        run(tmp_path / "run", GIVEN, loggers=("mlflow",))
    assert "secret" not in str(raised.value)


def test_a_database_of_mlflow_that_is_away_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    kind = LOGGERS.find("mlflow")
    kind.check()
    database.unlink()
    database.mkdir()
    with pytest.raises(Exception, match=r"sqlite3\.OperationalError"):
        kind(tmp_path, "away")
    assert "Traceback" not in capfd.readouterr().err


def test_a_database_of_mlflow_that_cannot_be_opened_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", waits.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    with pytest.raises(UserError, match=f"sqlite:///{tmp_path} cannot be used .*unable to open"):
        run(tmp_path / "run", GIVEN, loggers=("mlflow",))
    assert sum(waits) < 5


def test_a_tracking_server_that_says_nothing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("spos.run.loggers.mlflow.PATIENCE", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(UserError, match=f"{address} cannot be used"):
            run(tmp_path / "run", GIVEN, loggers=("mlflow",))
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_an_unknown_mode_of_wandb_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UserError, match=r"WANDB_MODE=ofline: did you mean 'offline'\? allowed: "):
        run(tmp_path / "run", GIVEN, loggers=("wandb",))


@pytest.mark.parametrize("mode", ["online", ""])
def test_without_an_account_wandb_says_what_to_do(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr("wandb.login", lambda **named: False)
    with pytest.raises(UserError, match="run wandb login, or set WANDB_MODE=offline"):
        run(tmp_path / "run", GIVEN, loggers=("wandb",))


@pytest.mark.parametrize(
    ("name", "value"), [("WANDB_API_KEY", "hunter2"), ("WANDB_BASE_URL", "no address")]
)
def test_what_wandb_refuses_is_one_line(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    # It reads its variables once in a process, which may have been for a run without network.
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="--logger wandb: your account cannot be used") as raised:
        run(tmp_path / "run", GIVEN, loggers=("wandb",))
    assert "hunter2" not in str(raised.value) and "\n" not in str(raised.value)
