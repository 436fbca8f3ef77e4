"""``spos`` and ``python -m spos``: how the process of a command begins."""

from __future__ import annotations

import os
import signal


def entry() -> None:
    """Run the command line, which takes a moment to import."""
    # The processes that multiprocessing starts import what they need by name: not from the folder
    # in which the command is called, which may hold a file random.py.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # Until there is something to save, which handlers of its own do.
    signal.signal(signal.SIGINT, _leave)
    from spos._cli.main import entry as run

    run()


def _leave(*_: object) -> None:
    os._exit(130)


if __name__ == "__main__":
    entry()
