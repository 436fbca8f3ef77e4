"""An interruption in the last moment of a stage."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from test_side_by_side import SETTINGS, outcome

from spos.run import run
from spos.run.side_by_side import ThisProcess


class AtTheEnd:
    """A listener that interrupts when all of a stage is done."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def message(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        if stage == self.stage and done == total:
            signal.raise_signal(signal.SIGINT)


def test_it_is_not_lost(tmp_path: Path) -> None:
    given: dict[str, Any] = {**SETTINGS, "finalists": {"count": 0}}
    for stage, then in (("train", "search.json"), ("search", "retrain.json")):
        with pytest.raises(KeyboardInterrupt, match="the state is saved"):
            run(tmp_path / "run", given, workers=ThisProcess(1), listener=AtTheEnd(stage))
        assert not (tmp_path / "run" / then).exists()
    run(tmp_path / "run", given, workers=ThisProcess(1))
    run(tmp_path / "whole", given, workers=ThisProcess(1))
    for name in ("search.json", "retrain.json"):
        assert outcome(tmp_path / "run", name) == outcome(tmp_path / "whole", name)
