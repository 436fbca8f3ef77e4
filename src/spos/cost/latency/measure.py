"""Measurement of the latency table of a supernet."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map_only

from spos._util.errors import UserError
from spos._util.files import as_path, write_json
from spos._util.listener import Listener, Silent
from spos._util.records import to_plain
from spos._util.version import __version__
from spos.cost.latency.backend import Backend, Sampler, Step, check_runtime, make_backend
from spos.cost.latency.plan import Row, computes_nothing, network_of, parts_of, rows_of
from spos.cost.latency.record import PartKey, PartLatency, Runtime, as_stored, part_key, weights_of
from spos.cost.latency.rounds import Samples, median, sample_rounds, spread
from spos.cost.latency.table import LatencyTable
from spos.cost.outputs import output_of
from spos.cost.part import Part
from spos.nn.supernet import Supernet

#: Samples of each row of parts.
ROUNDS = 15
#: Random images from which batch-norm statistics are computed.
CALIBRATION = 16

MakeBackend = Callable[[Runtime, Path | None], Backend]


def measure_latency(
    supernet: Supernet,
    out: str | Path | None = None,
    *,
    space: str = "",
    preset: str = "",
    layout: Any = None,
    backend: str = "torch",
    accelerator: str = "cpu",
    threads: int = 1,
    batch: int = 1,
    channels_last: bool = False,
    rounds: int = ROUNDS,
    listener: Listener | None = None,
    make: MakeBackend = make_backend,
) -> LatencyTable:
    """Measure every option of every stage of a supernet on this device.

    Parts run in rows, which are whole networks: each part runs on the output of the part before and
    is timed there. In a loop on its own, a part would find more data in the caches than it does in
    a network.

    Args:
        supernet (Supernet): supernet with any weights; it is not modified.
        out (str | Path | None): file to write; intermediate results are saved to FILE.partial
            beside it. None does not write a file.
        space (str): name of the search space; empty for your own model.
        preset (str): name of the preset; empty for your own model.
        layout (Any): dataclass of the layout; None for your own model.
        backend (str): ``torch``, ``torch.compile`` or ``onnxruntime``.
        accelerator (str): ``cpu`` or ``cuda``.
        threads (int): number of CPU threads, at least 1.
        batch (int): images per batch, at least 1.
        channels_last (bool): whether images and weights use the channels-last memory format.
        rounds (int): samples of each row of parts, at least 1.
        listener (Listener | None): receiver of progress reports.
        make (MakeBackend): function that creates the backend from a runtime and a folder for
            exported graphs.

    Returns:
        The table, without a fit.

    Raises:
        UserError: a setting is not available on this machine, a part does not run, or the partial
            file belongs to a different measurement.

    Example:
        >>> from torch import nn
        >>> from spos.nn import OneOf
        >>> model = nn.Sequential(OneOf({"3x3": nn.Conv2d(3, 8, 3), "1x1": nn.Conv2d(3, 8, 1)}))
        >>> table = measure_latency(Supernet(model, (3, 10, 10)), rounds=2)
        >>> all(latency.median > 0 for latency in table.parts.values())
        True
    """
    out = None if out is None else as_path(out, "out")
    runtime = check_runtime(backend, accelerator, threads, batch, channels_last)
    measurement = Measurement(runtime, out, make)
    facts: dict[str, Any] = {
        "space": space,
        "preset": preset,
        "layout": {} if layout is None else to_plain(layout),
        "input_shape": supernet.input_shape,
        "outputs": output_of(supernet).numel(),
    }
    parts = parts_of(supernet)
    rows = rows_of(next(iter(parts.values())).supernet, parts.values())
    loader = _Loader(supernet, measurement.backend, runtime.batch)
    items = {name: partial(loader.prepare, row) for name, row in rows.items()}
    samples = measurement.sample(items, rounds, listener, supernet, {**facts, "rows": len(rows)})
    found = _combine_samples(loader, parts, rows, samples)
    versions, date = measurement.versions, measurement.date()
    table = LatencyTable(**facts, runtime=runtime, versions=versions, date=date, parts=found)
    measurement.finish(as_stored(vars(table)))
    return table


class Measurement:
    """A measurement on this device, with auxiliary files beside the file that is written.

    Args:
        runtime (Runtime): settings of the measurement.
        out (Path | None): file to write, if any.
        make (MakeBackend): function that creates the backend.
    """

    def __init__(self, runtime: Runtime, out: Path | None, make: MakeBackend) -> None:
        self._runtime, self._out = runtime, out
        self._partial, self._kept = auxiliary_path(out, ".partial"), auxiliary_path(out, ".models")
        self.backend = make(runtime, self._kept)
        self.versions = {"spos": __version__, **self.backend.versions}

    def sample(
        self,
        items: Mapping[str, Callable[[], Sampler]],
        rounds: int,
        listener: Listener | None,
        supernet: Supernet,
        facts: Mapping[str, Any],
        seed: int = 0,
    ) -> Samples:
        """Take samples in rounds, for as long as everything that they depend on is the same."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in facts.items()}
        shapes = [(name, list(tensor.shape)) for name, tensor in supernet.state_dict().items()]
        model = hashlib.sha256(f"{supernet}{shapes}".encode()).hexdigest()[:12]
        settings = {**plain, "model": model, **vars(self._runtime), **self.versions}
        return sample_rounds(items, rounds, listener or Silent(), self._partial, settings, seed)

    def date(self) -> str:
        """Return the time, ISO 8601."""
        return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")

    def finish(self, content: Any) -> None:
        """Write the file, and delete the auxiliary files."""
        if self._out is not None and self._partial is not None and self._kept is not None:
            write_json(self._out, content)
            self._partial.unlink(missing_ok=True)
            shutil.rmtree(self._kept, ignore_errors=True)


def auxiliary_path(out: Path | None, ending: str) -> Path | None:
    """Return the path of an auxiliary file beside an output file.

    Raises:
        UserError: the folder of the output file does not exist, or ``out`` is a folder.
    """
    if out is None:
        return None
    if out.is_dir():
        raise UserError(f"--out {out}: it is a folder; give the name of a file in it")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    return out.with_name(out.name + ending)


class _Loader:
    """Loads the parts of rows onto the device, each combination of options of a stage once."""

    def __init__(self, supernet: Supernet, backend: Backend, batch: int) -> None:
        self._supernet, self._backend, self._batch = supernet, backend, batch
        # By the number of a stage, and the key of its part.
        self._parts: dict[tuple[int, PartKey], tuple[nn.Module, bool]] = {}
        self._steps: dict[tuple[int, PartKey], Step] = {}

    def prepare(self, row: Row) -> Sampler:
        """Load a row, and return a sampler of its parts that compute something."""
        first = row[0].value
        steps, value = [], random_like(first, max(CALIBRATION, self._batch))
        # Not a part of the former: images need not be along the first dimension of a value.
        batch = random_like(first, self._batch)
        for part in row:
            key, (module, computes) = (part.number, part_key(part)), self.part(part)
            if computes:
                if key not in self._steps:
                    calibrate(module, value)
                    own = tree_map_only(Tensor, torch.clone, batch)
                    self._steps[key] = self._backend.load(network_of(module), own)
                steps.append(self._steps[key])
            with torch.no_grad():
                value, batch = module(value), module(batch)
        return self._backend.sampler(steps, random_like(first, self._batch))

    def part(self, part: Part) -> tuple[nn.Module, bool]:
        """Return a part as a module with weights, and whether it computes something."""
        key = part.number, part_key(part)
        if key not in self._parts:
            stage = self._supernet.stages[part.number]
            module = self._supernet.extract(part.architecture, stage).eval()
            self._parts[key] = module, not computes_nothing(network_of(module))
        return self._parts[key]


def _combine_samples(
    loader: _Loader, parts: Mapping[PartKey, Part], rows: dict[str, Row], samples: Samples
) -> dict[PartKey, PartLatency]:
    """Combine the samples of each part over all rows that contain it."""
    values: dict[PartKey, list[float]] = defaultdict(list)
    runs: Counter[PartKey] = Counter()
    for name, times in samples.samples.items():
        computing = [part_key(part) for part in rows[name] if loader.part(part)[1]]
        for key, column in zip(computing, zip(*times, strict=True), strict=True):
            values[key] += column
            runs[key] += samples.runs[name]
    found = {key: PartLatency(median(v), spread(v), runs[key]) for key, v in values.items()}
    nothing = PartLatency(0, 0, 0, nothing=True)
    return {
        key: replace(found.get(key, nothing), weights=weights_of(part.network()))
        for key, part in parts.items()
    }


def calibrate(network: nn.Module, images: Any) -> None:
    """Set batch-norm statistics from images, and put the network in evaluation mode.

    With initial statistics, the activations of a deep network shrink to denormal numbers, with
    which processors are many times slower.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.momentum = 1.0
    with torch.no_grad():
        network(tree_map_only(Tensor, torch.clone, images))
    network.eval()


def random_like(value: Any, batch: int) -> Any:
    """Return random tensors with the shapes of meta tensors, for a batch of images.

    Example:
        >>> random_like(torch.empty(1, 3, 8, 8, device="meta"), 4).shape
        torch.Size([4, 3, 8, 8])
    """
    generator = torch.Generator().manual_seed(0)

    def real(leaf: Tensor) -> Tensor:
        shape = (leaf.shape[0] * batch, *leaf.shape[1:]) if leaf.dim() else ()
        if not leaf.is_floating_point():
            return torch.zeros(shape, dtype=leaf.dtype)
        return torch.randn(shape, generator=generator).to(leaf.dtype)

    return tree_map_only(Tensor, real, value)
