"""What a program that shows the curves of a run is, and which there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from spos._util.libraries import require_library
from spos._util.registry import Registry


@dataclass(frozen=True)
class Point:
    """What was recorded of a stage after a step.

    Args:
        stage (str): name of the stage, such as ``"train"``.
        step (int): number of the step, at least 1.
        values (Mapping[str, float]): what was recorded, by name.
    """

    stage: str
    step: int
    values: Mapping[str, float]

    @property
    def named(self) -> dict[str, float]:
        """The values, with the name of the stage in theirs.

        Example:
            >>> Point("train", 3, {"loss": 0.5}).named
            {'train/loss': 0.5}
        """
        return {f"{self.stage}/{name}": value for name, value in self.values.items()}


class Logger(ABC):
    """A run in a program that shows curves: begun anew, or gone on with after an interruption.

    A logger is made when work begins, and may be used by another thread than the one that made it.

    Args:
        path (Path): run directory.
        identity (str): name of the run, which no other has.

    Raises:
        UserError: the program refuses the run.
    """

    #: Modules that it imports and spos does not depend on.
    needs: ClassVar[tuple[str, ...]] = ()
    #: Extra of spos that installs them.
    extra: ClassVar[str] = ""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    @classmethod
    def check(cls) -> None:
        """Check before any work that the program can be used.

        Raises:
            UserError: it is not installed, or cannot be reached.
        """
        for module in cls.needs:
            require_library(module, cls.extra, f"--logger {cls.extra}")

    @abstractmethod
    def steps(self) -> Mapping[str, int]:
        """The last step of each stage that it has, so that no point is given twice."""

    @abstractmethod
    def log(self, points: Sequence[Point]) -> None:
        """Add points, in the order of their steps."""

    def settings(self, values: Mapping[str, str]) -> None:
        """Set the settings of the run, by name; called again with more as stages begin."""
        return

    def conclude(self, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        """Set what came of the run: numbers by name, and files."""
        return

    def close(self, *, finished: bool) -> None:
        """End: the run is finished, or is interrupted and may be gone on with."""
        return


#: Loggers by name.
LOGGERS: Registry[type[Logger]] = Registry("logger", "spos.run.loggers", "spos.loggers")
