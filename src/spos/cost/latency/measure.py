"""Measuring the latency table of a supernet."""

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
from spos._util.version import __version__
from spos.cost.latency.backend import Backend, Sampler, Step, check_runtime, make_backend
from spos.cost.latency.plan import computes_nothing, network_of, parts_of
from spos.cost.latency.record import PartKey, PartLatency, Runtime, part_key
from spos.cost.latency.rounds import Samples, median, sample_rounds, spread
from spos.cost.latency.rows import Row, rows_of
from spos.cost.latency.table import LatencyTable, outputs_of, plain_layout
from spos.cost.part import Part
from spos.nn.supernet import Supernet

#: Samples of each row of parts.
ROUNDS = 15
#: Images that statistics of batch norms are taken of.
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

    Parts run in rows, as whole networks, each part on the output of the one before it, and each of
    them is timed: alone in a loop it would find more in the caches than it does in a network.

    Args:
        supernet: with any weights; it is left as it is.
        out: the file to write; what is known before the end is kept in FILE.partial beside it.
        space: of the catalogue; empty for a model of your own, as the next two.
        preset: of the space.
        layout: a dataclass of its settings.
        backend: ``torch``, ``torch.compile`` or ``onnxruntime``.
        accelerator: ``cpu`` or ``cuda``.
        threads: of the CPU, at least 1.
        batch: images at once, at least 1.
        channels_last: the memory layout of images and weights in torch.
        rounds: samples of each row of parts, at least 1.
        listener: told of the progress.
        make: makes the backend of a runtime, given a folder for what it keeps between sittings.

    Returns:
        The table, not fitted.

    Raises:
        UserError: the conditions are not to be had here, a part does not run, or a file beside
            ``out`` is of another measurement.

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
        "layout": {} if layout is None else plain_layout(layout),
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
    found = _gathered(loader, parts, rows, samples)
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    table = LatencyTable(**facts, runtime=runtime, versions=versions, date=date, parts=found)
    if out is not None:
        table.write(out)
    forget(partial_path, kept)
    return table


def versions_of(backend: Backend) -> dict[str, str]:
    """The versions of all that a latency depends on."""
    return {"spos": __version__, **backend.versions}


def conditions(
    runtime: Runtime, versions: Mapping[str, str], supernet: Supernet, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What samples depend on, as JSON gives it back."""
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in facts.items()}
    shapes = [(name, list(tensor.shape)) for name, tensor in supernet.state_dict().items()]
    model = hashlib.sha256(f"{supernet}{shapes}".encode()).hexdigest()[:12]
    return {**plain, "model": model, **vars(runtime), **versions}


def beside(out: Path | None, ending: str) -> Path | None:
    """A file beside another one; none where that is not written.

    Raises:
        UserError: its folder does not exist.
    """
    if out is None:
        return None
    if out.is_dir():
        raise UserError(f"--out {out}: it is a folder; give the name of a file in it")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    return out.with_name(out.name + ending)


def forget(partial_path: Path | None, kept: Path | None) -> None:
    """Remove what a finished measurement needs no more."""
    if partial_path is not None:
        partial_path.unlink(missing_ok=True)
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)


class _Loader:
    """Brings the parts of rows onto the device, each option of each stage once."""

    def __init__(self, supernet: Supernet, backend: Backend, batch: int) -> None:
        self._supernet, self._backend, self._batch = supernet, backend, batch
        self._modules: dict[tuple[int, tuple[int, ...], str], nn.Module] = {}
        self._steps: dict[tuple[int, tuple[int, ...], str], Step] = {}
        self._nothing: dict[PartKey, bool] = {}

    def prepare(self, row: Row) -> Sampler:
        """What takes samples of the parts of a row that compute something."""
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
        """A part with weights."""
        name = part.number, part.options, part_key(part).input
        if name not in self._modules:
            stage = self._supernet.stages[part.number]
            self._modules[name] = self._supernet.extract(part.architecture, stage).eval()
        return self._modules[name]

    def nothing(self, part: Part) -> bool:
        """Whether a part computes nothing."""
        key = part_key(part)
        if key not in self._nothing:
            self._nothing[key] = computes_nothing(network_of(self.module(part)))
        return self._nothing[key]


def _gathered(
    loader: _Loader,
    parts: dict[PartKey, Part],
    rows: Iterable[Row],
    samples: dict[str, Samples],
) -> dict[PartKey, PartLatency]:
    """The samples of each part from all rows that it is in."""
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
    """Give batch norms the statistics of some images, and leave the network in evaluation.

    With fresh ones a deep network shrinks its values, down to numbers so small that processors are
    many times slower with them.
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
    """Random values of the shapes of a meta value of one image, for many.

    Args:
        value: a meta tensor, or whatever of them.
        batch: how many images.

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
