"""How the network found is used: commands and settings to copy."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from spos.report.result import Result

#: Data source and preset of what the user gave in Python: a command line cannot load either.
OWN_IMAGES, OWN_MODEL = "dataset", "own"


@dataclass(frozen=True)
class Usage:
    """Text to copy.

    Args:
        commands (str): shell commands; empty where there are none.
        python (str): lines of Python.
        own (bool): whether the network can only be exported in Python, with the user's own images
            or model.
        architecture (str): the architecture, and its published notation if it has one.
        settings (str): text of ``config.yaml``.
    """

    commands: str
    python: str
    own: bool
    architecture: str
    settings: str


def collect_usage(result: Result, run: str, settings: str) -> Usage | None:
    """Write the commands that use the network of a run.

    Args:
        result (Result): result of the run.
        run (str): path of the run directory.
        settings (str): text of its ``config.yaml``.

    Returns:
        The texts; None while there is no trained network, or where the directory is not known.
    """
    network = result.winner or result.network
    if result.retrain is None or network is None or not run:
        return None
    own = result.data.source == OWN_IMAGES or result.space.preset == OWN_MODEL
    classifies, file = result.metric.top1, f"{run.rstrip('/')}/network.onnx"
    commands = [] if own else [f"spos export {shlex.quote(run)}"]
    if classifies:
        commands.append(f"spos predict {shlex.quote(file if own else run)} photo.jpg")
    if own or not classifies:
        python = [
            "from pathlib import Path",
            "from spos.export import export_run",
            f"export_run(Path({_quoted(run)}){', load=load' if own else ''})",
        ]
    else:
        python = [
            "from pathlib import Path",
            "from spos.export import open_classifier",
            f'print(open_classifier(Path({_quoted(file)})).classify([Path("photo.jpg")]))',
        ]
    winner = result.winner
    named = result.network.name if result.network else ""
    lines = [str(winner.architecture), winner.notation or ""] if winner else [named]
    return Usage(
        commands="\n".join(commands),
        python="\n".join(python),
        own=own,
        architecture="\n".join(filter(None, lines)),
        settings=settings.strip(),
    )


def _quoted(text: str) -> str:
    """Text as a literal of Python.

    Example:
        >>> print(_quoted("runs/café"))
        "runs/café"
    """
    return json.dumps(text, ensure_ascii=False)
