"""Work in several processes: interrupted through the first one, errors reported in one line."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from torch import distributed
from torch.multiprocessing.spawn import ProcessException, ProcessRaisedException

from spos._util.errors import UserError, explain
from spos._util.interrupt import SIGNALS, handle_by, handled_by, raise_interrupt

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def quieten() -> None:
    """Silence announcements, which are noise to the user.

    To be called again after the import of Fabric, which sets its levels anew.
    """
    # The second one has a level of its own.
    for name in ("lightning_fabric", "lightning_fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)


# At import, so that started processes do it too, before anything is announced.
quieten()

# How the work of a process ended, the more informative first.
ENDINGS = ("mistake", "interrupted", "failure", "lost", "done")


class LostError(UserError):
    """Another process of a training ended, or does not answer."""

    def __init__(self) -> None:
        super().__init__(
            "another process of the training ended, or does not answer: rerun the same command to "
            "resume from the last checkpoint"
        )


@contextmanager
def exchanging() -> Iterator[None]:
    """Report in one line that another process was lost while values are exchanged.

    Raises:
        LostError: it ended, or did not answer in time.
    """
    try:
        yield
    except RuntimeError as error:
        # Memory may run out here as well.
        if explain(error) is not None:
            raise
        raise LostError from error


def launch(fabric: Fabric, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in the processes of a Fabric.

    Args:
        fabric (Fabric): not yet launched.
        work (Callable): called in each process with its Fabric and the arguments; defined at the
            top level of a module.
        arguments: passed on to ``work``.

    Returns:
        The result of the process of rank 0.

    Raises:
        UserError: raised in a process, or a process was killed.
        KeyboardInterrupt: an interruption was requested.
    """
    quieten()
    answers = multiprocessing.get_context("spawn").SimpleQueue()
    # Processes inherit the blocked signals of this thread: a Ctrl-C waits until they have imported
    # what they need to handle it.
    block = (signal.SIG_BLOCK, SIGNALS)
    with ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=block) as thread:
        start: Callable[..., Any] = fabric.launch
        launched = thread.submit(start, _process, answers, work, arguments)
        with _passing_on() as interrupted:
            died = launched.exception()
    ended: dict[str, list[Any]] = {ending: [] for ending in ENDINGS}
    while not answers.empty():
        ending, rank, value = answers.get()
        ended[ending].append((rank, value))
    if ended["mistake"]:
        raise UserError(ended["mistake"][0][1])
    if interrupted or ended["interrupted"]:
        raise KeyboardInterrupt
    if ended["failure"]:
        raise RuntimeError("in process {}: {}".format(*ended["failure"][0]))
    if isinstance(died, ProcessRaisedException):
        # Not in the work: before it, where torch connects the processes.
        reason = str(died).strip().splitlines()[-1]
        raise UserError(f"the processes of the training cannot be connected: {reason}")
    if isinstance(died, ProcessException):
        raise UserError(
            f"{died}: possibly out of memory; rerun the same command to resume from the last "
            "checkpoint"
        )
    if ended["lost"]:
        raise LostError
    if died is not None:
        raise died
    return dict(ended["done"])[0]


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back the signals that end a command; processes started inside never receive them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _passing_on() -> Iterator[list[int]]:
    """Record the signals that end a command, and forward them to the other processes as SIGTERM."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        for process in multiprocessing.active_children():
            process.terminate()

    with handled_by(note):
        yield noted


def _leave_group() -> None:
    # Its threads would be destroyed while they run when the interpreter ends, which now and then
    # aborts the process.
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _process(
    fabric: Fabric,
    answers: SimpleQueue[tuple[str, int, Any]],
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    rank = fabric.global_rank

    def answer(ending: str, value: Any = None) -> None:
        answers.put((ending, rank, value))

    # A terminal sends Ctrl-C to all processes of the group; the first process forwards it.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        handle_by(raise_interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise KeyboardInterrupt
        answer("done", work(fabric, *arguments))
        _leave_group()
        return
    except KeyboardInterrupt:
        answer("interrupted")
        _leave_group()
        return
    except LostError:
        # Whatever ended the other one says more.
        answer("lost")
    except Exception as error:
        line = explain(error)
        answer("failure" if line is None else "mistake", line or traceback.format_exc())
    # Others may wait for this process: its status makes torch terminate them.
    raise SystemExit(1)
