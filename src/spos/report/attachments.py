"""What the page of a run shows besides its result, its candidates and its curves."""

from __future__ import annotations

from dataclasses import dataclass

from spos.report.predictions import Predictions


@dataclass(frozen=True)
class Attachments:
    """What belongs to a run besides its result.

    Args:
        run (str): path of the run directory, as the user gave it; empty if it is not known.
        settings (str): text of its ``config.yaml``.
        predictions (Predictions | None): what its network says of the test images.
        reused (bool): whether its supernet was trained by another run.
    """

    run: str = ""
    settings: str = ""
    predictions: Predictions | None = None
    reused: bool = False
