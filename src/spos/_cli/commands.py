"""What becomes of a run: ``show``, ``dashboard``, ``export``, ``push`` and ``predict``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import click

from spos._cli.common import print_tables, say
from spos._cli.kinds import COUNT, TEXT
from spos._cli.options import logger_option
from spos._util.console import ConsoleListener
from spos._util.errors import UserError


@click.command("show")
@click.argument("run", type=TEXT, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print result.json unchanged.")
def show_command(run: str, as_json: bool) -> None:
    """Print the result of a run as tables."""
    path = Path(run) / "result.json"
    if not path.exists() and path.with_name("config.yaml").exists():
        raise UserError(
            f"{run} has no result yet: wait for its run, or go on with spos run --out {run}; "
            f"spos dashboard {run} shows the search"
        )
    if not path.exists():
        raise UserError(f"{run} is not a run directory: it has no result.json")
    from spos.report import result_tables
    from spos.report.result import read_result

    result = read_result(path)
    if as_json:
        click.echo(path.read_text(encoding="utf-8"), nl=False)
    else:
        print_tables(result_tables(result))


@click.command("dashboard")
@click.argument("run", type=TEXT, metavar="DIR")
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
        say(f"{server.address} shows the search of {run}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            # This is how it ends; there is no state to save.
            return


@click.command("export")
@click.argument("run", type=TEXT, metavar="RUN")
@click.option(
    "--format",
    "form",
    default="onnx",
    metavar="NAME",
    help="Format: onnx, torch-export or state-dict.",
)
@click.option(
    "--out",
    type=TEXT,
    metavar="FILE",
    help="File to write; by default RUN/network.onnx or similar.",
)
@click.option("--fold/--no-fold", default=True, help="Fold batch norms into convolutions.")
@click.option(
    "--stage", default="retrain", metavar="NAME", help="Training to export: retrain, or compare-N."
)
@logger_option
def export_command(
    run: str, form: str, out: str | None, fold: bool, stage: str, loggers: tuple[str, ...]
) -> None:
    """Export the trained network of a run to a checked file with a model card."""
    from spos.export import export_run
    from spos.export.card import file_lines
    from spos.run.following import attach, check_loggers

    check_loggers(loggers)
    target = Path(out) if out else None
    facts = export_run(Path(run), form, target, fold=fold, stage=stage)
    for line in file_lines(facts):
        click.echo(line)
    files = [(target.parent if target else Path(run)) / name for name in facts["files"]]
    for file in files:
        say(file)
    if loggers:
        with closing(ConsoleListener()) as listener:
            attach(Path(run), loggers, files, listener)


@click.command("push")
@click.argument("name", metavar="USER/NAME")
@click.argument("run", type=TEXT, metavar="RUN")
@click.option("--private", is_flag=True, help="Make a new repository private.")
def push_command(name: str, run: str, private: bool) -> None:
    """Put the trained network of a run on the Hugging Face Hub, with its model card."""
    from spos.export.hub import push

    click.echo(push(name, Path(run), private=private))
    click.echo(f'in Python: spos.load("{name}")')


@click.command("predict")
@click.argument("model", type=TEXT, metavar="MODEL")
@click.argument("images", type=TEXT, nargs=-1, required=True, metavar="IMAGE...")
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
    files: list[Path] = []
    refused: list[UserError] = []
    with _exported(path) if path.is_dir() else nullcontext(path) as file:
        classifier = open_classifier(file, trust=trust)
        for image in map(Path, images):
            try:
                files += find_images([image])
            except UserError as error:
                refused.append(error)
        found = classifier.classify(files, top, refused.append)
    if found and as_json:
        click.echo(json.dumps(found, indent=2))
    for row in () if as_json else found:
        say(row["file"])
        for best in row["classes"]:
            click.echo(f"  {best['probability']:7.2%}  {best['class']}")
    if len(refused) == 1:
        raise refused[0]
    for one in refused:
        say(f"spos: {one}", err=True)
    if refused:
        raise UserError(f"{len(refused)} of the images given cannot be read")


@contextmanager
def _exported(run: Path) -> Iterator[Path]:
    """The exported network of a run; exported first if it is not there.

    That of a run that cannot be written is exported for this time only.
    """
    from spos.export import export_run
    from spos.export.exporting import NETWORK_FILE
    from spos.export.predicting import check_of_run

    path = run / NETWORK_FILE
    if path.exists():
        check_of_run(path)
        yield path
    elif os.access(run, os.W_OK):
        export_run(run)
        say(f"spos: exported {path}", err=True)
        yield path
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / NETWORK_FILE
            export_run(run, out=path)
            yield path
