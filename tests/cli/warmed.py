"""What every command does once and slowly: the server that forks them does it before."""

from __future__ import annotations

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
