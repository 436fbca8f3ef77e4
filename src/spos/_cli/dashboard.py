"""``spos dashboard``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("dashboard")
@click.argument("run", metavar="DIR")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    metavar="N",
    help="Port of the page, by default 8080; 0 for any free one.",
)
def dashboard_command(run: str, port: int) -> None:
    """Open optuna-dashboard on the search of a run, also while it searches."""
    from spos.run.dashboard import make_dashboard

    with make_dashboard(Path(run), port) as server:
        click.echo(f"{server.address} shows the search of {run}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            # This is how it ends; there is no state to save.
            return
