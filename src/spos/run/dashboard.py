"""A web page on the study of a run, which may be searching meanwhile: optuna-dashboard."""

from __future__ import annotations

import errno
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna

from spos._util.errors import UserError
from spos._util.streams import terminal_may_close
from spos._util.text import printable
from spos.run.directory import RunDirectory
from spos.search import open_storage
from spos.search.sqlite import open_to_read

#: The page shows scores and architectures to whoever can open it, so other machines cannot.
HOST = "127.0.0.1"
_LOGGER = "optuna_dashboard"

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class DashboardServer(ThreadingMixIn, WSGIServer):
    """A server that answers each request in a thread of its own, and ends at once."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that close their connection before the answer."""

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of a request."""


class _LastLines(io.StringIO):
    """Where the server writes tracebacks, of which the last lines are logged."""

    def write(self, text: str) -> int:
        """Log what a traceback ends with."""
        *_, last = text.strip().splitlines() or [""]
        logging.getLogger(_LOGGER).error("%s", last)
        return len(text)


class _OneLine(logging.Handler):
    """Says in one line, and once, what optuna-dashboard logs with a traceback at every request."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told = set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the first line of a message, unless it was printed before."""
        first = record.getMessage().partition("\n")[0]
        line = f"spos: a part of the page is missing ({first})"
        if line not in self._told:
            self._told.add(line)
            with terminal_may_close():
                print(printable(line), file=sys.stderr, flush=True)


def make_dashboard(run: Path, port: int) -> DashboardServer:
    """Make a server of optuna-dashboard on the study of a run, which it only reads.

    Args:
        run (Path): run directory.
        port (int): port of this machine; 0 for any free one.

    Raises:
        UserError: optuna-dashboard is not installed, the run has no study, or the port is in use.
    """
    if find_spec("optuna_dashboard") is None:
        raise UserError(
            "spos dashboard: optuna-dashboard is not installed; install it: "
            "pip install 'spos[dashboard]'"
        )
    storage = _open_study(RunDirectory(run))
    with warnings.catch_warnings():
        # Of features of Optuna that are experimental, which are not used here.
        warnings.simplefilter("ignore")
        import optuna_dashboard

        application = guarded(optuna_dashboard.wsgi(storage))
    logger = logging.getLogger(_LOGGER)
    logger.handlers, logger.propagate = [_OneLine()], False
    try:
        return make_server(HOST, port, application, DashboardServer, _Quiet)
    except OSError as error:
        used = "is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise UserError(
            f"--port {port}: {used}; give another one, or 0 for any free one"
        ) from error


def guarded(application: Application) -> Application:
    """Let an application answer only requests that read, and that name this machine.

    A page of another site could reach it by a name of its own that leads here.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_HOST", HOST).partition(":")[0] not in (HOST, "localhost"):
            status, reason = "403 Forbidden", "spos dashboard only answers this machine"
        elif environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, reason = "405 Method Not Allowed", "spos dashboard only reads the study"
        else:
            # Programs that are no browser need not send it, and optuna-dashboard reads it.
            environ.setdefault("HTTP_ACCEPT_ENCODING", "")
            environ["wsgi.errors"] = _LastLines()
            return application(environ, start_response)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps({"reason": reason}).encode()]

    return answer


def _open_study(directory: RunDirectory) -> optuna.storages.BaseStorage:
    path = directory.path
    if not directory.config_path.is_file():
        raise UserError(f"{path} is not a run directory: it has no config.yaml")
    # Read as it is, because the space may be a model that only its user's program knows.
    storage = str(directory.read_config().get("constraint", {}).get("storage") or "")
    if "://" in storage or storage.startswith("$"):
        return open_storage(storage)
    if storage:
        # Where the run was started, it need not be: a new one would have nothing to show.
        return open_to_read(Path(storage))
    if not directory.study_path.exists():
        raise UserError(f"{path} has no study yet: its search has not begun")
    return open_to_read(directory.study_path)
