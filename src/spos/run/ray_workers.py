"""Workers of a Ray cluster, on one machine or many, that carry out independent work of a run."""

from __future__ import annotations

import importlib
import logging
import os
import re
import socket
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.files import write_atomically
from spos._util.interrupt import handlers_kept
from spos._util.processes import signals_held
from spos.run.context import Context
from spos.run.outcome import TrainOutcome
from spos.run.ray_actor import Actor
from spos.run.serving import VERSIONS, for_workers, hear, needed_files
from spos.run.side_by_side import Together, Work

#: How often an item is begun at most, where workers die.
TRIES = 3
#: Seconds that a cluster may take to answer, and actors to delete what they have written.
PATIENCE = 10.0


@dataclass
class _Item:
    number: int
    item: Any
    folder: str
    received: int = 0
    tries: int = 0


@dataclass(eq=False)
class _Worker:
    actor: Any
    ready: bool = False
    item: _Item | None = None
    #: Values to leave out, which an earlier try has sent.
    repeated: int = 0


@dataclass
class RayWorkers:
    """Actors of a Ray cluster, which live until they are closed.

    Args:
        address (str | None): address of a cluster, such as ``ray://HOST:PORT``; None for that of
            the environment variable ``RAY_ADDRESS``, or else one on this machine alone.
        cpus (float): CPU cores of each worker, above 0, as Ray counts them.
        gpus (float | None): GPUs of each, at least 0; None for one where the cluster has any.
        threads (int): CPU threads of each.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached or has no room.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float | None = None
    threads: int = 1
    _workers: list[_Worker] = field(init=False, default_factory=list)
    _shared: Any = field(init=False, default=None)
    #: Whether the supernets were trained when the workers began.
    _trained: bool = field(init=False, default=False)
    _ours: bool = field(init=False, default=False)
    #: Workers that died before they could begin.
    _lost: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UserError("--workers ray needs Ray: pip install 'spos[ray]'") from None
        if self.cpus <= 0:
            raise UserError(f"--worker-cpus {self.cpus:g}: must be above 0")
        if not ray.is_initialized():
            if not self.address:
                _check_answers()
            self._ours = True
            try:
                # Ctrl-C is for this process alone, which ends the others. At a request to end Ray
                # would end this one at once.
                with signals_held(), handlers_kept(), warnings.catch_warnings():
                    # Of a cluster that is not there, which the error below says.
                    warnings.simplefilter("ignore")
                    ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR)
            except (
                ConnectionError,
                RuntimeError,
                ValueError,
                ray.exceptions.RayError,  # Such as a token that is missing.
            ) as error:
                reason = " ".join(str(error).split())[:200]
                # Without the mode, Ray does not send the token to an address that is given.
                raise UserError(
                    f"--workers {self.address or 'ray'}: no Ray cluster there ({reason}); if it "
                    "asks for a token, put it in ~/.ray/auth_token and set RAY_AUTH_MODE=token"
                ) from None
        resources = ray.cluster_resources()
        if self.gpus is None:
            self.gpus = 1.0 if resources.get("GPU") else 0.0
        counts = [int(resources.get("CPU", 0) // self.cpus)]
        counts += [int(resources.get("GPU", 0) // self.gpus)] if self.gpus else []
        self.count = min(counts)
        if not self.count:
            self.close()
            raise UserError(
                f"--worker-cpus {self.cpus:g} --worker-gpus {self.gpus:g}: the cluster has "
                f"{resources.get('CPU', 0):g} CPU cores and {resources.get('GPU', 0):g} GPUs"
            )

    def map(
        self, context: Context, work: Work, items: Sequence[Any], label: str = ""
    ) -> Iterator[tuple[int, Any]]:
        """Work on items; see :class:`spos.run.side_by_side.Workers`.

        An item whose worker dies is begun again elsewhere, from the last state that was saved.

        Raises:
            UserError: raised by the work, or the workers of an item died.
        """
        ray: Any = importlib.import_module("ray")

        waiting = deque(
            _Item(number, item, getattr(item, "folder", "")) for number, item in enumerate(items)
        )
        told = Together(context.listener.progress, label, len(items))
        trained = context.directory.is_finished(TrainOutcome.stage)
        if self._shared is not None and trained != self._trained:
            # Those that trained the supernets have one each.
            self._end()
        self._trained = trained
        # One may wait for a place in the cluster for ever, if a node was lost: others go on.
        asked = {one.actor.refused.remote(): one for one in self._workers if not one.ready}
        left = len(items)
        try:
            while left:
                idle = [one for one in self._workers if one.ready and one.item is None]
                for worker, _ in zip(idle, range(len(waiting)), strict=False):
                    begun = self._begin(context, worker, work, waiting.popleft())
                    asked[begun] = worker
                for _ in range(min(self.count - len(self._workers), len(waiting))):
                    worker = self._start(context)
                    asked[worker.actor.refused.remote()] = worker
                for answer in ray.wait(list(asked), num_returns=1)[0]:
                    worker = asked.pop(answer)
                    item = worker.item
                    try:
                        said = ray.get(answer)
                    except (
                        ray.exceptions.RayActorError,
                        ray.exceptions.OutOfMemoryError,
                    ) as error:
                        self._workers.remove(worker)
                        self._lose(item, error)
                        context.listener.message(
                            f"a worker died, its work goes to another ({_reason(error)})"
                        )
                        waiting.extendleft([item] if item else [])
                        continue
                    except ray.exceptions.RayTaskError as error:
                        reason = str(error).strip().splitlines()[-1]
                        raise UserError(f"a Ray worker failed: {reason}") from error
                    if item is None:
                        if said:
                            raise UserError(said)
                        worker.ready = True
                        continue
                    for kind, *values in said:
                        if kind == "value":
                            if worker.repeated:
                                worker.repeated -= 1
                            else:
                                item.received += 1
                                yield item.number, *values
                        elif kind == "done":
                            worker.item = None
                            left -= 1
                        elif kind == "file":
                            path = context.directory.path / values[0]
                            path.parent.mkdir(parents=True, exist_ok=True)
                            write_atomically(path, values[1])
                        elif kind == "removed":
                            (context.directory.path / values[0]).unlink(missing_ok=True)
                        else:
                            progress = partial(told, item.number) if label else None
                            hear(context, kind, values, progress)
                    if worker.item is not None:
                        asked[worker.actor.say.remote()] = worker
        finally:
            for worker in [one for one in self._workers if one.item is not None]:
                # Its last state has been sent.
                ray.kill(worker.actor)
                self._workers.remove(worker)

    def close(self) -> None:
        """End the actors, and leave the cluster."""
        ray: Any = importlib.import_module("ray")

        self._end()
        if self._ours and ray.is_initialized():
            ray.shutdown()

    def _end(self) -> None:
        ray: Any = importlib.import_module("ray")

        # Those that died or were killed leave theirs to whoever empties temporary folders.
        cleaning = [worker.actor.clean.remote() for worker in self._workers if worker.ready]
        if cleaning:
            ray.wait(cleaning, num_returns=len(cleaning), timeout=PATIENCE)
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers.clear()
        self._shared = None

    def _start(self, context: Context) -> _Worker:
        """Ask Ray for another worker."""
        ray: Any = importlib.import_module("ray")

        if self._shared is None:
            context.check_picklable()
            files = needed_files(context)
            context.listener.message(
                f"{self.count} Ray worker(s) of {self.cpus:g} CPU core(s) and {self.gpus:g} GPU(s)"
            )
            self._shared = ray.put(for_workers(context)), ray.put(context.data), ray.put(files)
        remote = ray.remote(Actor).options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_concurrency=2
        )
        number = len(self._workers)
        worker = _Worker(remote.remote(*self._shared, number, self.threads, VERSIONS))
        self._workers.append(worker)
        return worker

    def _begin(self, context: Context, worker: _Worker, work: Work, item: _Item) -> Any:
        item.tries += 1
        worker.item, worker.repeated = item, item.received
        root = context.directory.path
        kept = (root / item.folder).glob("step-*") if item.folder else ()
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}
        settings = (context.config, context.frozen)
        return worker.actor.begin.remote(settings, work, item.item, item.folder, files)

    def _lose(self, item: _Item | None, error: Exception) -> None:
        lines = str(error).splitlines()
        if "creation task" in lines[0]:
            # Another would fail alike.
            raise UserError(f"a Ray worker cannot begin: {lines[-1].strip()}")
        self._lost += item is None
        if (self._lost if item is None else item.tries) == TRIES:
            raise UserError(
                f"{TRIES} workers died, one after the other ({_reason(error)}): possibly out of "
                "memory; give each more with --worker-cpus, or a smaller run.evaluation_batch"
            )


def _check_answers() -> None:
    """Check that something answers where Ray would look for a cluster.

    Ray retries for twelve minutes to reach a cluster that is gone, and ignores signals meanwhile.
    """
    # Written by `ray start`; it stays when the cluster is killed.
    file = Path(os.environ.get("RAY_TMPDIR") or "/tmp", "ray", "ray_current_cluster")
    address, named, advice = os.environ.get("RAY_ADDRESS"), "RAY_ADDRESS", "unset RAY_ADDRESS"
    if not address and file.is_file():
        address, named, advice = file.read_text().strip(), str(file), "run 'ray stop' to forget it"
    host, _, port = (address or "").rpartition(":")
    if "/" in host or not (host and port.isdecimal()):
        return  # Such as ray://HOST:PORT: there Ray gives up within half a minute.
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--workers ray: no Ray cluster at {address}, which {named} names ({error}); start it, "
            f"or {advice}"
        ) from None


def _reason(error: Exception) -> str:
    # The address of a node is enough; its ID has 56 digits.
    return re.sub(r", ID: \w+", "", " ".join(str(error).split()))[:200]
