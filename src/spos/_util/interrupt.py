"""Ctrl-C deferred until the state can be saved."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")

#: What an interruption says where there is a state to go on from.
SAVED = "the state is saved, rerun the same command to resume"
# What ends a command: Ctrl-C, a request to end, and a terminal that is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds in which further signals are the same request: those of a terminal and of whoever started
#: the command, or of a key that is held down.
BURST = 1.0
# Whether the process was asked to stop: a library may swallow the exception.
_asked = False
# When the last signal came that was taken for a request.
_heard = -math.inf
# Those that defer the first signal at the moment.
_deferring: list[Interrupt] = []


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """A signal handler that raises KeyboardInterrupt, and remembers it if that is swallowed."""
    global _asked
    if _is_echo():
        return
    _asked = True
    # Where nothing can be raised, as while an object is deleted, Python prints a traceback.
    sys.unraisablehook = _report_others
    raise KeyboardInterrupt


def _is_echo() -> bool:
    """Whether a signal follows another so closely that both are one request."""
    global _heard
    now = time.monotonic()
    if now - _heard < BURST:
        return True
    _heard = now
    return False


def _report_others(unraisable: sys.UnraisableHookArgs) -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that end a command by a function inside."""
    before = handle_by(handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def handle_by(handler: Callable[[int, FrameType | None], object]) -> dict[int, Any]:
    """Set the handler of the signals that end a command.

    Under nohup, which ignores SIGHUP, a terminal that is closed ends nothing.

    Returns:
        The former handlers.
    """
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    handled = [number for number in SIGNALS if number != signal.SIGHUP or not nohup]
    return {int(number): signal.signal(number, handler) for number in handled}


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Set back the handlers of these signals that a library replaces inside."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        # Handlers can be set there alone; one that Python did not set is None.
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)


class Interrupt:
    """Whether an interruption was requested.

    Attributes:
        requested (bool): whether such a signal was received.
    """

    def __init__(self) -> None:
        self.requested = _asked


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Record the first signal that ends a command instead of raising; one a second later raises.

    The code inside checks ``requested`` between steps, saves its state and stops.

    Yields:
        Interrupt: whether an interruption was requested.

    Example:
        >>> import os
        >>> with deferred_interrupt() as interrupt:
        ...     os.kill(os.getpid(), signal.SIGINT)
        ...     interrupt.requested
        True
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, frame: FrameType | None) -> None:
        echo, asked = _is_echo(), interrupt.requested
        interrupt.requested = True
        if asked and not echo:
            raise KeyboardInterrupt

    _deferring.append(interrupt)
    try:
        with handled_by(note):
            yield interrupt
    finally:
        _deferring.remove(interrupt)


def is_asked() -> bool:
    """Whether a signal has asked to end, also where it is deferred: nothing is to be waited for.

    Example:
        >>> is_asked()
        False
    """
    return _asked or any(one.requested for one in _deferring)


def interruptible(work: Callable[[], Result]) -> Result:
    """Call a function of a library so that a signal interrupts the wait for it.

    Args:
        work (Callable): the function. After an interruption it goes on in its thread until the
            process ends.

    Example:
        >>> interruptible(lambda: 1 + 1)
        2
    """
    ended: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def call() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:
            ended.put((None, error))

    threading.Thread(target=call, daemon=True).start()
    result, error = ended.get()
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
