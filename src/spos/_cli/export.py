"""``spos export``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("run", metavar="RUN")
@click.option(
    "--format",
    "form",
    default="onnx",
    metavar="NAME",
    help="Format: onnx, torch-export or state-dict.",
)
@click.option(
    "--out", metavar="FILE", help="File to write; by default RUN/network.onnx or similar."
)
@click.option("--fold/--no-fold", default=True, help="Fold batch norms into convolutions.")
@click.option(
    "--stage", default="retrain", metavar="NAME", help="Training to export: retrain, or compare-N."
)
def export_command(run: str, form: str, out: str | None, fold: bool, stage: str) -> None:
    """Export the trained network of a run to a checked file with a model card."""
    from spos.export import export_run
    from spos.export.card import file_lines

    target = Path(out) if out else None
    facts = export_run(Path(run), form, target, fold=fold, stage=stage)
    for line in file_lines(facts):
        click.echo(line)
    for name in facts["files"]:
        click.echo(f"{(target.parent if target else Path(run)) / name}")
