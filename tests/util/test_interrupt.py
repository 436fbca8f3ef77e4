"""Ctrl-C at a moment when the state is whole."""

from __future__ import annotations

import signal
import threading

import pytest

from spos._util.interrupt import deferred_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    with deferred_interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(number)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_the_handlers_are_put_back_whatever_happens():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def work() -> None:
        with deferred_interrupt():
            assert signal.getsignal(signal.SIGINT) is not before[0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


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
