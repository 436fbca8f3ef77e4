"""Theta over the training, written beside the training's own curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos.run.directory import RunDirectory

#: What the lines of ``metrics.jsonl`` about theta are called.
STAGE = "theta"


class ThetaRecorder:
    """Writes records of theta to the metrics of a run.

    What an earlier sitting recorded of steps that are done again is dropped first.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._rewound = False

    def __call__(self, values: Mapping[str, Any]) -> None:
        """Append a record.

        Args:
            values: at least the ``step``.
        """
        if not self._rewound:
            self._directory.rewind_metrics(STAGE, values["step"] - 1)
            self._rewound = True
        self._directory.record({"stage": STAGE, **values})
