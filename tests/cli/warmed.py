"""What every command does once and slowly: the server that forks them does it before."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

from spos.report.template import environment
from spos.search.sqlite import open_file

# Not where pytest looks for doctests under another name.
if __name__ == "warmed":
    with tempfile.TemporaryDirectory() as folder:
        storage = open_file(Path(folder) / "study.db")
        storage.get_all_studies()
        storage.remove_session()
        storage.engine.dispose()
    environment("report").get_template("page.html.j2")
    # Forks share what is never looked through for garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 20)
