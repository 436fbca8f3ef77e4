"""Ctrl-C at a moment when the state is whole."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time

import pytest

from spos._util import interrupt as module
from spos._util.interrupt import (
    deferred_interrupt,
    handled_by,
    handlers_kept,
    interruptible,
    raise_interrupt,
)


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """Let time pass: the last signal of a test before is long ago."""
    monkeypatch.setattr(module, "_heard", -math.inf)
    return lambda: setattr(module, "_heard", time.monotonic() - module.BURST)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_noted_and_a_later_one_acts(number, later):
    with deferred_interrupt() as interrupt:
        assert not interrupt.requested
        for _ in range(3):
            # Several at once, such as of a terminal and of timeout, are one request.
            signal.raise_signal(number)
            assert interrupt.requested
        later()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_signals_in_a_row_interrupt_once(later, monkeypatch):
    monkeypatch.setattr(module, "_asked", False)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    with handled_by(raise_interrupt):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        for number in module.SIGNALS:
            signal.raise_signal(number)
        later()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_library_does_not_replace_handlers():
    def handler(*_: object) -> None: ...

    with handled_by(handler):
        with handlers_kept():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is handler


def test_a_closed_terminal_does_nothing_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred_interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_are_put_back_whatever_happens():
    before = [signal.getsignal(number) for number in module.SIGNALS]

    def work() -> None:
        with deferred_interrupt():
            assert signal.getsignal(signal.SIGINT) is not before[0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert [signal.getsignal(number) for number in module.SIGNALS] == before


def test_an_interrupt_that_is_swallowed_is_remembered_and_prints_nothing(monkeypatch, capfd):
    monkeypatch.setattr(module, "_asked", False)
    # Not that of pytest: a command has that of Python.
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

    class Connection:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with handled_by(raise_interrupt):
        Connection()
    with deferred_interrupt() as interrupt:
        assert interrupt.requested
    assert capfd.readouterr() == ("", "")


def test_in_another_thread_nothing_is_handled():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with deferred_interrupt() as interrupt:
            seen.append((interrupt.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_what_a_library_does_not_end_is_interrupted():
    def ring(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            # Nobody sets it; a wait without an end.
            interruptible(threading.Event().wait)
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)
