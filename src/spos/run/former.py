"""Settings of runs that earlier versions began, as those of this version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spos._util.errors import UserError

#: Former settings of the section ``retrain``, each with the value that had no effect.
REMOVED_RETRAIN_SETTINGS = {"paths": 1, "widening_steps": 0}


def upgrade_settings(sections: dict[str, dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    """Convert stored settings of earlier versions; those that no longer exist had no effect.

    Args:
        sections (dict): settings by section, which are changed.
        path (Path): run directory.

    Raises:
        UserError: a setting that no longer exists had an effect.
    """
    if "search" in sections and any((path / name).exists() for name in ("search.json", "study.db")):
        # Searches from before there was a choice compared candidates by the metric.
        sections["search"].setdefault("fitness", "metric")
    for name, idle in REMOVED_RETRAIN_SETTINGS.items():
        value = sections.get("retrain", {}).pop(name, idle)
        if value != idle:
            raise UserError(
                f"{path} was made with retrain.{name} {value}, which is no longer a setting: a "
                "plain network has no paths; give another --out"
            )
    return sections
