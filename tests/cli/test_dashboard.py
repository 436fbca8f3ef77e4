"""``spos dashboard``."""

from __future__ import annotations

import json
import logging
import re
import signal
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Ended, Started, until

from spos.run.dashboard import guarded, make_dashboard

Cli = Callable[..., Ended]


def test_the_page_shows_the_study_and_changes_nothing(
    start: Callable[..., Started], finished: Path
) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra 'dashboard' is not installed")
    # The lock of a search that is running does not matter.
    study = (finished / "study.db").read_bytes()
    server = start("dashboard", finished, "--port", "0")
    address: list[str] = []
    until(lambda: address or address.extend(server.addresses()), server.process)
    assert address, server.wait().err

    def get(path: str, method: str = "GET", **headers: str) -> str:
        request = urllib.request.Request(address[0] + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read().decode()

    assert "<title>" in get("dashboard")
    (summary,) = json.loads(get("api/studies"))["study_summaries"]
    trials = json.loads(get(f"api/studies/{summary['study_id']}?after=0"))["trials"]
    assert len(trials) == 18
    with pytest.raises(urllib.error.HTTPError, match="405"):
        get(f"api/studies/{summary['study_id']}", "DELETE")
    # A page of another site that has a name which leads here.
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get("api/studies", Host="elsewhere.example:80")
    assert get("api/studies", Host="localhost")
    # As curl asks for it.
    with socket.create_connection(
        ("127.0.0.1", int(address[0].split(":")[2].strip("/")))
    ) as client:
        client.sendall(b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.makefile("rb").readline().split()[1] == b"200"
    server.signal(signal.SIGINT)
    ended = server.wait()
    assert ended.status in (0, 130) and ended.err == ""
    assert re.fullmatch(
        rf"http://127.0.0.1:\d+/ shows .* {re.escape(str(finished))}; .*\n", ended.out
    )
    assert (finished / "study.db").read_bytes() == study


def test_what_has_no_study_is_a_mistake(
    cli: Cli, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra 'dashboard' is not installed")
    assert "is not a run directory" in cli("dashboard", tmp_path).mistake
    (finished / "study.db").rename(tmp_path / "study.db")
    assert (
        cli("dashboard", finished).mistake
        == f"{finished} has no study yet: its search has not begun"
    )
    (finished / "study.db").write_bytes(b"x" * 5000)
    assert "is damaged" in cli("dashboard", finished).mistake


def test_a_trial_that_cannot_be_read_is_one_line(
    start: Callable[..., Started], finished: Path
) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra 'dashboard' is not installed")
    with closing(sqlite3.connect(finished / "study.db")) as study, study:
        study.execute("UPDATE trial_params SET distribution_json = 'none'")
    server = start("dashboard", finished, "--port", "0")
    address: list[str] = []
    until(lambda: address or address.extend(server.addresses()), server.process)
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"{address[0]}api/studies/1?after=0", timeout=60)
    server.signal(signal.SIGINT)
    (line,) = server.wait().err.splitlines()
    assert line.startswith("spos: a part of the page is missing (Exception: Expecting value")


def test_what_the_page_fails_with_is_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server that was made before keeps them from it.
    monkeypatch.setattr(logging.getLogger("optuna_dashboard"), "propagate", True)

    def fail(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("Traceback (most recent call last):\n  ...\nKeyError: '%s'\n")
        environ["wsgi.errors"].flush()
        return []

    guarded(fail)({"HTTP_HOST": "localhost", "REQUEST_METHOD": "GET"}, None)
    assert [record.getMessage() for record in caplog.records] == ["KeyError: '%s'"]


def test_the_space_need_not_be_known(finished: Path) -> None:
    """A model of the user's own is a space of the program that searched it."""
    pytest.importorskip("optuna_dashboard", reason="the extra 'dashboard' is not installed")
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["space"] = {"name": "own-Model", "preset": "own"}
    (finished / "config.yaml").write_text(yaml.safe_dump(config))
    with make_dashboard(finished, 0) as server:
        assert server.server_port > 0


def test_a_storage_that_is_not_here_is_told_and_not_made(
    cli: Cli, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra 'dashboard' is not installed")
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["constraint"] = {"storage": "all.db"}
    (finished / "config.yaml").write_text(yaml.safe_dump(config))
    # Another folder than that in which the run was started.
    monkeypatch.chdir(tmp_path)
    assert cli("dashboard", finished).mistake.endswith("all.db: no such file")
    assert not (tmp_path / "all.db").exists()


def test_the_extra_is_named_where_it_is_missing(
    cli: Cli, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert cli("dashboard", finished_run).mistake == (
        "spos dashboard: optuna-dashboard is not installed; install it: "
        "pip install 'spos[dashboard]'"
    )


def test_a_port_in_use_is_a_mistake(cli: Cli, finished: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra 'dashboard' is not installed")
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        told = cli("dashboard", finished, "--port", port).mistake
    assert told == f"--port {port}: is in use; give another one, or 0 for any free one"
