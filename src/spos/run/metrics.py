"""The metrics of a run: a file with a line for each record, to which lines are appended."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.files import parse_json, read_text, write_atomically
from spos.report.resources import EVALUATION


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all metrics; a line that is damaged, or truncated by a kill, is skipped.

    Args:
        path (Path): file of the metrics, which may be missing.

    Raises:
        UserError: it is no file, or too large.
    """
    if not path.exists():
        return []
    try:
        text = read_text(path, "replace")
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}): restore or delete it") from None
    lines = []
    for line in text.splitlines():
        with suppress(ValueError):
            lines.append(parse_json(line))
    return list(filter(_is_metric, lines))


def rewind_metrics(path: Path, stage: str, step: int) -> None:
    """Drop the metrics that a stage recorded after a step.

    Args:
        path (Path): file of the metrics, which may be missing.
        stage (str): name of the stage of the run.
        step (int): last step whose metrics are kept, at least 0.
    """
    kept = (m for m in read_metrics(path) if m.get("stage") != stage or m.get("step", 0) <= step)
    text = "".join(json.dumps(metric) + "\n" for metric in kept)
    if path.exists() and text != path.read_text(encoding="utf-8", errors="replace"):
        write_atomically(path, text)


def _is_metric(line: Any) -> bool:
    if not isinstance(line, dict) or not isinstance(line.get("stage"), str):
        return False
    counts = ("step", "peak_memory", "stages", "computed", "validation_images")
    whole = all(isinstance(line.get(name, 0), int) for name in counts)
    told = "held_out" in line or "validation_images" not in line
    return whole and told and ("step" in line or line["stage"] == EVALUATION)
