"""The supernet: a model that contains choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from operator import index
from threading import RLock
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from spos._util.errors import UserError, check_kind
from spos.nn.choice import ChoiceModule, Searchable
from spos.nn.copying import check_copies, copy_module
from spos.nn.one_of import OneOf
from spos.nn.tracing import one_graph, to_graph
from spos.space import Architecture, Choice, SearchSpace

#: Attribute of the batch norms whose affine parameters a supernet took.
_LOST = "_spos_affine"
#: A path is active while it is copied. Not an attribute of the supernet: a lock cannot be copied.
_ONE_AT_A_TIME = RLock()


@dataclass(frozen=True)
class Stage:
    """One of the modules that a supernet runs in sequence, and the choices that it reads.

    Args:
        name (str): path of the module in the model; empty if the whole model is one stage.
        module (nn.Module): module of the stage.
        choices (tuple[int, ...]): positions in the search space of the choices that it reads.

    Example:
        >>> layer = OneOf({"linear": nn.Linear(2, 2), "skip": nn.Identity()})
        >>> stages = Supernet(nn.Sequential(layer, nn.ReLU()), (2,)).stages
        >>> [(stage.name, stage.choices) for stage in stages]
        [('0', (0,)), ('1', ())]
    """

    name: str
    module: nn.Module
    choices: tuple[int, ...]

    def options(self, architecture: Architecture) -> tuple[int, ...]:
        """Return the options of an architecture for the choices of this stage.

        Args:
            architecture (Architecture): architecture of the supernet's space.
        """
        return tuple(architecture[position] for position in self.choices)


class Supernet(nn.Module):
    """A model that contains choices; only its active path runs.

    Any module can be used; choices are found at any depth. An ``nn.Sequential``, possibly nested,
    is a sequence of stages, whose results the evaluation of several candidates can share. Any other
    model is a single stage.

    The model is modified in place: as in the official release, its batch norms lose their affine
    parameters, which :meth:`subnet` restores. Those that are frozen (``requires_grad=False``) stay.

    Args:
        model (nn.Module): model that contains at least one :class:`spos.nn.ChoiceModule`.
        input_shape (tuple[int, ...]): shape of one input without the batch dimension, such as
            (channels, height, width).
        affine (bool): whether batch norms keep their affine parameters, shared by all paths.

    Raises:
        UserError: the model has no choice, modules that share a choice differ in its options, or an
            instance norm has running statistics; or affine parameters are to be kept that another
            supernet took.

    Source: Guo et al., Section 3.

    Example:
        >>> from spos.nn import OneOf
        >>> model = nn.Sequential(
        ...     OneOf({"3x3": nn.Conv2d(3, 8, 3, padding=1), "1x1": nn.Conv2d(3, 8, 1)}),
        ...     nn.BatchNorm2d(8),
        ... )
        >>> supernet = Supernet(model, (3, 32, 32))
        >>> supernet.space
        SearchSpace(1 choices, 2 architectures)
        >>> supernet.activate([1])
        >>> supernet(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 8, 32, 32])
    """

    def __init__(
        self, model: nn.Module, input_shape: tuple[int, ...], *, affine: bool = False
    ) -> None:
        super().__init__()
        check_kind(model, nn.Module, "model", "a module with choices")
        check_copies(model)
        self.model = model
        self.input_shape = _as_shape(input_shape)
        choices: dict[str, Choice] = {}
        self._readers: list[tuple[ChoiceModule, int]] = []
        for path, module in model.named_modules():
            if isinstance(module, _InstanceNorm) and module.track_running_stats:
                raise UserError(
                    f"{path or type(module).__name__} is an instance norm with running statistics, "
                    "which would mix those of all paths; set track_running_stats=False"
                )
            if not isinstance(module, ChoiceModule):
                continue
            # The path becomes the name of the choice, so that a copy or a part of the model has the
            # same choice names.
            module.choice_name = module.choice_name or path or type(module).__name__
            choice = Choice(module.choice_name, module.option_names, module.ordered)
            shared = choices.setdefault(choice.name, choice)
            if shared != choice:
                raise UserError(
                    f"two modules share the choice '{choice.name}' but not its options: "
                    f"{', '.join(shared.options)} and {', '.join(choice.options)}"
                )
            self._readers.append((module, list(choices).index(choice.name)))
        if not choices:
            raise UserError(
                f"{type(model).__name__} has no choice in it: put a spos.nn.OneOf where one is"
            )
        read: dict[nn.Module, int] = dict(self._readers)
        inside: list[list[list[tuple[int, int]]]] = [[] for _ in choices]
        for module, outer in _placed(model, ()):
            inside[read[module]].append([(read[one], option) for one, option in outer])
        self.space = SearchSpace(choices.values(), inside)
        self.stages = tuple(
            Stage(path, module, tuple(sorted({read[m] for m in module.modules() if m in read})))
            for path, module in _stage_modules(model)
        )
        if affine and any(getattr(module, _LOST, False) for module in model.modules()):
            raise UserError(
                "batch norms of the model lost their affine parameters to an earlier supernet: "
                "build the model again"
            )
        self._stripped = set() if affine else set(_strip_affine(model))

    @property
    def active(self) -> Architecture:
        """Architecture of the active path."""
        options = [0] * len(self.space)
        for module, position in self._readers:
            options[position] = module.active
        return Architecture(options)

    def activate(self, architecture: Iterable[int]) -> None:
        """Activate the path of an architecture.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Raises:
            UserError: ``architecture`` is not in the space.
        """
        valid = self.space.validate(architecture)
        for module, position in self._readers:
            module.active = valid[position]
            if isinstance(module, OneOf):
                module.mixture = None

    def forward(self, *inputs: Tensor) -> Any:
        """Run the active path."""
        return self.model(*inputs)

    def extract(self, architecture: Iterable[int], stage: Stage | None = None) -> nn.Module:
        """Copy the path of an architecture as a module without choices.

        The copy keeps the classes of the original model, and the weights and statistics of the
        supernet; affine parameters of batch norms are restored as ones and zeros. Several threads
        may extract at the same time, as long as none activates or runs a path.

        Args:
            architecture (Iterable[int]): one option index per choice.
            stage (Stage | None): stage to copy; None copies the whole model.

        Returns:
            A module without choices that shares no tensors with the supernet.

        Raises:
            UserError: ``architecture`` is not in the space.
        """
        with _ONE_AT_A_TIME:
            before = self.active
            self.activate(architecture)
            try:
                return self._copy(self.model if stage is None else stage.module)
            finally:
                self.activate(before)

    def _copy(self, module: nn.Module) -> nn.Module:
        memo: dict[int, Any] = {}
        # A norm may have neither parameters nor statistics that tell where the model is.
        tensors = chain(self.parameters(), self.buffers())
        like = next((one for one in tensors if one.is_floating_point()), torch.empty(()))

        def duplicate(module: nn.Module) -> nn.Module:
            # deepcopy takes the replacement of a searchable module from the memo. So inactive
            # options are never copied, and other references to the module are replaced as well.
            for part in _modules_outside_searchable(module):
                if id(part) in memo:
                    continue
                if isinstance(part, Searchable):
                    _refuse_hooks(part)
                    memo[id(part)] = part.plain(duplicate)
                elif part in self._stripped:
                    memo[id(part)] = _restore_affine(part, like)
            return copy_module(module, memo)

        return duplicate(module)

    def subnet(self, architecture: Iterable[int]) -> fx.GraphModule:
        """Return the stand-alone network of an architecture, with the supernet's weights.

        The network consists of torch modules only, so that it can be saved, exported and deployed
        without ``spos``. Its outputs are bit-identical to those of the active path. Its batch norms
        have affine parameters.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Raises:
            UserError: ``architecture`` is not in the space, or the model's control flow depends on
                its input or on the training mode, so that it cannot be traced; use :meth:`extract`
                for such a model.
        """
        _refuse_hooks(self.model)
        plain = self.extract(architecture)
        modes = [(module, module.training) for module in plain.modules()]
        otherwise = ": use Supernet.extract, which keeps the classes of your model"
        with one_graph(type(self.model).__name__, otherwise):
            network = to_graph(plain)
        for module, training in modes:
            module.training = training
        for name, module in network.named_modules():
            module.training = plain.get_submodule(name).training
        return network


def _as_shape(given: Iterable[int]) -> tuple[int, ...]:
    with suppress(TypeError):
        sizes = tuple(map(index, given))
        if all(size > 0 for size in sizes):
            return sizes
    raise UserError(
        f"input_shape {given!r:.80}: must be the sizes of one input, such as (3, 32, 32)"
    )


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _refuse_hooks(module: nn.Module) -> None:
    if _hooked(module):
        choice = module.choice_name if isinstance(module, ChoiceModule) else None
        what = f"the choice '{choice}'" if choice else type(module).__name__
        raise UserError(
            f"{what} has a forward hook, which extracted networks would lose: remove it, or move "
            "what it does into the forward of a module"
        )


def _modules_outside_searchable(module: nn.Module) -> Iterator[nn.Module]:
    """Iterate over the modules of a model without descending into searchable ones."""
    yield module
    if not isinstance(module, Searchable):
        for child in module.children():
            yield from _modules_outside_searchable(child)


def _placed(
    module: nn.Module, outer: tuple[tuple[OneOf, int], ...]
) -> Iterator[tuple[ChoiceModule, tuple[tuple[OneOf, int], ...]]]:
    """The modules of choices, in every place, with the options that they are inside of."""
    if isinstance(module, ChoiceModule):
        yield module, outer
    # A subclass may run other options, and other modules, than the active one.
    if type(module) is OneOf:
        for option, child in enumerate(module.options):
            yield from _placed(child, (*outer, (module, option)))
    else:
        for child in module.children():
            yield from _placed(child, outer)


def _stage_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    parts = list(_flatten_sequential("", model))
    tensors = [id(t) for _, part in parts for t in chain(part.parameters(), part.buffers())]
    # Modules that share weights or statistics cannot be separate stages: their costs would be
    # counted twice, and recalibrating one would change the other.
    return parts if len(set(tensors)) == len(tensors) else [("", model)]


def _flatten_sequential(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    # A subclass of Sequential may have a forward of its own, and a hook may change what it gives.
    choices = (isinstance(child, ChoiceModule) for child in module.modules())
    if type(module) is not nn.Sequential or _hooked(module) or not any(choices):
        yield path, module
        return
    # named_children would skip a module that occurs a second time in the sequence.
    for name, child in module._modules.items():
        assert child is not None
        yield from _flatten_sequential(f"{path}.{name}" if path else name, child)


def _strip_affine(model: nn.Module) -> Iterator[_BatchNorm]:
    for module in model.modules():
        # Those that lost them to another supernet of the same model had them as well.
        if not isinstance(module, _BatchNorm) or not (module.affine or hasattr(module, _LOST)):
            continue
        # Paths do not share what is not trained: it is a constant of the model.
        if module.weight is None or module.weight.requires_grad:
            module.affine = False
            setattr(module, _LOST, True)
            module.register_parameter("weight", None)
            module.register_parameter("bias", None)
            yield module


def _restore_affine(norm: _BatchNorm, like: Tensor) -> _BatchNorm:
    restored = copy_module(norm, {})
    if restored.running_mean is not None:
        like = restored.running_mean
    restored.affine = True
    restored.__dict__.pop(_LOST, None)
    restored.weight = nn.Parameter(like.new_ones(restored.num_features))
    restored.bias = nn.Parameter(like.new_zeros(restored.num_features))
    return restored
