"""The tables of a result for the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from spos.report import render, result_tables
from spos.report.result import NamedNetwork, Result

from .conftest import Run


def printed(result: Result, width: int = 80) -> str:
    file = io.StringIO()
    for table in result_tables(result):
        Console(file=file, width=width).print(table)
    return file.getvalue()


def test_the_architectures_of_20_blocks_fit_80_columns(make: Callable[..., Run]) -> None:
    run = make()
    text = printed(run.result)
    assert run.result.comparison
    for row in (*run.result.top, *run.result.comparison.networks):
        assert str(row.architecture) in text
    assert "crossover" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_headings_of_several_words_leave_room_for_architectures(make: Callable[..., Run]) -> None:
    run = make(depths=(12,))
    measure = replace(run.result.one_shot, name="loss with NASWOT")
    top = tuple(replace(one, metric_score=0.25) for one in run.result.top)
    text = printed(run.change(fitness=measure, top=top).result)
    assert max(len(line) for line in text.splitlines()) <= 80
    rows = [line for line in text.splitlines() if str(top[0].architecture) in line]
    assert any(line.endswith(top[0].origin) or top[0].origin in line for line in rows)
    assert " ".join(text.split()).count("NASWOT") >= 2


def test_a_table_that_is_too_wide_by_little_has_narrow_headings(make: Callable[..., Run]) -> None:
    run = make(depths=(8,))
    measure = replace(run.result.one_shot, name="loss")
    top = tuple(replace(one, metric_score=0.25) for one in run.result.top)
    text = printed(run.change(fitness=measure, top=top).result)
    assert max(len(line) for line in text.splitlines()) <= 80
    for row in top:
        assert str(row.architecture) in text


def test_long_architectures_fold_and_lose_nothing(make: Callable[..., Run]) -> None:
    run = make(depths=(40,), count=20, networks=1)
    lines = printed(run.result).splitlines()
    assert max(map(len, lines)) <= 80
    column = next(line for line in lines if "architecture" in line and "iter" in line)
    start = column.index("architecture")
    begin = lines.index(column) + 2
    end = next(n for n in range(begin, len(lines)) if not lines[n].strip())
    parts = [line[start:].split()[0] for line in lines[begin:end]]
    assert "".join(parts) == "".join(str(row.architecture) for row in run.result.top)


def test_everything_found_is_there(run: Run) -> None:
    text = printed(run.result)
    for words in (
        "Network found",
        "Best candidates",
        "Against random networks",
        "Supernet training",
    ):
        assert words in text
    assert "95.3%" in text
    assert "12 min 30 s" in text
    assert "…" not in text


@pytest.mark.parametrize("missing", [("comparison",), ("comparison", "retrain", "winner", "top")])
def test_stages_not_done_are_left_out(run: Run, missing: tuple[str, ...]) -> None:
    unfinished = run.change(**{name: () if name == "top" else None for name in missing})
    text = printed(unfinished.result)
    assert "Against random networks" not in text
    assert "None" not in text


def test_names_are_not_markup(run: Run) -> None:
    assert run.result.comparison
    first, *others = run.result.comparison.networks
    named = replace(first, name="[red]x[/nothing]")
    compared = replace(run.result.comparison, networks=(named, *others))
    assert "[red]x[/nothing]" in printed(run.change(comparison=compared).result, 120)


def test_a_published_network_is_shown_with_all_its_costs(run: Run) -> None:
    network = NamedNetwork("SPOS", {"flops": 328_000, "params": 3_400, "bitops": 9_000})
    trained = run.change(network=network, winner=None, search=None, top=(), comparison=None)
    text = printed(trained.result)
    assert "Network trained" in text and "SPOS" in text and "95.3%" in text
    assert "bit operations" in text and "one-shot" not in text


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("k5_e3", "kernels of 5x5 pixels, which has 3 times as many channels inside"),
        ("mb6_k3", "kernels of 3x3 pixels, which has 6 times as many channels inside"),
        ("shuffle3x3", ""),
    ],
)
def test_the_choices_of_a_network_are_said_in_words(run: Run, option: str, told: str) -> None:
    winner = run.result.winner
    assert winner
    names = {**winner.names, next(iter(winner.names)): option}
    choices = list(run.result.space.choices)
    # As where the first block of a stage cannot be skipped.
    choices[-1] = replace(choices[-1], options=("skip", *choices[-1].options))
    space = replace(run.result.space, choices=tuple(choices))
    named = run.change(winner=replace(winner, names=names), space=space)
    text = " ".join(printed(named.result).split())
    assert f"choices, counted from 0; here {option}, " in text
    assert (f"{option} is a block with {told}" in text) == bool(told)
    assert told in render(*named.arguments)
    unnamed = named.change(winner=replace(winner, names={}))
    assert "choices, counted from 0." in printed(unnamed.result)


def test_standard_errors_and_the_notation_are_explained(make: Callable[..., Run]) -> None:
    run = make(depths=(2, 2))
    text = " ".join(printed(run.result, width=120).split())
    data = run.result.data
    assert data.test
    score = run.result.test_score or 0.0
    error = (score * (1 - score) / data.test) ** 0.5
    assert f"± {100 * error:.1f}" in text
    assert "has a standard error of about" in text
    assert "One-shot scores use the weights of the supernet" in text
    first = run.result.space.choices[0].options[0]
    assert f"one option for each of 4 layers (0 {first}" in text


def test_without_a_number_of_test_images_there_are_no_errors(make: Callable[..., Run]) -> None:
    run = make()
    untold = replace(run.result, data=replace(run.result.data, test=None))
    assert "s.e." not in printed(untold) and "standard error" not in printed(untold)
