"""How a benchmark leaves its result: JSON and a table, with machine, versions, command and date."""

from __future__ import annotations

import datetime
import json
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from spos import __version__
from spos._util.files import write_atomically


def circumstances() -> dict[str, Any]:
    """Where, when, and with what a benchmark ran."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return {
        "machine": f"{processor}, {psutil.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            # Not from the metadata of an installation: the source may be on the path alone.
            "spos": __version__,
            **{name: version(name) for name in ("torch", "numpy", "optuna")},
        },
        "command": "python " + shlex.join(sys.argv),
        "date": datetime.date.today().isoformat(),
    }


def write_record(path: Path, title: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Write PATH.json and PATH.md, and print the table.

    Args:
        path: without a suffix.
        title: of the table.
        rows: with the same keys.
        more: anything else to keep in the JSON.
    """
    _write(path, title, table(rows), {"rows": rows, **more})


def write_tables(path: Path, title: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write PATH.json and PATH.md with several tables, and print them.

    Args:
        path: without a suffix.
        title: of the whole.
        tables: the rows of each by its title; a key that a row lacks is left empty.
    """
    lines: list[str] = []
    for name, rows in tables.items():
        if rows:
            lines += [f"## {name}", "", *table(rows), ""]
    _write(path, title, lines[:-1], {"tables": tables})


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of a table whose columns are the keys of its rows."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    return [
        "| " + " | ".join(header) + " |",
        "| " + " | ".join("---" for _ in header) + " |",
        *("| " + " | ".join(str(row.get(key, "")) for key in header) + " |" for row in rows),
    ]


def _write(path: Path, title: str, body: list[str], content: dict[str, Any]) -> None:
    where = circumstances()
    lines = [
        f"# {title}",
        "",
        f"{where['machine']}; GPU: {where['gpu']}; {where['threads']} thread(s); "
        + ", ".join(f"{name} {number}" for name, number in where["versions"].items()),
        "",
        f"`{where['command']}`, {where['date']}",
        "",
        *body,
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"title": title, **where, **content}
    write_atomically(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    write_atomically(path.with_suffix(".md"), "\n".join(lines))
    print("\n".join(lines))
