from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from spos.report import result_tables


def printed(result: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in result_tables(result):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_architectures_of_20_blocks_fit_80_columns(make: Callable[..., Any]) -> None:
    run = make()
    text = printed(run.result)
    for row in (*run.result["top"], *run.result["comparison"]["networks"]):
        assert row["architecture"] in text
    assert "crossover" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_long_architectures_fold_and_lose_nothing(make: Callable[..., Any]) -> None:
    run = make(depths=(40,), count=20, networks=1)
    lines = printed(run.result).splitlines()
    assert max(map(len, lines)) <= 80
    column = next(line for line in lines if "one-shot" in line and "iter" in line)
    start = column.index("architecture")
    begin = lines.index(column) + 2
    end = next(n for n in range(begin, len(lines)) if not lines[n].strip())
    parts = [line[start:].split()[0] for line in lines[begin:end]]
    assert "".join(parts) == "".join(row["architecture"] for row in run.result["top"])


def test_everything_found_is_there(run: Any) -> None:
    text = printed(run.result)
    for words in ("Network found", "Best candidates", "Against random networks", "Wall time"):
        assert words in text
    assert "95.3%" in text
    assert "12 min 30 s" in text
    assert "…" not in text


@pytest.mark.parametrize("missing", [("comparison",), ("comparison", "retrain", "winner", "top")])
def test_stages_not_done_are_left_out(run: Any, missing: tuple[str, ...]) -> None:
    for name in missing:
        run.result[name] = None
    text = printed(run.result)
    assert "Against random networks" not in text
    assert "None" not in text


def test_names_are_no_markup(run: Any) -> None:
    run.result["comparison"]["networks"][0]["name"] = "[red]x[/nothing]"
    assert "[red]x[/nothing]" in printed(run.result, 120)
