"""Sampling in rounds, which spreads slow changes of a machine's speed evenly.

Every round takes one sample of each item, in a new random order. The samples are saved every few
seconds, so that an interrupted measurement can be resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spos._util.errors import UserError
from spos._util.files import read_own, write_json
from spos._util.interrupt import deferred_interrupt
from spos._util.listener import Listener
from spos.cost.latency.backend import Sampler

#: Seconds between two saves of the samples.
SAVE_EVERY = 2.0


@dataclass(frozen=True)
class Samples:
    """The samples of one item.

    Args:
        nanoseconds (tuple[tuple[float, ...], ...]): for each round, the time of each step in one
            run, in nanoseconds.
        runs (int): number of runs over all rounds.
    """

    nanoseconds: tuple[tuple[float, ...], ...] = ()
    runs: int = 0

    @property
    def whole(self) -> tuple[float, ...]:
        """Sum over the steps for each round, in nanoseconds."""
        return tuple(map(sum, self.nanoseconds))


def median(values: Sequence[float]) -> int:
    """Return the median as an integer.

    Args:
        values (Sequence[float]): times in nanoseconds.

    Example:
        >>> median([1.0, 2.5, 9.0])
        2
    """
    return round(float(np.median(values)))


def spread(values: Sequence[float]) -> int:
    """Return the interquartile range as an integer.

    Args:
        values (Sequence[float]): times in nanoseconds.

    Example:
        >>> spread([10.0, 20.0, 30.0, 40.0, 50.0])
        20
    """
    lower, upper = np.percentile(values, (25, 75))
    return round(float(upper - lower))


def sample_rounds(
    things: Mapping[str, Callable[[], Sampler]],
    rounds: int,
    listener: Listener,
    *,
    partial: Path | None = None,
    conditions: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Samples]:
    """Take samples of several items in rounds.

    Args:
        things (Mapping[str, Callable[[], Sampler]]): for each item by name, a function that
            prepares it and returns its sampler.
        rounds (int): samples of each item, at least 1.
        listener (Listener): receiver of progress reports.
        partial (Path | None): file in which samples are saved and from which they are resumed; None
            saves nothing.
        conditions (Mapping[str, Any] | None): conditions of the measurement in JSON types; a file
            with other conditions is refused.
        seed (int): seed of the random orders.

    Returns:
        The samples by name.

    Raises:
        UserError: the file is damaged or belongs to a different measurement.
        KeyboardInterrupt: the measurement was interrupted; the samples so far are saved.
    """
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: must be a whole number from 1")
    known = _Known(partial, {**(conditions or {}), "rounds": rounds}, things)
    orders = np.random.default_rng(seed)
    order = [orders.permutation(len(things)) for _ in range(rounds)]
    names = list(things)
    # Preparing an item may take seconds, for an export or a compilation.
    samplers: dict[str, Sampler] = {}
    waiting = [name for name in names if known.count(name) < rounds]
    with deferred_interrupt() as interrupt:

        def save_if_interrupted() -> None:
            if interrupt.requested:
                known.save()
                raise KeyboardInterrupt

        rate = _Rate()
        for number, name in enumerate(waiting, 1):
            samplers[name] = things[name]()
            listener.progress("prepare", number, len(waiting), rate.of(number))
            save_if_interrupted()
        done, total, rate = known.total, rounds * len(names), _Rate()
        before = done
        for turn in range(rounds):
            for name in (names[place] for place in order[turn]):
                if known.count(name) > turn:
                    continue
                known.add(name, samplers[name]())
                done += 1
                listener.progress(
                    "measure", done, total, f"round {turn + 1} {rate.of(done - before)}"
                )
                save_if_interrupted()
    known.save()
    return known.samples()


class _Rate:
    def __init__(self) -> None:
        self._begin = time.monotonic()

    def of(self, count: int) -> str:
        return f"{count / max(time.monotonic() - self._begin, 1e-9):.1f}/s"


class _Known:
    """The samples so far, and the file in which they are saved."""

    def __init__(
        self, path: Path | None, conditions: Mapping[str, Any], names: Mapping[str, Any]
    ) -> None:
        self._path, self._conditions = path, dict(conditions)
        self._samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
        self._runs = dict.fromkeys(names, 0)
        if path is not None and path.exists():
            self._restore(path)
        # Save at once, so that a file that cannot be written is reported before the measurement.
        self.save()

    def _restore(self, path: Path) -> None:
        stored = read_own(path, "delete it to restart the measurement")
        there = stored.get("conditions")
        if not isinstance(there, dict):
            raise UserError(f"{path} is damaged: delete it to restart the measurement")
        for name, here in self._conditions.items():
            if there.get(name) != here:
                raise UserError(
                    f"{path} is of a measurement that was interrupted, with another {name}: "
                    f"{there.get(name)} there, {here} here; rerun its command to resume, or delete "
                    "the file"
                )
        try:
            for name, values in stored["samples"].items():
                self._samples[name][:] = [tuple(map(float, steps)) for steps in values]
                self._runs[name] = int(stored["runs"][name])
                if len(set(map(len, self._samples[name]))) > 1 or not np.isfinite(values).all():
                    raise ValueError(name)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged: delete it to restart the measurement") from error

    @property
    def total(self) -> int:
        return sum(map(len, self._samples.values()))

    def count(self, name: str) -> int:
        return len(self._samples[name])

    def add(self, name: str, sample: Any) -> None:
        self._samples[name].append(sample.nanoseconds)
        self._runs[name] += sample.runs
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        self._saved = time.monotonic()
        if self._path is not None:
            content = {
                "conditions": self._conditions,
                "samples": self._samples,
                "runs": self._runs,
            }
            write_json(self._path, content)

    def samples(self) -> dict[str, Samples]:
        return {
            name: Samples(tuple(values), self._runs[name]) for name, values in self._samples.items()
        }
