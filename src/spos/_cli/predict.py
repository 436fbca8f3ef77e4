"""``spos predict``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from spos._cli.options import COUNT


@click.command("predict")
@click.argument("model", metavar="MODEL")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--top", type=COUNT, metavar="N", help="Classes to print of each image, by default 5."
)
@click.option("--trust", is_flag=True, help="Open a .pt2 file although it may run code.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict_command(
    model: str, images: tuple[str, ...], top: int | None, trust: bool, as_json: bool
) -> None:
    """Classify image files, or those of folders, with an exported network or that of a run."""
    from spos.export.predicting import find_images, open_classifier

    path = Path(model)
    classifier = open_classifier(_exported(path) if path.is_dir() else path, trust=trust)
    found = classifier.classify(find_images(map(Path, images)), top)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for row in found:
        click.echo(row["file"])
        for best in row["classes"]:
            click.echo(f"  {best['probability']:7.2%}  {best['class']}")


def _exported(run: Path) -> Path:
    """The exported network of a run; exported first if it is not there."""
    from spos.export import export_run
    from spos.export.exporting import NETWORK_FILE

    path = run / NETWORK_FILE
    if not path.exists():
        export_run(run)
        click.echo(f"spos: exported {path}", err=True)
    return path
