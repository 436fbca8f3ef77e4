"""Measurement of the latency table of a supernet."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from spos._util.errors import UserError
from spos._util.listener import Listener, Silent
from spos._util.records import to_plain
from spos._util.version import __version__
from spos.cost.latency.backend import Backend, Sampler, Step, check_runtime, make_backend
from spos.cost.latency.plan import computes_nothing, network_of, parts_of
from spos.cost.latency.record import PartKey, PartLatency, Runtime, part_key
from spos.cost.latency.rounds import Samples, median, sample_rounds, spread
from spos.cost.latency.rows import Row, rows_of
from spos.cost.latency.table import LatencyTable, outputs_of
from spos.cost.part import Part
from spos.nn.supernet import Supernet

#: Samples of each row of parts.
ROUNDS = 15
#: Random images from which batch-norm statistics are computed.
CALIBRATION = 16

MakeBackend = Callable[[Runtime, Path | None], Backend]


def measure_latency(
    supernet: Supernet,
    out: Path | None = None,
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
        out (Path | None): file to write; intermediate results are saved to FILE.partial beside it.
            None does not write a file.
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
    runtime = check_runtime(backend, accelerator, threads, batch, channels_last)
    partial_path, kept = beside(out, ".partial"), beside(out, ".models")
    runner = make(runtime, kept)
    versions = versions_of(runner)
    facts: dict[str, Any] = {
        "space": space,
        "preset": preset,
        "layout": {} if layout is None else to_plain(layout),
        "input_shape": supernet.input_shape,
        "outputs": outputs_of(supernet),
    }
    parts = parts_of(supernet)
    rows = rows_of(next(iter(parts.values())).supernet, parts.values())
    loader = _Loader(supernet, runner, batch)
    samples = sample_rounds(
        {row.name: partial(loader.prepare, row) for row in rows},
        rounds,
        listener or Silent(),
        partial=partial_path,
        conditions=conditions(runtime, versions, supernet, {**facts, "rows": len(rows)}),
    )
    found = _combine_samples(loader, parts, rows, samples)
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    table = LatencyTable(**facts, runtime=runtime, versions=versions, date=date, parts=found)
    if out is not None:
        table.write(out)
    forget(partial_path, kept)
    return table


def versions_of(backend: Backend) -> dict[str, str]:
    """Return the versions of all software that latencies depend on.

    Args:
        backend (Backend): backend that measures.
    """
    return {"spos": __version__, **backend.versions}


def conditions(
    runtime: Runtime, versions: Mapping[str, str], supernet: Supernet, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything that samples depend on, in JSON types.

    Args:
        runtime (Runtime): backend, device and settings.
        versions (Mapping[str, str]): software versions by name.
        supernet (Supernet): measured supernet.
        facts (Mapping[str, Any]): further settings of the measurement.
    """
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in facts.items()}
    shapes = [(name, list(tensor.shape)) for name, tensor in supernet.state_dict().items()]
    model = hashlib.sha256(f"{supernet}{shapes}".encode()).hexdigest()[:12]
    return {**plain, "model": model, **vars(runtime), **versions}


def beside(out: Path | None, ending: str) -> Path | None:
    """Return the path of an auxiliary file beside an output file.

    Args:
        out (Path | None): output file; None if no file is written.
        ending (str): text appended to the name of the output file.

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


def forget(partial_path: Path | None, kept: Path | None) -> None:
    """Delete the auxiliary files of a finished measurement.

    Args:
        partial_path (Path | None): file of intermediate samples.
        kept (Path | None): folder of exported graphs.
    """
    if partial_path is not None:
        partial_path.unlink(missing_ok=True)
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)


class _Loader:
    """Loads the parts of rows onto the device, each combination of options of a stage once."""

    def __init__(self, supernet: Supernet, backend: Backend, batch: int) -> None:
        self._supernet, self._backend, self._batch = supernet, backend, batch
        self._modules: dict[tuple[int, tuple[int, ...], str], nn.Module] = {}
        self._steps: dict[tuple[int, tuple[int, ...], str], Step] = {}
        self._nothing: dict[PartKey, bool] = {}

    def prepare(self, row: Row) -> Sampler:
        """Load a row, and return a sampler of its parts that compute something."""
        first = row.parts[0].value
        steps, value = [], random_like(first, max(CALIBRATION, self._batch))
        for part in row.parts:
            name = part.number, part.options, part_key(part).input
            module = self.module(part)
            if name not in self._steps and not self.nothing(part):
                calibrate(module, value)
                one_batch = tree_map(
                    lambda x: x[: self._batch].clone() if _batched(x) else x, value
                )
                self._steps[name] = self._backend.load(network_of(module), one_batch)
            with torch.no_grad():
                value = module(value)
            if name in self._steps:
                steps.append(self._steps[name])
        return self._backend.sampler(steps, random_like(first, self._batch))

    def module(self, part: Part) -> nn.Module:
        """Return a part as a module with weights."""
        name = part.number, part.options, part_key(part).input
        if name not in self._modules:
            stage = self._supernet.stages[part.number]
            self._modules[name] = self._supernet.extract(part.architecture, stage).eval()
        return self._modules[name]

    def nothing(self, part: Part) -> bool:
        """Return whether a part computes nothing."""
        key = part_key(part)
        if key not in self._nothing:
            self._nothing[key] = computes_nothing(network_of(self.module(part)))
        return self._nothing[key]


def _combine_samples(
    loader: _Loader,
    parts: dict[PartKey, Part],
    rows: Iterable[Row],
    samples: dict[str, Samples],
) -> dict[PartKey, PartLatency]:
    """Combine the samples of each part over all rows that contain it."""
    values: dict[PartKey, list[float]] = {key: [] for key in parts}
    runs = dict.fromkeys(parts, 0)
    for row in rows:
        taken = samples[row.name]
        computing = [part_key(part) for part in row.parts if not loader.nothing(part)]
        for key, column in zip(computing, zip(*taken.nanoseconds, strict=True), strict=True):
            if key in values:
                values[key] += column
                runs[key] += taken.runs
    found = {}
    for key, part in parts.items():
        if loader.nothing(part):
            found[key] = PartLatency(0, 0, 0, nothing=True)
        else:
            found[key] = PartLatency(median(values[key]), spread(values[key]), runs[key])
    return found


def calibrate(network: nn.Module, images: Any) -> None:
    """Set batch-norm statistics from images, and put the network in evaluation mode.

    With initial statistics, the activations of a deep network shrink to denormal numbers, with
    which processors are many times slower.

    Args:
        network (nn.Module): network to modify.
        images (Any): input of the network.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.momentum = 1.0
    with torch.no_grad():
        network(tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, images))
    network.eval()


def _batched(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.dim() > 0


def random_like(value: Any, batch: int) -> Any:
    """Return random tensors with the shapes of meta tensors, for a batch of images.

    Args:
        value (Any): meta tensor or nested structure of meta tensors, for one image.
        batch (int): images per batch.

    Example:
        >>> random_like(torch.empty(1, 3, 8, 8, device="meta"), 4).shape
        torch.Size([4, 3, 8, 8])
    """
    generator = torch.Generator().manual_seed(0)

    def real(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        shape = (leaf.shape[0] * batch, *leaf.shape[1:]) if leaf.dim() else ()
        if not leaf.is_floating_point():
            return torch.zeros(shape, dtype=leaf.dtype)
        return torch.randn(shape, generator=generator).to(leaf.dtype)

    return tree_map(real, value)
