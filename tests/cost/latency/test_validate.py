"""Validation: the errors of a table, its fit, and the noise, with a clock that is made up."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clockwork import Clock
from hypothesis import given
from hypothesis import strategies as st

from spos._cli.latency_summary import summary_table, validation_table
from spos._util.errors import UserError
from spos.cost import CostTable
from spos.cost.latency import measure_latency, validate
from spos.cost.latency.agreement import agreement, fit_line, left_out
from spos.nn.supernet import Supernet
from spos.report.latency import validation_page


def test_what_networks_take_beside_their_parts_is_found(tmp_path: Path, supernet: Supernet):
    table = measure_latency(supernet, rounds=1, make=Clock())
    clock = Clock(once=5000, each=-300)
    out = tmp_path / "v.json"
    result = validate(table, supernet, out, networks=20, rounds=2, make=clock)
    assert (result.fit.intercept, result.fit.boundary, result.fit.networks) == (5000, -300, 20)
    assert result.after.error == 0 and result.after.spearman == pytest.approx(1)
    assert result.before.error > 0.01 and result.before.bias == -result.before.error
    assert (result.before.networks, result.after.networks) == (20, 20)
    assert result.noise.error == 0
    fitted = dataclasses.replace(table, fit=result.fit)
    costs = CostTable(supernet, counter=fitted.counter(supernet))
    assert len(result.networks) == len({network.architecture for network in result.networks})
    for network in result.networks:
        architecture = [int(option) for option in network.architecture.split(",")]
        assert costs.cost(architecture)["latency"] == network.measured == network.fitted
    stored = json.loads(out.read_text())
    assert stored["fit"] == {"intercept": 5000, "boundary": -300, "networks": 20}
    assert stored["of"]["batch"] == 1 and "parts" not in stored["of"]
    assert len(stored["networks"]) == 20 and stored["after"]["error"] == 0
    # The table that is fitted predicts as it stands, and the fit is found again.
    again = validate(fitted, supernet, networks=20, rounds=2, make=clock)
    assert again.before.error == 0 and again.fit == result.fit


def test_the_noise_is_what_the_halves_of_the_rounds_differ_by(supernet: Supernet):
    table = measure_latency(supernet, rounds=1, make=Clock())
    # An odd number of networks, so that each of them has the drift in every second round.
    result = validate(table, supernet, networks=9, rounds=4, make=Clock(drift=9e5))
    assert result.noise.error > 0.05
    assert result.before.bias < 0


def test_a_validation_resumes(tmp_path: Path, supernet: Supernet):
    table = measure_latency(supernet, rounds=1, make=Clock())
    clock = Clock()
    clock.before_sample = lambda: clock.sampled == 7 and os.kill(os.getpid(), signal.SIGINT)
    out = tmp_path / "v.json"
    with pytest.raises(KeyboardInterrupt):
        validate(table, supernet, out, networks=6, rounds=2, make=clock)
    with pytest.raises(UserError, match="with another seed: 0 there, 1 here"):
        validate(table, supernet, out, networks=6, rounds=2, seed=1, make=Clock())
    again = Clock()
    validate(table, supernet, out, networks=6, rounds=2, make=again)
    assert again.sampled == 12 - 8
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


def test_what_cannot_be_validated(supernet: Supernet):
    table = measure_latency(supernet, rounds=1, make=Clock())
    for arguments, told in [
        ({"networks": 3}, "--networks 3: must be at least 4"),
        ({"networks": 37, "rounds": 2}, "--networks 37: the space has 36"),
        ({"rounds": 3}, "--rounds 3: must be even"),
    ]:
        with pytest.raises(UserError, match=told):
            validate(table, supernet, make=Clock(), **arguments)
    runtime = dataclasses.replace(table.runtime, device="Cortex-A72")
    with pytest.raises(UserError, match="'Cortex-A72', and this machine has"):
        validate(dataclasses.replace(table, runtime=runtime), supernet, make=Clock())


def rows_of_a_chart(spec: Any) -> list[dict[str, Any]]:
    """All rows of data in a specification."""
    if isinstance(spec, list):
        return [row for part in spec for row in rows_of_a_chart(part)]
    if not isinstance(spec, dict):
        return []
    own = spec["data"].get("values", []) if isinstance(spec.get("data"), dict) else []
    return [*own, *(row for part in spec.values() for row in rows_of_a_chart(part))]


def test_the_page_and_the_tables(supernet: Supernet):
    table = measure_latency(supernet, rounds=1, make=Clock())
    result = validate(table, supernet, networks=10, rounds=2, make=Clock(once=5000))
    page = validation_page(result)
    text = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert text is not None
    kinds = [row["kind"] for row in rows_of_a_chart(json.loads(text[1])) if "kind" in row]
    assert kinds.count("the table as it stands") == 10
    assert kinds.count("corrected, by a fit to the others") == 10
    assert validation_table(result).row_count == 3
    # The first layer, those alike, the last one, and pooling, flattening and the classifier.
    assert summary_table(table, supernet).row_count == 4


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=20), st.floats(0.5, 2))
def test_a_factor_is_all_bias_and_leaves_the_order(measured: list[float], factor: float):
    values = np.array(measured)
    compared = agreement(values * factor, values)
    assert compared.error == pytest.approx(abs(factor - 1), abs=1e-9)
    assert compared.bias == pytest.approx(factor - 1, abs=1e-9)
    assert compared.spearman is None or compared.spearman == pytest.approx(1)


def test_a_fit_where_all_networks_have_as_many_parts():
    parts, computing = np.array([100.0, 200.0, 300.0]), np.array([4.0, 4.0, 4.0])
    assert fit_line(parts, computing, parts + 40) == (40, 0)


@given(st.integers(0, 5), st.floats(0, 1e6))
def test_a_network_has_no_part_in_the_fit_that_it_is_judged_by(place: int, changed: float):
    parts = np.array([100.0, 250.0, 300.0, 420.0, 500.0, 610.0])
    computing = np.array([2.0, 4.0, 3.0, 5.0, 6.0, 6.0])
    measured = parts + 40 - 3 * computing
    other = measured.copy()
    other[place] = changed
    before, after = (left_out(parts, computing, m)[place] for m in (measured, other))
    assert before == after == pytest.approx(measured[place], abs=4)
