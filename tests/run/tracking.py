"""A tracking server of MLflow on this machine, as a team has one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen


class TrackingServer:
    """``mlflow server`` on a free port of this machine, with a database and files of its own.

    Args:
        folder (Path): folder of the database and the files, which outlive the server.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, anew after it was killed."""
        self._folder.mkdir(exist_ok=True)
        store, files = f"sqlite:///{self._folder}/mlflow.db", str(self._folder / "artifacts")
        where = ("--host", "127.0.0.1", "--port", str(self._port), "--workers", "1")
        kept = ("--backend-store-uri", store, "--artifacts-destination", files)
        # Its jobs need further libraries, and its makers are not told of a test.
        own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = {name: one for name, one in os.environ.items() if name[:7] != "MLFLOW_"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *where, *kept],
                stdout=log,
                stderr=log,
                env=environment | own,
                # The process that answers is a child of the one that is started.
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        for _ in range(1200):
            with suppress(URLError, ConnectionError), urlopen(f"{self.address}/health") as answer:
                if answer.status == 200:
                    return
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.05)
        raise TimeoutError((self._folder / "log").read_text())

    def kill(self) -> None:
        """Kill it without a word, as a machine that fails does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
