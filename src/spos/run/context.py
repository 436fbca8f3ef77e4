"""The context that every stage of a run works in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos._util.listener import Listener
from spos._util.processes import launch, signals_held
from spos._util.randomness import torch_seed
from spos._util.records import write_record
from spos.cost import CostModel
from spos.data import ImageData, load_data
from spos.data.own_augmentation import (
    Augmentation,
    given_augmentations,
    restore_augmentations,
)
from spos.data.reading import reading
from spos.nn.supernet import Supernet
from spos.run.config import Config
from spos.run.costs import LATENCY_TABLE, add_bounded_costs, read_latency_table
from spos.run.directory import RunDirectory
from spos.run.fabric import make_fabric
from spos.run.side_by_side import Machines, ThisProcess, Workers
from spos.run.started import check_image_size, check_same_images, make_start_facts
from spos.run.task import Fitness, Task, check_picklable, make_fitness
from spos.spaces import family
from spos.spaces._own import own_model, register_model
from spos.training.method import METHODS, MakeMethod
from spos.training.teacher import Teacher

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(eq=False)
class Context:
    """Configuration, directory, devices and listener of a run.

    Args:
        config (Config): configuration of the run.
        frozen (Mapping): settings by section that are written when work starts.
        directory (RunDirectory): directory of the run.
        listener (Listener): receiver of progress and messages; must be picklable.
        devices (int): number of processes, each with one device, at least 1.
        device (int): number of the device among those of the machine, where it has several.
        accelerator (str): accelerator of Lightning Fabric: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        load (Callable | None): function that returns the images; None for the configured source.
        task (Task): loss of the trainings and fitness of the search.
        given_method (MakeMethod | None): method of the supernet's training; None for the configured
            one.
        teacher (Teacher | None): trained network for distillation when networks are retrained.
        workers (Workers): processes that carry out independent work.
        nodes (Machines | None): machines among which the processes of a training are divided; None
            for this one alone.
        notes (list[str]): what to tell once all checks have passed.
        beside (Callable | None): function that returns the networks to train at the same time as
            the winner, by the name of the stage of the run; None for none.
        copied_from (Path | None): run whose supernet was just copied here; None if none was.

    Attributes:
        reading (float): seconds in which the images were read; 0 before.
    """

    config: Config
    frozen: Mapping[str, Any]
    directory: RunDirectory
    listener: Listener
    _: KW_ONLY
    devices: int = 1
    device: int = 0
    accelerator: str = "auto"
    load: Callable[[], ImageData] | None = None
    task: Task = field(default_factory=Task)
    given_method: MakeMethod | None = None
    teacher: Teacher | None = None
    workers: Workers = field(default_factory=ThisProcess)
    nodes: Machines | None = None
    notes: list[str] = field(default_factory=list)
    beside: Callable[[Context], Mapping[str, str]] | None = None
    copied_from: Path | None = None
    reading: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        # Computed once and sent to other processes, because there a class of the user's script has
        # another module name, and functions may have changed their state.
        self.task_facts = self.task.facts()
        _ = self.fitness  # Raises if it does not suit the task.

    def __getstate__(self) -> dict[str, Any]:
        # Each process has its own Fabric and reads the images itself.
        own = ("workers", "nodes", "beside")
        omitted = ("fabric", "fitness", "data", "kept", "_cost_models", *own)
        kept = {k: v for k, v in self.__dict__.items() if k not in omitted}
        return {
            **kept,
            "own_model": own_model(self.config.layout),
            "own_augmentations": self._own_augmentations(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        model = state.pop("own_model")
        restore_augmentations(state.pop("own_augmentations"))
        self.__dict__.update(state, workers=ThisProcess(), nodes=None, beside=None)
        if model is not None:
            layout = self.config.layout
            register_model(model, layout.image_size, digest=layout.model)

    def check_picklable(self) -> None:
        """Check that everything of the user's own can be sent to other processes.

        Raises:
            UserError: something cannot.
        """
        check_picklable(
            self.task,
            self.load,
            method=self.given_method,
            teacher=self.teacher,
            model=own_model(self.config.layout),
            augment=self._own_augmentations(),
        )

    def _own_augmentations(self) -> dict[str, Augmentation]:
        return given_augmentations((self.config.supernet.augment, self.config.retrain.augment))

    @cached_property
    def fitness(self) -> Fitness:
        """Fitness of the search; a plan never changes it between stages."""
        search = self.config.search
        added = {
            "depth": search.depth_weight,
            "naswot": search.naswot_weight,
            "patterns": search.patterns_weight,
        }
        fitness = make_fitness(self.task, search.fitness, added)
        if search.racing and fitness.each is None:
            raise UserError(
                f"search.racing {search.racing}: candidates race by the scores of single images, "
                "and a function of your own gives one for a batch; leave the setting out"
            )
        return fitness

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What the evaluation of candidates goes on to use, such as the trained supernet."""
        return {}

    @cached_property
    def _cost_models(self) -> dict[bool, CostModel]:
        return {}

    @cached_property
    def fabric(self) -> Fabric:
        """Fabric with one device and the precision of the run; launched processes replace it."""
        several = self.accelerator != "cpu" and torch.cuda.device_count() > 1
        devices = [self.device % torch.cuda.device_count()] if several else 1
        return make_fabric(self.accelerator, self.config.run.precision, devices)

    def launch(self, work: Callable[..., Any], *arguments: Any, folder: str) -> Any:
        """Call a function in one process per device.

        Args:
            work (Callable): function of the context and of the arguments, defined at the top level
                of a module.
            arguments: passed on to ``work``.
            folder (str): folder of the run for the checkpoints of the work.

        Returns:
            Return value of the first process.
        """
        if self.devices == 1:
            return work(self, *arguments)
        self.check_picklable()
        if self.nodes is not None:
            return self.nodes.launch(self, work, arguments, folder)
        fabric = make_fabric(self.accelerator, self.config.run.precision, self.devices)
        # As a partial, because Fabric looks for tensors in records among the arguments.
        return launch(fabric, partial(_in_process, context=self, work=work, arguments=arguments))

    @property
    def method(self) -> MakeMethod:
        """Method of the supernet's training.

        Raises:
            UserError: the configured method does not exist.
        """
        return self.given_method or METHODS.find(self.config.supernet.method)

    def freeze(self) -> None:
        """Write the configuration and the facts about the data, once all checks have passed."""
        if not self.fabric.is_global_zero:
            return
        data, stored = self.data, self.directory.start_facts()
        started = stored or make_start_facts(data, self.config)
        # Signed from the first time on, so that it is not taken for that of another run.
        self.directory.freeze_config(self.frozen, started.run)
        while self.notes:
            self.listener.message(self.notes.pop(0))
        measured = read_latency_table(self.config, self.directory.path)
        if measured is not None:
            measured.write(self.directory.path / LATENCY_TABLE)
        # The former metric scored no network, or `check_same_task` would have refused this one.
        facts = dataclasses.replace(started, task=self.task_facts)
        if facts != stored:
            write_record(self.directory.data_path, facts)
        if not stored:
            for text in (*data.notes, *(f"skipped {name}" for name in data.skipped)):
                self.listener.message(text)

    @cached_property
    def data(self) -> ImageData:
        """The images, loaded once and checked to be those that the run was started with.

        Raises:
            UserError: the images cannot be read, or have changed.
        """
        given = dict(vars(self.config.data))
        source, mean, std = (given.pop(name) for name in ("source", "mean", "std"))
        with reading(self.listener) as watch:
            if self.load:
                data = self.load()
            else:
                side, seed = self.config.layout.image_size, self.config.run.seed
                data = load_data(source, **given, image_size=side, seed=seed)
        self.reading = watch.seconds
        check_image_size(data, self.config.layout.image_size)
        if mean:
            if len(mean) != data.channels:
                raise UserError(
                    f"data.mean has {len(mean)} values, the images have {data.channels} channels"
                )
            data = dataclasses.replace(data, mean=mean, std=std)
        self.task.check(bool(data.classes), data.source)
        check_same_images(self.directory, data, copied_from=self.copied_from, own=bool(self.load))
        return data

    def supernet(self, purpose: str = "supernet", seed: int | None = None) -> Supernet:
        """Build a supernet with fresh weights.

        Args:
            purpose (str): label of the random stream; the initial weights depend only on it and on
                the seed.
            seed (int | None): seed of the weights; None for the seed of the run.
        """
        data, seed = self.data, self.config.run.seed if seed is None else seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(seed, "weights", purpose))
            return family(self.config.space).build(
                self.config.layout, classes=data.outputs, image_channels=data.channels
            )

    def costs(self, supernet: Supernet, *, eager: bool = True) -> CostModel:
        """Cost model of the run's space, including every cost that the run bounds.

        Raises:
            UserError: a bounded cost does not exist.
        """
        # Counting a large space takes seconds, and every stage asks for it. One that has counted
        # everything serves where counting on first use would do.
        known = self._cost_models.get(True) or self._cost_models.get(eager)
        if known is None:
            config, path = self.config, self.directory.path
            own = family(config.space).costs(supernet, eager=eager)
            known = add_bounded_costs(own, supernet, config, path, eager=eager)
            self._cost_models[eager] = known
        return known

    def in_memory_format(
        self, batches: Iterable[tuple[Tensor, Tensor]], channels_last: bool | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches in the memory format of the run, or in another one."""
        if channels_last is None:
            channels_last = self.config.run.channels_last
        remaining = iter(batches)
        # The first batch starts the worker processes that read images. An interrupt reaches all
        # processes, but this one still trains until its state is saved, so the workers ignore it.
        with signals_held():
            first = list(islice(remaining, 1))
        for inputs, targets in chain(first, remaining):
            if channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            yield inputs, targets


def _in_process(
    fabric: Fabric, context: Context, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    context.fabric = fabric
    return work(context, *arguments)
