"""A run: its settings, its directory, its stages, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.run.diagnosis import doctor
    from spos.run.directory import RunDirectory
    from spos.run.pipeline import run
    from spos.run.task import Task

__all__ = ["RunDirectory", "Task", "doctor", "run"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__)
