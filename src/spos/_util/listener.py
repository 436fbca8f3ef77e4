"""Messages and progress of a run."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Receives messages and progress. Must be picklable: worker processes call it too."""

    def message(self, text: str) -> None:
        """Receive a message for the user."""

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        """Receive the progress of a stage.

        Args:
            stage (str): name of the stage, such as ``"train"``.
            done (int): steps or candidates done.
            total (int): their total number.
            detail (str): current figures, such as ``"loss 1.23"``.
        """


class Silent:
    """A listener that ignores everything."""

    def message(self, text: str) -> None: ...

    def progress(self, stage: str, done: int, total: int, detail: str) -> None: ...
