"""A model some of whose modules read a choice."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spos._util.errors import UserError
from spos.nn.choice import ChoiceModule
from spos.nn.searchable import Searchable
from spos.space import Architecture, Choice, SearchSpace


@dataclass(frozen=True)
class Stage:
    """A part of a supernet that runs after the one before it, and the choices that it reads.

    Args:
        name: its path in the model; empty where the model is one stage.
        module: what runs.
        choices: the positions in the search space of the choices read.
    """

    name: str
    module: nn.Module
    choices: tuple[int, ...]

    def options(self, architecture: Architecture) -> tuple[int, ...]:
        """The options that an architecture gives to this stage."""
        return tuple(architecture[position] for position in self.choices)


class Supernet(nn.Module):
    """A model with choices inside: one path of it is active, and only that runs.

    Any module serves: its choices are found wherever they sit. A model that is an
    ``nn.Sequential`` (of ``nn.Sequential``, and so on) is a sequence of stages; any other is a
    single stage: it works alike, only nothing is shared between candidates in evaluation.

    The model is taken over and changed: as in the paper, its batch norms lose their affine
    parameters, which :meth:`subnet` gives back.

    Args:
        model: a model that holds at least one :class:`spos.nn.ChoiceModule`.
        input_shape: the shape of one input, without the batch: (channels, height, width).
        affine: keep the affine parameters of batch norms, shared by all paths.

    Raises:
        UserError: the model has no choice, or modules that share a choice differ in its options.

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
        self.model = model
        self.input_shape = tuple(input_shape)
        positions: dict[str, int] = {}
        choices: list[Choice] = []
        self._readers: list[tuple[ChoiceModule, int]] = []
        for path, module in model.named_modules():
            if not isinstance(module, ChoiceModule):
                continue
            # A module found at a path keeps the path as its name, so that a copy or a part of the
            # model is read in the same way.
            module.choice_name = module.choice_name or path or type(module).__name__
            choice = Choice(module.choice_name, module.option_names, module.ordered)
            position = positions.setdefault(choice.name, len(choices))
            if position == len(choices):
                choices.append(choice)
            elif choices[position] != choice:
                raise UserError(
                    f"two modules share the choice '{choice.name}' but not its options: "
                    f"{', '.join(choices[position].options)} and {', '.join(choice.options)}"
                )
            self._readers.append((module, position))
        if not choices:
            raise UserError(
                f"{type(model).__name__} has no choice in it: put a spos.nn.OneOf where one is"
            )
        self.space = SearchSpace(choices)
        self.stages = tuple(
            Stage(path, module, tuple(sorted({positions[n] for n in _choice_names(module)})))
            for path, module in _parts(model)
        )
        self._stripped = set() if affine else set(_strip_affine(model))

    @property
    def active(self) -> Architecture:
        """The architecture of the active path."""
        options = [0] * len(self.space)
        for module, position in self._readers:
            options[position] = module.active
        return Architecture(options)

    def activate(self, architecture: Iterable[int]) -> None:
        """Make the path of an architecture the active one.

        Raises:
            UserError: it is not a point of the space.
        """
        valid = self.space.validate(architecture)
        for module, position in self._readers:
            module.active = valid[position]

    def forward(self, *inputs: Tensor) -> Any:
        """Run the active path."""
        return self.model(*inputs)

    def extract(self, architecture: Iterable[int], stage: Stage | None = None) -> nn.Module:
        """Copy the path of an architecture out of the supernet, its choices made.

        The copy has the classes of the model given, and the supernet's weights and statistics;
        affine parameters of batch norms are restored as ones and zeros.

        Args:
            architecture: a point of the space.
            stage: the stage to copy; the whole model without it.

        Returns:
            A module without choices that shares nothing with the supernet.
        """
        before = self.active
        self.activate(architecture)
        try:
            return self._extract(self.model if stage is None else stage.module)
        finally:
            self.activate(before)

    def _extract(self, root: nn.Module) -> nn.Module:
        memo: dict[int, Any] = {}

        def duplicate(module: nn.Module) -> nn.Module:
            # Where deepcopy meets a searchable module it finds it in the memo: inactive options are
            # never copied, and a user's own references to the module are replaced with it.
            for part in _outermost(module):
                if id(part) in memo:
                    continue
                if isinstance(part, Searchable):
                    memo[id(part)] = part.plain(duplicate)
                elif part in self._stripped:
                    memo[id(part)] = _with_affine(part)
            result: nn.Module = copy.deepcopy(module, memo)
            return result

        return duplicate(root)

    def subnet(self, architecture: Iterable[int]) -> fx.GraphModule:
        """The stand-alone network of an architecture, with the supernet's weights.

        It consists of torch modules only, so that it is saved, exported and deployed without
        ``spos``, and computes what the active path computes, bit for bit. Its batch norms have
        affine parameters.

        Args:
            architecture: a point of the space.

        Raises:
            UserError: the forward of the model has control flow that depends on its input or on
                whether it is in training, so that it is not one graph; :meth:`extract` serves such
                a model.
        """
        plain = self.extract(architecture)
        other = copy.deepcopy(plain).train(not plain.training)
        try:
            network = fx.symbolic_trace(plain)
            if fx.symbolic_trace(other).code != network.code:
                raise TypeError(
                    "it computes something else in training than in evaluation outside of torch's "
                    "own modules, such as nn.Dropout"
                )
        except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{type(self.model).__name__} cannot be written as one graph ({reason}): use "
                "Supernet.extract, which keeps the classes of your model"
            ) from error
        for name, module in network.named_modules():
            module.training = plain.get_submodule(name).training
        return network


def _choice_names(module: nn.Module) -> Iterator[str]:
    for child in module.modules():
        if isinstance(child, ChoiceModule):
            assert child.choice_name is not None
            yield child.choice_name


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    """The modules in a module, but not those inside of searchable ones."""
    yield module
    if not isinstance(module, Searchable):
        for child in module.children():
            yield from _outermost(child)


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    parts = list(_in_sequence("", model))
    tensors = [id(t) for _, part in parts for t in chain(part.parameters(), part.buffers())]
    # Parts with weights or statistics in common are not parts: neither their costs nor what
    # recalibration makes of them is the sum of what each has alone.
    return parts if len(set(tensors)) == len(tensors) else [("", model)]


def _in_sequence(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    # A subclass of Sequential may have a forward of its own.
    if type(module) is not nn.Sequential or not any(_choice_names(module)):
        yield path, module
        return
    # Not named_children, which leaves out a module that stands in the sequence a second time.
    for name, child in module._modules.items():
        assert child is not None
        yield from _in_sequence(f"{path}.{name}" if path else name, child)


def _strip_affine(model: nn.Module) -> Iterator[_BatchNorm]:
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.affine:
            module.affine = False
            module.register_parameter("weight", None)
            module.register_parameter("bias", None)
            yield module


def _with_affine(norm: _BatchNorm) -> _BatchNorm:
    restored = copy.deepcopy(norm)
    statistics = restored.running_mean
    like = torch.empty(restored.num_features) if statistics is None else statistics
    restored.affine = True
    restored.weight = nn.Parameter(torch.ones_like(like))
    restored.bias = nn.Parameter(torch.zeros_like(like))
    return restored
