"""What a worker process does for a run, and what the first process makes of it."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from spos._util.errors import UserError, explain
from spos._util.listener import Silent
from spos._util.version import __version__
from spos.run.context import Context
from spos.run.costs import LATENCY_TABLE
from spos.run.directory import Kept, RunDirectory
from spos.run.side_by_side import Work

#: What a worker sends: a kind, and values.
Send = Callable[[tuple[Any, ...]], None]
#: Files of a run that a worker on another machine needs.
NEEDED = ("config.yaml", "data.json", "train.json", LATENCY_TABLE)
#: What must be the same on all machines.
VERSIONS = {"spos": __version__, "torch": torch.__version__}
#: Kinds of what several would write to one file.
RECORDED = ("record", "rewind_metrics")


class _Told:
    """The listener of a worker, which passes everything on."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def message(self, text: str) -> None:
        self._send(("message", text))

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        self._send(("progress", done, total, detail))


class _Directory(RunDirectory):
    """The directory of a run in a worker: what several would write to one file is passed on."""

    def __init__(self, path: Path, send: Send) -> None:
        super().__init__(path)
        self._send = send

    def record(self, metric: Mapping[str, Any]) -> None:
        self._send(("record", dict(metric)))

    def rewind_metrics(self, stage: str, step: int) -> None:
        self._send(("rewind_metrics", stage, step))

    def finish(self, outcome: Kept, stage: str | None = None) -> Kept:
        self._send(("finish", outcome, stage))
        return outcome


def for_workers(context: Context) -> Context:
    """The context of a run as workers get it: without the listener, which need not be known there.

    Args:
        context (Context): the run.
    """
    sent = copy.copy(context)
    sent.listener = Silent()
    return sent


def needed_files(context: Context, *folders: str) -> dict[str, bytes]:
    """Read the files of a run that a worker on another machine needs.

    Args:
        context (Context): the run.
        folders (str): folders of checkpoints besides those of the supernets.

    Returns:
        Content of the files by their path in the run directory.
    """
    root = context.directory.path
    places = {*context.config.supernet.folders, *folders}
    kept = (path for folder in places for path in (root / folder).glob("step-*"))
    paths = [path for path in (*(root / name for name in NEEDED), *kept) if path.exists()]
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    given = context.config.constraint.latency_table
    if given and LATENCY_TABLE not in files:
        files[LATENCY_TABLE] = Path(given).read_bytes()
    return files


class Serving:
    """Works on items in a worker.

    Args:
        context (Context): the run, which belongs to the worker from now on.
        number (int): number of the worker, and of its device where the machine has several.
        send (Callable): sends a kind and values to the first process.
        path (Path | None): directory of the worker's own; None for that of the run.
    """

    def __init__(self, context: Context, number: int, send: Send, path: Path | None = None) -> None:
        self._context, self._send = context, send
        context.devices, context.device = 1, number
        context.listener = _Told(send)
        context.directory = _Directory(path or context.directory.path, send)

    def work(self, settings: tuple[Any, Any], work: Work, item: Any) -> bool:
        """Work on an item, and send what comes of it; whether there was no error."""
        self._context.config, self._context.frozen = settings
        try:
            for value in work(self._context, item):
                self._send(("value", value))
            self._send(("done",))
        except Exception as error:
            line = explain(error)
            kind = "failure" if line is None else "mistake"
            self._send((kind, line or traceback.format_exc()))
            return False
        return True


def hear(
    context: Context,
    kind: str,
    values: Sequence[Any],
    progress: Callable[..., None] | None = None,
) -> None:
    """Do in the first process what a worker asks for.

    Args:
        context (Context): the run.
        kind (str): what it sent, other than a value and the end of an item.
        values (Sequence): the rest of what it sent.
        progress (Callable | None): receives the progress of the item.

    Raises:
        UserError: raised by the work.
    """
    if kind == "progress":
        if progress is not None:
            progress(*values)
    elif kind == "message":
        context.listener.message(*values)
    elif kind == "mistake":
        raise UserError(*values)
    elif kind == "failure":
        raise RuntimeError("in a worker: {}".format(*values))
    else:
        getattr(context.directory, kind)(*values)
