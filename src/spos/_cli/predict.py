"""``spos predict``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from spos._util.errors import UserError


@click.command("predict")
@click.argument("model", metavar="MODEL")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--top", metavar="N", help="Classes to print of each image; 5 by default.")
@click.option("--trust", is_flag=True, help="Open a .pt2 file although it may run code.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict_command(
    model: str, images: tuple[str, ...], top: str | None, trust: bool, as_json: bool
) -> None:
    """Classify image files with an exported network."""
    if top is not None and not (top.isascii() and top.isdigit()):
        raise UserError(f"--top {top}: must be a whole number from 1")
    from spos.export.predicting import open_classifier

    classifier = open_classifier(Path(model), trust=trust)
    count = None if top is None else int(top)
    found = classifier.classify([Path(image) for image in images], count)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for row in found:
        click.echo(row["file"])
        for best in row["classes"]:
            click.echo(f"  {best['probability']:7.2%}  {best['class']}")
