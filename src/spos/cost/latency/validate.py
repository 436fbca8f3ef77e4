"""Validation of latency tables against measurements of whole networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spos._util.errors import UserError, as_whole
from spos._util.files import as_path
from spos._util.listener import Listener
from spos._util.records import to_plain
from spos.cost import CostTable
from spos.cost.latency.agreement import Agreement, Values, agreement, fit_line, left_out
from spos.cost.latency.backend import Sampler, check_runtime, make_backend
from spos.cost.latency.measure import CALIBRATION, MakeBackend, Measurement, calibrate, random_like
from spos.cost.latency.plan import network_of
from spos.cost.latency.record import Fit, as_stored
from spos.cost.latency.rounds import median, spread
from spos.cost.latency.table import LatencyTable
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Fewest networks that a fit is judged on.
LEAST_NETWORKS = 4
#: Samples of each network; even, so that they can be split into two halves.
ROUNDS = 20


@dataclass(frozen=True)
class TimedNetwork:
    """Measured and predicted latency of one network, in nanoseconds.

    Args:
        architecture (str): option indices joined by commas.
        measured (int): median of the measured latency.
        spread (int): interquartile range over the rounds.
        predicted (int): prediction of the table as it stands.
        fitted (int): prediction of the table with a fit to all other networks.
    """

    architecture: str
    measured: int
    spread: int
    predicted: int
    fitted: int


@dataclass(frozen=True)
class ValidatedTable:
    """Result of the validation of a latency table.

    Args:
        table (LatencyTable): table as it stands.
        fit (Fit): fit to all measured networks.
        networks (tuple[TimedNetwork, ...]): measured networks.
        before (Agreement): agreement of the table as it stands.
        after (Agreement): agreement of the table with a fit, where each network is predicted from a
            fit to all others.
        noise (Agreement): agreement of one half of the rounds with the other; no prediction is
            expected to do better.
        date (str): time of the validation, ISO 8601.
    """

    table: LatencyTable
    fit: Fit
    networks: tuple[TimedNetwork, ...]
    before: Agreement
    after: Agreement
    noise: Agreement
    date: str

    def as_stored(self) -> dict[str, Any]:
        """Convert the validation to JSON types."""
        table = as_stored(vars(self.table))
        del table["parts"], table["kind"]
        found = {name: value for name, value in vars(self).items() if name != "table"}
        return {"kind": "spos latency validation", "of": table, "unit": "ns", **to_plain(found)}


def validate(
    table: LatencyTable,
    supernet: Supernet,
    out: str | Path | None = None,
    *,
    networks: int = 50,
    seed: int = 0,
    rounds: int = ROUNDS,
    listener: Listener | None = None,
    make: MakeBackend = make_backend,
) -> ValidatedTable:
    """Measure random networks on this device and compare them with the predictions of a table.

    Args:
        table (LatencyTable): table measured on this device.
        supernet (Supernet): supernet of the table.
        out (str | Path | None): file to write; intermediate results are saved to FILE.partial
            beside it. None does not write a file.
        networks (int): number of distinct networks, at least 4.
        seed (int): seed of the random networks.
        rounds (int): samples of each network, even.
        listener (Listener | None): receiver of progress reports.
        make (MakeBackend): function that creates the backend from a runtime and a folder for
            exported graphs.

    Raises:
        UserError: the table is of another device or supernet, or too few networks are asked for.
    """
    out = None if out is None else as_path(out, "out")
    networks, rounds = as_whole(networks, "--networks"), as_whole(rounds, "--rounds")
    seed = as_whole(seed, "--seed", most=10**18)
    if networks < LEAST_NETWORKS:
        raise UserError(f"--networks {networks}: must be at least {LEAST_NETWORKS}, better 50")
    if rounds < 2 or rounds % 2:
        raise UserError(f"--rounds {rounds}: must be even and at least 2, for two halves")
    there = table.runtime
    table.check_device("", "validate it on the device that it was measured on")
    runtime = check_runtime(
        there.backend, there.accelerator, there.threads, there.batch, there.channels_last
    )
    measurement = Measurement(runtime, out, make)
    drawn = draw(supernet, networks, seed)
    unfitted = dataclasses.replace(table, fit=Fit())
    now, parts = predictions(table, supernet, drawn), predictions(unfitted, supernet, drawn)
    computing = predictions(dataclasses.replace(table, fit=Fit(0, 1)), supernet, drawn) - parts
    same = ("space", "preset", "layout", "input_shape", "outputs")
    facts = {**{name: getattr(table, name) for name in same}, "networks": networks, "seed": seed}

    def prepare(architecture: Architecture) -> Sampler:
        network = supernet.extract(architecture)
        image = torch.empty(1, *supernet.input_shape, device="meta")
        calibrate(network, random_like(image, CALIBRATION))
        value = random_like(image, runtime.batch)
        loaded = measurement.backend.load(network_of(network), value)
        return measurement.backend.sampler([loaded], value)

    items = {str(network): partial(prepare, network) for network in drawn}
    samples = measurement.sample(items, rounds, listener, supernet, facts, seed)
    whole = np.array([samples.whole(name) for name in items])
    measured = np.array([median(times) for times in whole], dtype=float)
    fit = Fit(*fit_line(parts, computing, measured), len(measured))
    fitted = left_out(parts, computing, measured)
    rows = [
        TimedNetwork(name, median(times), spread(times), int(now[n]), int(fitted[n]))
        for n, (name, times) in enumerate(zip(items, whole, strict=True))
    ]
    result = ValidatedTable(
        table,
        fit,
        tuple(rows),
        agreement(now, measured),
        agreement(fitted, measured),
        agreement(np.median(whole[:, ::2], axis=1), np.median(whole[:, 1::2], axis=1)),
        measurement.date(),
    )
    measurement.finish(result.as_stored())
    return result


def draw(supernet: Supernet, count: int, seed: int) -> list[Architecture]:
    """Sample distinct random architectures.

    Raises:
        UserError: the space has fewer architectures.
    """
    space, random = supernet.space, np.random.default_rng(seed)
    if space.size < count:
        raise UserError(f"--networks {count}: the space has {space.size}")
    drawn: dict[Architecture, None] = {}
    while len(drawn) < count:
        drawn[space.sample(random)] = None
    return list(drawn)


def predictions(
    table: LatencyTable, supernet: Supernet, networks: Sequence[Architecture]
) -> Values:
    """Return the predicted latencies of networks, in nanoseconds."""
    costs = CostTable(supernet, eager=False, counter=table.counter(supernet))
    return np.array([costs.cost(network)["latency"] for network in networks], dtype=float)
