"""A table of all points, ``metrics.csv`` in the run directory."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spos._util.files import write_atomically
from spos.run.logger import LOGGERS, Logger, Point


@LOGGERS.register("csv")
class CsvLogger(Logger):
    """A row for each point, and a column for each value that any point has.

    It is written anew each time, since a later stage may have values of other names.
    """

    def __init__(self, path: Path, identity: str) -> None:
        super().__init__(path, identity)
        self._table = path / "metrics.csv"
        self._rows: list[dict[str, Any]] = []
        if self._table.exists():
            with self._table.open(newline="", encoding="utf-8") as file:
                self._rows = [row for row in csv.DictReader(file) if _step(row)]

    def steps(self) -> Mapping[str, int]:
        last: dict[str, int] = {}
        for row in self._rows:
            last[row["stage"]] = max(_step(row), last.get(row["stage"], 0))
        return last

    def log(self, points: Sequence[Point]) -> None:
        self._rows += [{"stage": one.stage, "step": one.step, **one.values} for one in points]
        columns = dict.fromkeys(name for row in self._rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self._table, text.getvalue())


def _step(row: Mapping[str, Any]) -> int:
    """The step of a row; 0 for a row that is none of ours."""
    text = str(row.get("step"))
    return int(text) if row.get("stage") and text.isascii() and text.isdigit() else 0
