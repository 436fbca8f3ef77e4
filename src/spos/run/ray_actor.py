"""A worker process of Ray: what runs on a machine of the cluster."""

from __future__ import annotations

import importlib
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from spos.data import ImageData
from spos.run.context import Context
from spos.run.serving import VERSIONS, Serving
from spos.run.side_by_side import Work

#: Seconds between looks at what a worker has written.
INTERVAL = 1.0

Message = tuple[Any, ...]


class Actor:
    """A worker process of Ray, which has a directory of its own.

    Args:
        context (Context): the run.
        data (ImageData): its images.
        files (Mapping): content of the files of the run that it needs, by path.
        number (int): number of the worker.
        threads (int): its CPU threads.
        driver (Mapping): versions of the first process.
    """

    def __init__(
        self,
        context: Context,
        data: ImageData,
        files: Mapping[str, bytes],
        number: int,
        threads: int,
        driver: Mapping[str, str],
    ) -> None:
        ray: Any = importlib.import_module("ray")

        self._refused = ""
        if driver != VERSIONS:
            here, there = (
                ", ".join(f"{name} {value}" for name, value in versions.items())
                for versions in (VERSIONS, driver)
            )
            node = ray.util.get_node_ip_address()
            self._refused = f"the worker on {node} has {here}; this machine has {there}"
            return
        torch.set_num_threads(threads)
        self._path = Path(tempfile.mkdtemp(prefix="spos-"))
        self._sent: dict[str, float] = {}
        for name, content in files.items():
            self._write(name, content)
        self._said: queue.Queue[Message] = queue.Queue()
        context.__dict__["data"] = data
        self._serving = Serving(context, 0, self._said.put, self._path)
        self._working: threading.Thread | None = None
        self._folder = ""

    def refused(self) -> str:
        """Why it cannot work; empty if it can."""
        return self._refused

    def begin(
        self, settings: Any, work: Work, item: Any, folder: str, files: Mapping[str, bytes]
    ) -> list[Message]:
        """Begin to work on an item, with the files of its folder; what there is to say at first."""
        for name, content in files.items():
            self._write(name, content)
        self._folder = folder
        arguments = (settings, work, item)
        self._working = threading.Thread(target=self._serving.work, args=arguments, daemon=True)
        self._working.start()
        return []

    def say(self) -> list[Message]:
        """What there is to say; waits for a while if that is nothing."""
        said: list[Message] = []
        try:
            said.append(self._said.get(timeout=INTERVAL))
            while True:
                said.append(self._said.get_nowait())
        except queue.Empty:
            pass
        # Files first, so that an outcome is never there before what it is about.
        return [*self._changes(), *said]

    def clean(self) -> None:
        """Delete the directory."""
        shutil.rmtree(self._path, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._sent[name] = path.stat().st_mtime

    def _changes(self) -> Iterator[Message]:
        """The files of the folder that are new or gone."""
        if not self._folder:
            return
        there = set()
        for folder in (self._folder, f"tensorboard/{self._folder}"):
            for path in sorted((self._path / folder).glob("[!.]*")):
                name = path.relative_to(self._path).as_posix()
                there.add(name)
                try:
                    changed = path.stat().st_mtime
                    if self._sent.get(name) != changed:
                        content = path.read_bytes()
                        self._sent[name] = changed
                        yield "file", name, content
                except FileNotFoundError:
                    continue  # Removed meanwhile, because a later one is there.
        for name in [one for one in self._sent if one.startswith(f"{self._folder}/")]:
            if name not in there:
                del self._sent[name]
                yield "removed", name
