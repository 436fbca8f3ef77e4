"""Cases of a command that does what it must not."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from random import Random

from spos._util.errors import UserError


def prepare(random: Random, material: Path) -> list[str]:
    return ["show", "nowhere"]


def crash(random: Random, material: Path) -> list[str]:
    if random.random() < 0.5:
        os.kill(os.getpid(), signal.SIGSEGV)
    return ["show", "nowhere"]


def break_show(what: str) -> None:
    """Replace what ``spos show`` does in this process."""
    from spos._cli.main import main

    def show(run: str, as_json: bool) -> None:
        if what == "raise":
            raise KeyError("weight")
        if what == "leave":
            Path(".result.json.a1b2c3d4").write_text("half")
        if what == "half":
            Path("result.json").write_text("{")
        if what == "folder":
            Path("runs/first").mkdir(parents=True)
            raise UserError("run is refused")
        if what == "print":
            sys.stderr.write("Warning: something\n")
        if what == "exit":
            sys.exit(3)
        if what == "hang":
            time.sleep(60)

    main.commands["show"].callback = show


def broken(random: Random, material: Path) -> list[str]:
    import promises

    promises.LONGEST = 0.5
    break_show(material.name)
    return ["show", "nowhere"]
