"""Processes of this machine that carry out independent pieces of a run."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from spos._util.cores import usable_cores
from spos._util.errors import UserError, explain
from spos._util.interrupt import SIGNALS
from spos._util.processes import signals_held
from spos.data import ImageData
from spos.report.words import counted
from spos.run.context import Context
from spos.run.outcome import TrainOutcome
from spos.run.serving import RECORDED, Serving, for_workers, hear
from spos.run.shared_images import images_to_share
from spos.run.side_by_side import ThisProcess, Together, Work

#: Seconds that a training may take to save its state when the run is interrupted.
PATIENCE = 60.0
#: Seconds of work above which it is worth the time that processes take to start.
LONG = 30.0
#: Modules that are imported once for all processes: they take seconds, and as much memory.
PRELOADED = (
    "spos.run.planning.execute",
    "spos.run.serving",
    "torch._dynamo",
    "torch.fx.experimental.symbolic_shapes",
)


class LocalWorkers:
    """Processes of this machine, which live until they are closed.

    Each reads the supernet itself when it first needs it. All share the images in memory, or each
    reads them where there is too little room.

    Args:
        count (int): number of processes, at least 1.
        threads (int): CPU threads of each.
        always (bool): whether they are started also for work that takes seconds.
    """

    def __init__(self, count: int, threads: int, *, always: bool = True) -> None:
        self.count = count
        self.threads, self.always = threads, always
        self._processes: dict[Connection, multiprocessing.process.BaseProcess] = {}

    def map(
        self, context: Context, work: Work, items: Sequence[Any], label: str = ""
    ) -> Iterator[tuple[int, Any]]:
        """Work on items; see :class:`spos.run.side_by_side.Workers`.

        Raises:
            UserError: raised by the work, or a process was killed.
        """
        waiting, began = deque(enumerate(items)), time.monotonic()
        while waiting and not (self._processes or self.always):
            spent, done = time.monotonic() - began, len(items) - len(waiting)
            if spent / max(done, 1) * len(waiting) > LONG or (label and _trained_long(context)):
                break
            number, item = waiting.popleft()
            for _, value in ThisProcess(self.threads).map(context, work, [item]):
                yield number, value
        if not waiting:
            return
        self._start(context, min(self.count, len(waiting)))
        idle, busy = list(self._processes), dict[Connection, int]()
        settings = (context.config, context.frozen)
        told = Together(context.listener.progress, label, len(items))
        try:
            while waiting or busy:
                while idle and waiting:
                    number, item = waiting.popleft()
                    connection = idle.pop()
                    # A process that was killed is noticed when it is heard.
                    with suppress(OSError):
                        connection.send((settings, work, item))
                    busy[connection] = number
                ready = wait(list(busy))
                for connection in [one for one in busy if one in ready]:
                    number = busy[connection]
                    kind, *values = self._receive(connection)
                    if kind == "value":
                        yield number, *values
                    elif kind == "done":
                        del busy[connection]
                        idle.append(connection)
                    else:
                        hear(context, kind, values, partial(told, number) if label else None)
        finally:
            if busy:
                self._stop(context, busy)

    def warm(self) -> None:
        """Import in the background what the processes need, and use them for short work as well.

        They start within a second then, where they are forks.
        """
        if self.count > 1 and may_fork():
            self.always = True
            with self._starting():
                forkserver.ensure_running()

    def close(self) -> None:
        """End the processes."""
        for connection, process in self._processes.items():
            with suppress(OSError):
                connection.send(None)
            process.join(PATIENCE)
            process.kill()
        self._processes.clear()
        atexit.unregister(self.close)

    def _start(self, context: Context, count: int) -> None:
        missing = count - len(self._processes)
        if missing <= 0:
            return
        context.check_picklable()
        if not self._processes:
            # An error of the caller's own must not leave this process waiting for them at its end.
            atexit.register(self.close)
            context.listener.message(self._describe(count))
        started: Any = multiprocessing.get_context("forkserver" if may_fork() else "spawn")
        content, images = pickle.dumps(for_workers(context)), images_to_share(context)
        for number in range(len(self._processes), count):
            here, there = started.Pipe()
            arguments = (there, content, images, self.threads, number)
            process = started.Process(target=_serve, args=arguments)
            # A terminal sends Ctrl-C to all processes of its group: they are told by this one.
            with self._starting():
                try:
                    process.start()
                except EOFError:
                    # The server of the forks has ended: it could not start one.
                    raise UserError(
                        "a worker process cannot be started: allow more processes, such as by "
                        "ulimit -u, or give fewer --workers"
                    ) from None
            there.close()
            self._processes[here] = process

    def _describe(self, count: int) -> str:
        text = f"{counted(count, 'process')} of {counted(self.threads, 'thread')}"
        text += " each" if count > 1 else ""
        cores = usable_cores()
        if count * self.threads <= cores:
            return text
        # Threads of one process wait for each other, and each of them for a core.
        fitting = max(cores // count, 1)
        fewer = f"--workers {min(count, cores)} --threads {fitting}"
        return f"{text}, more than the {counted(cores, 'core')} here: {fewer} is faster"

    @contextmanager
    def _starting(self) -> Iterator[None]:
        multiprocessing.set_forkserver_preload(list(PRELOADED))
        # It starts with the first process, and lets signals through again.
        resource_tracker.ensure_running()
        with signals_held(), _environment(OMP_NUM_THREADS=str(self.threads)):
            yield

    def _receive(self, connection: Connection) -> tuple[Any, ...]:
        try:
            received: tuple[Any, ...] = connection.recv()
        except (EOFError, ConnectionResetError):
            process = self._processes.pop(connection)
            process.join()
            # It imports the script anew, before it hears anything.
            if process.exitcode == 1:
                raise UserError(
                    "a worker process ended by an error, which is printed above: in a script of "
                    "your own, put the call into the block of if __name__ == '__main__'"
                ) from None
            raise UserError(
                "a worker process was killed: possibly out of memory; rerun the same command to "
                "resume, with fewer --workers"
            ) from None
        return received

    def _stop(self, context: Context, busy: Mapping[Connection, int]) -> None:
        """Interrupt processes that work; trainings save their state."""
        stopped = {one: self._processes.pop(one) for one in busy if one in self._processes}
        for process in stopped.values():
            process.terminate()
        for connection, process in stopped.items():
            # What they say last is still written down.
            with suppress(EOFError, OSError):
                while connection.poll(PATIENCE):
                    kind, *values = connection.recv()
                    if kind in RECORDED:
                        hear(context, kind, values)
                    elif kind == "done":
                        break  # It had ended when it was told to stop.
            connection.close()
            process.join(PATIENCE)
            process.kill()


def may_fork() -> bool:
    """Whether processes may be forks of a server that has imported what all need.

    It has computed nothing; on other systems than Linux their libraries do not survive a fork. The
    name of its socket, in the folder of temporary files, is limited to 108 bytes.
    """
    return sys.platform == "linux" and len(os.fsencode(tempfile.gettempdir())) < 60


def _trained_long(context: Context) -> bool:
    """Whether the supernet was trained for long, as networks then are."""
    trained = context.directory.outcome(TrainOutcome)
    if trained is None:
        # Supernets that are to be trained at the same time.
        return context.config.supernet.members > 1
    return trained.seconds > LONG


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _serve(
    connection: Connection, content: bytes, images: ImageData | None, threads: int, number: int
) -> None:
    """The life of a worker process."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = multiprocessing.parent_process()
    assert parent is not None
    torch.set_num_threads(threads)
    try:
        # A run that was killed may be resumed at once: nothing of it must go on.
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        context: Context = pickle.loads(content)
        if images is not None:
            vars(context)["data"] = images
        serving = Serving(context, number, connection.send)
        while (received := connection.recv()) is not None:
            if not serving.work(*received):
                return
    except (KeyboardInterrupt, EOFError):
        return
    except RuntimeError as error:
        line = explain(error)
        if line is None:
            raise
        with suppress(OSError):
            connection.send(("mistake", line))
