"""What every stage of a run works with."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from spos._util.errors import UserError, nearest
from spos._util.files import read_own, write_json
from spos._util.listener import Listener
from spos._util.processes import launch, signals_held
from spos._util.randomness import torch_seed
from spos.cost import CostModel, count_network
from spos.data import ImageData, load_data
from spos.nn.supernet import Supernet
from spos.run.config import FREE, Config
from spos.run.costs import LATENCY_TABLE, latency_table, with_bounded
from spos.run.directory import RunDirectory
from spos.run.task import DEFAULT, Task, check_same, check_sendable
from spos.spaces import family, is_name
from spos.spaces.zoo import NETWORKS, build_network
from spos.training.checkpoint import digest
from spos.training.method import METHODS, MakeMethod
from spos.training.teacher import Teacher


class Context:
    """A run: its configuration, its directory, its devices, and who is told.

    Args:
        config: of the run.
        fixed: what of it is written down when the work begins.
        directory: of the run.
        listener: told of progress; it is sent to other processes.
        devices: processes, each with one device.
        accelerator: of Lightning Fabric: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        load: gives the images, instead of the source that the configuration names.
        task: the loss of the trainings and the fitness of the search.
        method: what the steps of the supernet's training train, instead of the method that the
            configuration names.
        teacher: a trained network that the networks found learn from.
    """

    def __init__(
        self,
        config: Config,
        fixed: Mapping[str, Any],
        directory: RunDirectory,
        listener: Listener,
        *,
        devices: int = 1,
        accelerator: str = "auto",
        load: Callable[[], ImageData] | None = None,
        task: Task | None = None,
        method: MakeMethod | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.config = config
        self.fixed = fixed
        self.directory = directory
        self.listener = listener
        self.devices = devices
        self.accelerator = accelerator
        self.load = load or partial(_load, config)
        self.task = task or Task()
        self.given_method = method
        self.teacher = teacher
        # Once, and sent to other processes: there, a class of the user's script has another name,
        # and functions may change what they hold.
        self.task_facts = self.task.facts()

    def __getstate__(self) -> dict[str, Any]:
        # Each process has a Fabric of its own, and reads the images itself.
        return {k: v for k, v in self.__dict__.items() if k not in ("fabric", "_data")}

    @cached_property
    def fabric(self) -> Fabric:
        """One device and the precision of the run; the processes of a launch have another."""
        return self._make_fabric(1)

    def _make_fabric(self, devices: int) -> Fabric:
        precision: Any = self.config.run.precision
        try:
            with warnings.catch_warnings():
                # That it takes another precision where there is none of this: that is refused here.
                warnings.filterwarnings("ignore", message=".*AMP with fp16")
                fabric = Fabric(
                    accelerator=self.accelerator,
                    devices=devices,
                    strategy="ddp_spawn" if devices > 1 else "auto",
                    precision=precision,
                )
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"--accelerator {self.accelerator} --devices {devices}: {reason}"
            ) from error
        if precision == "16-mixed" and fabric.device.type == "cpu":
            raise UserError(
                "run.precision 16-mixed: not available on the CPU; allowed there: 32-true, "
                "bf16-mixed"
            )
        return fabric

    def launch(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do work in as many processes as there are devices.

        Args:
            work: a function of the context and the arguments, at the top level of a module.
            arguments: to pass on.

        Returns:
            What the first process returns.
        """
        if self.devices == 1:
            return work(self, *arguments)
        check_sendable(self.task, self.load, method=self.given_method, teacher=self.teacher)
        return launch(self._make_fabric(self.devices), _in_process, self, work, arguments)

    @property
    def method(self) -> MakeMethod:
        """What the steps of the supernet's training train.

        Raises:
            UserError: the configuration names no method that there is.
        """
        return self.given_method or METHODS.find(self.config.supernet.method)

    def begin(self) -> None:
        """Fix on disk what the run is, once all that might be refused has been looked at."""
        if not self.fabric.is_global_zero:
            return
        self.directory.fix(self.fixed)
        measured = latency_table(self.config, self.directory.path)
        if measured is not None:
            measured.write(self.directory.path / LATENCY_TABLE)
        data = self.data()
        if self._data_path.exists():
            stored = read_own(self._data_path)
            if stored.get("task", DEFAULT) != self.task_facts:
                # Nothing was judged by the metric before, else this one would have been refused.
                write_json(self._data_path, {**stored, "task": self.task_facts})
        else:
            write_json(self._data_path, {**data.facts(), "task": self.task_facts})
            for text in (*data.notes, *(f"skipped {name}" for name in data.skipped)):
                self.listener.message(text)

    def data(self) -> ImageData:
        """The images, the same as when the run began.

        Raises:
            UserError: they cannot be read, or have changed.
        """
        cached: ImageData | None = self.__dict__.get("_data")
        if cached is None:
            settings = self.config.data
            cached = self.load()
            if settings.mean:
                if len(settings.mean) != cached.channels:
                    raise UserError(
                        f"data.mean has {len(settings.mean)} values, the images have "
                        f"{cached.channels} channels"
                    )
                cached = dataclasses.replace(cached, mean=settings.mean, std=settings.std)
            self.task.check(bool(cached.classes), cached.source)
            self._check_data(cached)
            self.__dict__["_data"] = cached
        return cached

    @property
    def _data_path(self) -> Path:
        return self.directory.path / "data.json"

    def _check_data(self, data: ImageData) -> None:
        if not self._data_path.exists():
            return
        if read_own(self._data_path).get("fingerprint") != data.fingerprint:
            raise UserError(
                f"the images of {data.source} are not those that {self.directory.path} began with "
                f"({self._data_path} says which): restore them, or give another --out"
            )

    def check_task(self) -> None:
        """Refuse a task that is not the one of what the run has done so far.

        Raises:
            UserError: it is another one.
        """
        if self._data_path.exists():
            stored = read_own(self._data_path).get("task", DEFAULT)
            judged = any(map(self.directory.is_finished, ("search", "retrain")))
            check_same(stored, self.task_facts, judged, str(self.directory.path))

    def supernet(self, data: ImageData, purpose: str = "supernet") -> Supernet:
        """A fresh supernet for the data.

        Args:
            data: decides the number of outputs and of image channels.
            purpose: the initial weights depend on it and the seed alone.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(self.config.run.seed, "weights", purpose))
            return family(self.config.space).build(
                self.config.layout, classes=data.outputs, image_channels=data.channels
            )

    def network(self, data: ImageData, text: str) -> tuple[nn.Module, dict[str, int]]:
        """A network with fresh weights, to be trained alone, and its costs.

        Args:
            data: decides the number of outputs and of image channels.
            text: the name of a published network, or an architecture of the run's space.

        Raises:
            UserError: there is no such network.
        """
        member, preset = family(self.config.space), self.config.preset
        own = text in member.networks and member.networks[text][0] == preset
        # A point of the run's own space has the layout of the run.
        if own or text not in NETWORKS:
            supernet = self.supernet(data, "retrain")
            if is_name(text) and text not in member.networks:
                known = nearest(text, dict.fromkeys((*NETWORKS, *member.networks)))
                raise UserError(f"unknown network '{text}': {known}")
            architecture = member.parse(supernet.space, preset, text)
            # Of the network, which is a graph, bit operations could not be counted any more.
            costs = self.costs(supernet, eager=False).cost(architecture)
            return supernet.subnet(architecture), costs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(self.config.run.seed, "weights", "retrain"))
            network = build_network(
                text,
                classes=data.outputs,
                image_channels=data.channels,
                image_size=data.image_size,
            )
        return network, count_network(network, (data.channels, data.image_size, data.image_size))

    def costs(self, supernet: Supernet, *, eager: bool = True) -> CostModel:
        """The costs of the architectures of the run's space, and those that its bounds are about.

        Args:
            supernet: of the run.
            eager: count every option now.

        Raises:
            UserError: a bound is about a cost that there is not.
        """
        own = family(self.config.space).costs(supernet, eager=eager)
        return with_bounded(own, supernet, self.config, self.directory.path, eager=eager)

    def laid_out(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches in the memory layout of the run."""
        remaining = iter(batches)
        # With the first batch, processes that read images are started. A signal to all processes
        # asks this one to stop when it has saved its state, so that they have to go on until then.
        with signals_held():
            first = list(islice(remaining, 1))
        for inputs, targets in chain(first, remaining):
            if self.config.run.channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            yield inputs, targets

    def evaluation_fingerprint(self, data: ImageData, supernet: Supernet) -> str:
        """What the score of an architecture depends on: evaluations with the same one agree."""
        plain = self.config.as_plain()
        run = {name: value for name, value in plain["run"].items() if f"run.{name}" not in FREE}
        parts = {"layout": plain["layout"], "data": data.fingerprint, "run": run}
        if not self.task.measures_top1:
            parts["fitness"] = self.task_facts["fitness"]
        text = json.dumps(parts, sort_keys=True)
        return digest(supernet.state_dict(), text)[:16]

    def clock_path(self, stage: str) -> Path:
        """Where the seconds spent on a stage are noted."""
        return self.directory.path / f".{stage}-seconds"

    def clock(self, stage: str) -> float:
        """The seconds that earlier sittings spent on a stage."""
        try:
            return float(self.clock_path(stage).read_text())
        except (OSError, ValueError):
            return 0.0

    def set_clock(self, stage: str, seconds: float) -> None:
        """Note the seconds spent on a stage, now and then."""
        now = time.monotonic()
        if now - self.__dict__.get("_noted", 0.0) > 5:
            self.__dict__["_noted"] = now
            write_json(self.clock_path(stage), seconds)


def _in_process(
    fabric: Fabric, context: Context, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    context.__dict__["fabric"] = fabric
    return work(context, *arguments)


def _load(config: Config) -> ImageData:
    settings = config.data
    return load_data(
        settings.source,
        image_size=config.layout.image_size,
        validation=settings.validation,
        test=settings.test,
        seed=config.run.seed,
        on_broken=settings.on_broken,
        stream=settings.stream,
        workers=settings.workers,
    )
