"""Theta over the course of a training, recorded among the metrics of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos.run.directory import RunDirectory

#: Value of ``stage`` in the lines of ``metrics.jsonl`` about theta.
STAGE = "theta"


class ThetaRecorder:
    """A writer of theta records to the metrics of a run.

    After a resumption, earlier records of steps that are repeated are dropped first.

    Args:
        directory (RunDirectory): directory of the run.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._rewound = False

    def __call__(self, values: Mapping[str, Any]) -> None:
        """Append a record.

        Args:
            values (Mapping): record with at least the key ``step``.
        """
        if not self._rewound:
            self._directory.rewind_metrics(STAGE, values["step"] - 1)
            self._rewound = True
        self._directory.record({"stage": STAGE, **values})
