"""Latency tables of catalogue spaces and of runs, as files; measured for a run that lacks one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spos._util.errors import UserError
from spos._util.files import write_atomically
from spos._util.listener import Listener
from spos._util.settings import replace_settings
from spos.cost import CostTable
from spos.cost.latency.backend import check_runtime
from spos.cost.latency.measure import ROUNDS, auxiliary_path, measure_latency
from spos.cost.latency.record import Fit
from spos.cost.latency.table import LatencyTable
from spos.cost.latency.validate import LEAST_NETWORKS, ValidatedTable, validate
from spos.data.peek import ImageFacts, peek
from spos.nn.supernet import Supernet
from spos.report.latency import validation_page
from spos.run.config import Config, make_config, merge_sections, read_layout
from spos.run.costs import LATENCY_TABLE
from spos.run.directory import RunDirectory
from spos.run.fabric import make_fabric
from spos.run.reuse import take_over
from spos.spaces import family

#: Conditions of a measurement where nothing else is given.
DEFAULT_CONDITIONS: Mapping[str, Any] = {
    "backend": "torch",
    "accelerator": "cpu",
    "threads": 1,
    "batch": 1,
    "channels_last": False,
}
#: Samples of each row of parts, and networks by which the sum of the parts is corrected, while a
#: run waits for its table: fewer than spos latency takes.
QUICK_ROUNDS, QUICK_NETWORKS = 4, 8
#: Difference of repeated measurements, as a share, of which the user is told.
NOISY = 0.1


@dataclasses.dataclass(frozen=True)
class SupernetSource:
    """The arguments that a supernet of the catalogue is built with."""

    space: str
    preset: str
    layout: Any
    classes: int
    image_channels: int

    def build(self) -> Supernet:
        """Build the supernet, with the same fresh weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return family(self.space).build(
                self.layout, classes=self.classes, image_channels=self.image_channels
            )


def resolve_source(
    *,
    run: str = "",
    space: str = "",
    preset: str = "",
    assignments: tuple[str, ...] = (),
    classes: int = 0,
    image_channels: int = 0,
) -> SupernetSource:
    """Determine the supernet to measure.

    Args:
        run (str): run directory, which determines everything else; empty for none.
        space (str): name of a space of the catalogue.
        preset (str): name of a preset of the space; empty for ``imagenet``.
        assignments (tuple[str, ...]): settings of the layout, such as ``layout.image_size=64``.
        classes (int): number of classes; 0 for 1000 with an ImageNet preset, else 10.
        image_channels (int): number of image channels; 0 for 3.

    Raises:
        UserError: an argument is not valid, or contradicts ``run``.
    """
    if run:
        if space or preset or assignments or classes or image_channels:
            raise UserError(
                "--run determines space, preset, layout, classes and image channels: leave them out"
            )
        if not Path(run).is_dir():
            raise UserError(f"--run {run} is not a run directory")
        directory = RunDirectory(Path(run))
        config, _ = directory.resolve_config({}, ())
        data = directory.start_facts()
        if data is None:
            raise UserError(
                f"{directory.data_path} is missing: start the run first, or give --space and "
                "--classes"
            )
        return SupernetSource(
            config.space, config.preset, config.layout, data.outputs, data.channels
        )
    if not space:
        raise UserError("--space NAME is missing (or --run DIR): spos spaces lists them")
    preset = preset or "imagenet"
    layout = read_layout(space, preset, assignments)
    classes = classes or (1000 if preset.startswith("imagenet") else 10)
    return SupernetSource(space, preset, layout, classes, image_channels or 3)


def measure_file(
    out: Path, source: SupernetSource, *, listener: Listener, rounds: int = ROUNDS, **given: Any
) -> tuple[LatencyTable, Supernet, bool]:
    """Measure a latency table, unless the file already contains it.

    The other arguments are those of :func:`spos.cost.latency.measure_latency`.

    Returns:
        The table, its supernet, and whether the file already contained the table.

    Raises:
        UserError: an argument is not valid, or the file contains something else.
    """
    conditions = {**DEFAULT_CONDITIONS, **given}
    auxiliary_path(out, ".partial")
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
    path: Path, *, listener: Listener, fit: bool = False, **drawn: Any
) -> tuple[ValidatedTable, list[Path]]:
    """Validate the latency table of a catalogue space on whole networks.

    Returns:
        The validation, and the paths of the written files.

    Raises:
        UserError: the table is not valid, was measured on another device or for a model of the
            user, or the space has changed since.
    """
    table = LatencyTable.read(path)
    if not table.space:
        raise UserError(
            "the latency table was measured for a model of your own: validate it with "
            "spos.cost.latency.validate"
        )
    layout = replace_settings(family(table.space).preset(table.preset), table.layout, "layout")
    channels = table.input_shape[0]
    supernet = SupernetSource(table.space, table.preset, layout, table.outputs, channels).build()
    table.check_supernet(table.space, table.preset, layout, supernet)
    out = path.with_name(f"{path.stem}-validation.json")
    page = out.with_suffix(".html")
    result = validate(table, supernet, out, listener=listener, **drawn)
    write_atomically(page, validation_page(result))
    if fit:
        corrected = dataclasses.replace(table, fit=result.fit)
        if _fastest(corrected, supernet) <= 0:
            # A limit would be kept by networks that are said to take less than no time.
            corrected = dataclasses.replace(table, fit=Fit(networks=result.fit.networks))
            listener.message(
                "the correction is left out, because it would make the latency of the fastest "
                "network negative: measure more --networks, with no other program running"
            )
        corrected.write(path)
    return result, [out, page, *([path] if fit else [])]


def needs_table(config: Config) -> bool:
    """Whether latency is bounded or minimised without a table of it.

    Example:
        >>> needs_table(make_config({"constraint": {"maximum": {"latency": "5ms"}}}))
        True
    """
    return "latency" in config.costs and not config.constraint.latency_table


def measure_for_run(
    out: Path,
    given: Mapping[str, Any],
    /,
    *,
    reuse: Path | None,
    facts: ImageFacts | None,
    accelerator: str,
    listener: Listener,
) -> Mapping[str, Any]:
    """Measure the latency table of a run that bounds or minimises the latency without one.

    Args:
        out (Path): run directory; the table is kept in it.
        given (Mapping): settings of the run by section.
        reuse (Path | None): directory of the run whose supernet is reused, with its table.
        facts (ImageFacts | None): what the images are like; None to look at the source.
        accelerator (str): accelerator of Lightning Fabric.
        listener (Listener): receiver of progress and messages.

    Returns:
        The settings with the table; as they were given if the run needs none.

    Raises:
        UserError: the latency cannot be measured on this device.
    """
    directory, path = RunDirectory(out), out / LATENCY_TABLE
    stored = directory.read_config()
    if reuse:
        other = RunDirectory(reuse)
        # With the table of the other run, if it has one.
        settings = take_over(merge_sections(other.read_config(), stored), given, other)
    else:
        settings = merge_sections(stored, given)
    config = make_config(settings)
    if not needs_table(config):
        return given
    if not (stored and path.exists() and LatencyTable.read(path).fit.networks):
        facts = facts or peek(config.data.source)
        classes, channels = max(facts.classes, 1), facts.channels
        source = SupernetSource(config.space, config.preset, config.layout, classes, channels)
        with directory.open():
            # What a run that was never started left may be of another layout.
            if not stored:
                _remove_table(out)
            if not path.exists():
                listener.message(
                    "no --latency-table: measuring the latency of every option on this device, for "
                    "one image and one thread"
                )
            kind = make_fabric(accelerator, config.run.precision).device.type
            _, supernet, _ = measure_file(
                path, source, accelerator=kind, rounds=QUICK_ROUNDS, listener=listener
            )
            networks = min(QUICK_NETWORKS, supernet.space.size)
            if networks >= LEAST_NETWORKS:
                result, _ = validate_file(
                    path, networks=networks, rounds=QUICK_ROUNDS, listener=listener
                )
                choose_fit(result, supernet).write(path)
                if result.noise.error > NOISY:
                    listener.message(
                        f"the latency of a network differs by {result.noise.error:.0%} from one "
                        "measurement to the next: other programs use this machine, and limits are "
                        "kept no better than that"
                    )
    return merge_sections(given, {"constraint": {"latency_table": str(path)}})


def choose_fit(result: ValidatedTable, supernet: Supernet) -> LatencyTable:
    """The table with the fit of its validation, where that predicts networks better.

    A fit to few networks of a busy machine may be worse than none, and take more from a cheap
    network than all that it costs.

    Args:
        result (ValidatedTable): validation of the table.
        supernet (Supernet): its supernet.
    """
    fitted = dataclasses.replace(result.table, fit=result.fit)
    if result.after.error < result.before.error and _fastest(fitted, supernet) > 0:
        return fitted
    # Without one, but known to be validated.
    return dataclasses.replace(result.table, fit=Fit(networks=result.fit.networks))


def _fastest(table: LatencyTable, supernet: Supernet) -> float:
    """The latency of the fastest network by a table, in nanoseconds."""
    least, _ = CostTable(supernet, counter=table.counter(supernet)).range()["latency"]
    return least


def discard_table(out: Path) -> None:
    """Remove the table that was measured for a run that was then refused."""
    if out.is_dir() and not RunDirectory(out).config_path.exists():
        _remove_table(out)
        if not any(out.iterdir()):
            out.rmdir()


def _remove_table(out: Path) -> None:
    for ending in (".json", ".json.partial", "-validation.json", "-validation.html"):
        (out / f"latency{ending}").unlink(missing_ok=True)
