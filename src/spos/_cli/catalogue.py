"""What there is to search, and what it costs: ``spaces`` and ``profile``."""

from __future__ import annotations

import json
from typing import Any

import click

from spos._cli.common import print_tables
from spos._cli.kinds import COUNT, SPACE, TEXT


@click.command("profile")
@click.argument("space", type=SPACE, default="shufflenetv2")
@click.option(
    "--preset",
    metavar="NAME",
    help="Preset of the space (default: the first of `spos spaces NAME`).",
)
@click.option(
    "--architecture",
    # Its former name.
    "--arch",
    required=True,
    help="Option indices, JSON of option names, or the name of a published network.",
)
@click.option(
    "--classes",
    type=COUNT,
    metavar="N",
    help="Number of classes (default: 1000 at 224 pixels, else 10).",
)
@click.option(
    "--image-channels", type=COUNT, default=3, metavar="N", help="3 for colour images, 1 for grey."
)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Layout setting.")
@click.option("--latency-table", type=TEXT, metavar="FILE", help="Table that spos latency wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def profile_command(as_json: bool, **options: Any) -> None:
    """Print what an architecture costs."""
    from spos._cli.costs import profile_architecture, profile_table

    facts = profile_architecture(**options)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        print_tables([profile_table(facts)])


@click.command("spaces")
@click.argument("name", type=SPACE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def spaces_command(name: str | None, as_json: bool) -> None:
    """List the search spaces, or the presets of one."""
    from rich.console import Console

    from spos._cli.costs import list_spaces, spaces_table

    # Counting takes seconds for each space that is not of spos.
    with Console(stderr=True).status("counting the costs of every space"):
        rows = list(list_spaces(name))
    if as_json:
        click.echo(json.dumps(rows))
        return
    print_tables([spaces_table(rows)])
    for paper in dict.fromkeys(f"{row['space']}: {row['paper']}" for row in rows):
        click.echo(paper)
