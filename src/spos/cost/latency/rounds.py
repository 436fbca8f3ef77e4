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
from pydantic import FiniteFloat

from spos._util.errors import UserError, as_whole
from spos._util.files import read_own, write_json
from spos._util.interrupt import SAVED, deferred_interrupt
from spos._util.listener import Listener
from spos._util.records import from_plain, to_plain
from spos.cost.latency.backend import Sampler

#: Seconds between two saves of the samples.
SAVE_EVERY = 2.0


@dataclass
class Samples:
    """The samples of items by their names, as they are saved.

    Args:
        conditions (dict[str, Any]): settings that they were taken with.
        samples (dict[str, list[tuple[float, ...]]]): the times of the steps of an item in each
            round, in nanoseconds.
        runs (dict[str, int]): runs of an item over all rounds.
    """

    conditions: dict[str, Any]
    samples: dict[str, list[tuple[FiniteFloat, ...]]]
    runs: dict[str, int]

    def whole(self, name: str) -> list[float]:
        """Sum over the steps of an item for each round, in nanoseconds."""
        return [sum(times) for times in self.samples[name]]

    def save(self, path: Path | None) -> None:
        """Save them to a file, if there is one, and note when."""
        if path is not None:
            write_json(path, to_plain(self))
        self.saved = time.monotonic()


def median(values: Sequence[float]) -> int:
    """Return the median as an integer.

    Example:
        >>> median([1.0, 2.5, 9.0])
        2
    """
    return round(float(np.median(values)))


def spread(values: Sequence[float]) -> int:
    """Return the interquartile range as an integer.

    Example:
        >>> spread([10.0, 20.0, 30.0, 40.0, 50.0])
        20
    """
    lower, upper = np.percentile(values, (25, 75))
    return round(float(upper - lower))


def sample_rounds(
    items: Mapping[str, Callable[[], Sampler]],
    rounds: int,
    listener: Listener,
    partial: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Samples:
    """Take samples of several items in rounds.

    Args:
        items (Mapping[str, Callable[[], Sampler]]): for each item by name, a function that
            prepares it and returns its sampler.
        rounds (int): samples of each item, at least 1.
        listener (Listener): receiver of progress reports.
        partial (Path | None): file in which samples are saved and from which they are resumed; None
            saves nothing.
        settings (Mapping[str, Any] | None): settings of the measurement in JSON types; a file with
            other settings is refused.
        seed (int): seed of the random orders.

    Raises:
        UserError: the file is damaged or belongs to a different measurement.
        KeyboardInterrupt: the measurement was interrupted; the samples so far are saved.
    """
    rounds = as_whole(rounds, "--rounds", 1)
    conditions = {**(settings or {}), "rounds": rounds}
    taken = Samples(conditions, {name: [] for name in items}, dict.fromkeys(items, 0))
    if partial is not None and partial.exists():
        _restore(taken, partial)
    # Save at once, so that a file that cannot be written is reported before the measurement.
    taken.save(partial)
    random, names = np.random.default_rng(seed), list(items)
    orders = [random.permutation(len(names)) for _ in range(rounds)]
    # Preparing an item may take seconds, for an export or a compilation.
    samplers: dict[str, Sampler] = {}
    waiting = [name for name in names if len(taken.samples[name]) < rounds]
    with deferred_interrupt() as interrupt:

        def save_if_interrupted() -> None:
            if interrupt.requested:
                taken.save(partial)
                raise KeyboardInterrupt("" if partial is None else SAVED)

        begin = time.monotonic()
        for number, name in enumerate(waiting, 1):
            samplers[name] = items[name]()
            listener.progress("prepare", number, len(waiting), _rate(number, begin))
            save_if_interrupted()
        before, total = sum(map(len, taken.samples.values())), rounds * len(names)
        begin = time.monotonic()
        due = [(turn, names[place]) for turn, order in enumerate(orders) for place in order]
        due = [(turn, name) for turn, name in due if len(taken.samples[name]) <= turn]
        for number, (turn, name) in enumerate(due, 1):
            sample = samplers[name]()
            taken.samples[name].append(sample.nanoseconds)
            taken.runs[name] += sample.runs
            if time.monotonic() - taken.saved >= SAVE_EVERY:
                taken.save(partial)
            detail = f"round {turn + 1} {_rate(number, begin)}"
            listener.progress("measure", before + number, total, detail)
            save_if_interrupted()
    taken.save(partial)
    return taken


def _rate(count: int, begin: float) -> str:
    return f"{count / max(time.monotonic() - begin, 1e-9):.1f}/s"


def _restore(taken: Samples, path: Path) -> None:
    advice = "delete it to restart the measurement"
    stored = from_plain(Samples, read_own(path, advice), str(path), advice)
    for name, here in taken.conditions.items():
        there = stored.conditions.get(name)
        if there != here:
            raise UserError(
                f"{path} is of a measurement that was interrupted, with another {name}: {there} "
                f"there, {here} here; rerun its command to resume, or delete the file"
            )
    for name, times in stored.samples.items():
        if name not in taken.samples or len(set(map(len, times))) > 1:
            raise UserError(f"{path} is damaged (samples of {name}): {advice}")
    taken.samples |= stored.samples
    taken.runs |= stored.runs
