"""Limits of the latency without a latency table: estimated for a plan, measured for a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spos._util.listener import Listener
from spos.cost import CostModel
from spos.data.peek import ImageFacts, peek
from spos.nn.supernet import Supernet
from spos.run.config import Config, make_config, merge_sections
from spos.run.context import make_fabric
from spos.run.costs import LATENCY_TABLE
from spos.run.directory import RunDirectory
from spos.run.latency import Source, measure_file, validate_file
from spos.run.planning.speed import Line, evaluation_line
from spos.run.reuse import take_over

#: Samples of each row of parts, and networks by which the sum of the parts is corrected: fewer than
#: spos latency takes, because the run waits for them.
ROUNDS, NETWORKS = 4, 8


def needs_table(config: Config) -> bool:
    """Whether latency is bounded or minimised without a table of it.

    Example:
        >>> needs_table(make_config({"constraint": {"maximum": {"latency": "5ms"}}}))
        True
    """
    return "latency" in config.costs and not config.constraint.latency_table


def latency_line(supernet: Supernet, table: CostModel, device: torch.device) -> Line:
    """Measure the latency of one image in seconds, as a line over the multiply-adds.

    Args:
        supernet (Supernet): supernet with weights.
        table (CostModel): costs of its architectures.
        device (torch.device): device to measure; of a CPU one thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return evaluation_line(supernet, table, 1, device)
    finally:
        torch.set_num_threads(before)


def measure_for_run(
    out: Path,
    given: Mapping[str, Any],
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
    if not (stored and path.exists()):
        facts = facts or peek(config.data.source)
        classes, channels = max(facts.classes, 1), facts.channels
        source = Source(config.space, config.preset, config.layout, classes, channels)
        with directory.open():
            # What a run that was never started left may be of another layout.
            if not stored:
                _remove_table(out)
            listener.message(
                "no --latency-table: measuring the latency of every option on this device, for one "
                "image and one thread"
            )
            kind = make_fabric(accelerator, config.run.precision).device.type
            measure_file(path, source, accelerator=kind, rounds=ROUNDS, listener=listener)
            validate_file(path, networks=NETWORKS, rounds=ROUNDS, fit=True, listener=listener)
    return merge_sections(given, {"constraint": {"latency_table": str(path)}})


def discard_table(out: Path) -> None:
    """Remove the table that was measured for a run that was then refused."""
    if out.is_dir() and not RunDirectory(out).config_path.exists():
        _remove_table(out)
        if not any(out.iterdir()):
            out.rmdir()


def _remove_table(out: Path) -> None:
    for ending in (".json", ".json.partial", "-validation.json", "-validation.html"):
        (out / f"latency{ending}").unlink(missing_ok=True)
