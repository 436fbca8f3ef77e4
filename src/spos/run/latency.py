"""Latency tables of catalogue spaces and of runs, as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from spos._util.errors import UserError
from spos._util.files import read_own, write_atomically
from spos._util.listener import Listener
from spos._util.settings import parse_assignments, replace_settings
from spos.cost.latency.backend import check_runtime
from spos.cost.latency.measure import beside, measure_latency
from spos.cost.latency.table import LatencyTable
from spos.cost.latency.validate import Validation, validate
from spos.nn.supernet import Supernet
from spos.report.latency import validation_page
from spos.run.config import check_sections
from spos.run.directory import RunDirectory
from spos.spaces import family


@dataclasses.dataclass(frozen=True)
class Source:
    """What a supernet of the catalogue is built of.

    Args:
        space: of the catalogue.
        preset: of the space.
        layout: its settings.
        classes: of the classifier.
        image_channels: of the images.
    """

    space: str
    preset: str
    layout: Any
    classes: int
    image_channels: int

    def build(self) -> Supernet:
        """The supernet, with the same fresh weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return family(self.space).build(
                self.layout, classes=self.classes, image_channels=self.image_channels
            )


def resolve_source(
    run: str | None,
    space: str | None,
    preset: str | None,
    assignments: Iterable[str],
    classes: int | None,
    image_channels: int | None,
) -> Source:
    """What is to be measured.

    Args:
        run: the directory of a run, which then says the rest.
        space: of the catalogue.
        preset: of the space.
        assignments: settings of the layout, such as ``layout.image_size=64``.
        classes: 1000 of the preset ``imagenet`` and 10 of others without it.
        image_channels: 3 without it.

    Raises:
        UserError: something is not valid, or given twice.
    """
    assignments = tuple(assignments)
    if run is not None:
        if space or preset or assignments or classes or image_channels:
            raise UserError(
                "--run: it says space, preset, layout, classes and image channels; leave them out"
            )
        return _of_run(Path(run))
    if space is None:
        raise UserError("--space NAME is missing (or --run DIR): spos spaces lists them")
    values = check_sections(parse_assignments(assignments))
    if set(values) - {"layout"}:
        raise UserError(f"--set {next(iter(values))}: allowed here is layout.KEY=VALUE")
    preset = preset or "imagenet"
    layout = replace_settings(family(space).preset(preset), values.get("layout", {}), "layout")
    return Source(
        space,
        preset,
        layout,
        classes or (1000 if preset.startswith("imagenet") else 10),
        image_channels or 3,
    )


def _of_run(path: Path) -> Source:
    if not path.is_dir():
        raise UserError(f"--run {path}: there is no such run")
    config, _ = RunDirectory(path).resolve_config({}, ())
    data = read_own(path / "data.json", "let the run begin first, or give --space and --classes")
    outputs = data.get("outputs", len(data.get("classes", ())))
    return Source(config.space, config.preset, config.layout, int(outputs), int(data["channels"]))


def measure_file(
    out: Path,
    *,
    run: str | None,
    space: str | None,
    preset: str | None,
    assignments: Iterable[str],
    classes: int | None,
    image_channels: int | None,
    listener: Listener,
    rounds: int,
    **conditions: Any,
) -> tuple[LatencyTable, Supernet, bool]:
    """Measure a table, unless the file holds it.

    Args:
        out: the file.
        run: as of :func:`resolve_source`, as those up to ``image_channels``.
        space: of the catalogue.
        preset: of the space.
        assignments: settings of the layout.
        classes: of the classifier.
        image_channels: of the images.
        listener: told of the progress.
        rounds: samples of each part.
        conditions: ``backend``, ``accelerator``, ``threads``, ``batch`` and ``channels_last``.

    Returns:
        The table, the supernet that it is of, and whether the file held it.

    Raises:
        UserError: something is not valid, or the file is something else.
    """
    source = resolve_source(run, space, preset, assignments, classes, image_channels)
    beside(out, ".partial")
    runtime = check_runtime(**conditions)
    supernet = source.build()
    named = {"space": source.space, "preset": source.preset, "layout": source.layout}
    if out.exists():
        try:
            table = LatencyTable.read(out)
            table.check_supernet(**named, supernet=supernet)
        except UserError as error:
            raise UserError(f"--out {out} exists: {error}; give another file") from error
        if table.runtime != runtime:
            raise UserError(
                f"--out {out} exists, measured with {table.runtime}, not with {runtime}: give "
                "another file"
            )
        return table, supernet, True
    table = measure_latency(supernet, out, **named, **conditions, rounds=rounds, listener=listener)
    return table, supernet, False


def validate_file(
    path: Path, *, networks: int, seed: int, rounds: int, fit: bool, listener: Listener
) -> tuple[Validation, list[Path]]:
    """Validate the table in a file of a catalogue space.

    Args:
        path: the file.
        networks: how many random ones are measured.
        seed: of the draw.
        rounds: samples of each network, even.
        fit: write the fit into the table.
        listener: told of the progress.

    Returns:
        The validation, and the files that were written.

    Raises:
        UserError: the table is not valid or of another device.
    """
    table = LatencyTable.read(path)
    supernet = build_table_supernet(table)
    out = path.with_name(f"{path.stem}-validation.json")
    page = out.with_suffix(".html")
    result = validate(
        table,
        supernet,
        out,
        networks=networks,
        seed=seed,
        rounds=rounds,
        listener=listener,
    )
    write_atomically(page, validation_page(result))
    if fit:
        dataclasses.replace(table, fit=result.fit).write(path)
    return result, [out, page, *([path] if fit else [])]


def build_table_supernet(table: LatencyTable) -> Supernet:
    """The supernet that a table of a catalogue space is of.

    Raises:
        UserError: the space of this version is another, or the table is of a model of one's own.
    """
    if not table.space:
        raise UserError(
            "the latency table is of a model of your own: call spos.cost.latency.validate with it"
        )
    layout = replace_settings(family(table.space).preset(table.preset), table.layout, "layout")
    channels = table.input_shape[0]
    supernet = Source(table.space, table.preset, layout, table.outputs, channels).build()
    table.check_supernet(table.space, table.preset, layout, supernet)
    return supernet
