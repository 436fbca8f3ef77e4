"""What a run tells whoever is watching it."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Told of the progress of a run. It must survive pickling: worker processes tell it too."""

    def message(self, text: str) -> None:
        """Something that the user should know."""

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        """How far a stage is.

        Args:
            stage: such as "train".
            done: steps or candidates done.
            total: of how many.
            detail: the figures of the moment, such as "loss 1.23".
        """


class Silent:
    """A listener that does nothing."""

    def message(self, text: str) -> None: ...

    def progress(self, stage: str, done: int, total: int, detail: str) -> None: ...
