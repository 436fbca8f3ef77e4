"""A part of a supernet with its choices made: what a cost table counts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from spos._util.errors import UserError
from spos.nn.supernet import Stage, Supernet
from spos.space import Architecture

Module = TypeVar("Module", bound=nn.Module)
#: The options of the choices that a stage reads, in their order.
Options = tuple[int, ...]
#: Costs in the order of their names.
Costs = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A stage of a supernet with some options, and what comes into it.

    Args:
        supernet: on the meta device.
        kind: the number of the first stage that is built like it.
        number: of the stage.
        options: of the choices that it reads.
        value: its input, for one image: a meta tensor, or whatever of meta tensors it reads.
    """

    supernet: Supernet
    kind: int
    number: int
    options: Options
    value: Any

    @property
    def stage(self) -> Stage:
        return self.supernet.stages[self.number]

    @property
    def architecture(self) -> Architecture:
        """An architecture that takes the options."""
        chosen = dict(zip(self.stage.choices, self.options, strict=True))
        return Architecture(chosen.get(place, 0) for place in range(len(self.supernet.space)))

    def network(self) -> nn.Module:
        """What runs, on the meta device, without choices."""
        return self.supernet.extract(self.architecture, self.stage)


class Counter(Protocol):
    """Counts some costs of a part of a supernet.

    ``names`` are the costs; ``peak`` says that an architecture costs what its costliest part does,
    not all of them together. It is called with a part, gives the costs as whole numbers and the
    output, and raises UserError where the part does not run.
    """

    peak: bool

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, part: Part) -> tuple[Costs, Any]: ...


def on_meta(module: Module) -> Module:
    """A copy without values: it runs on tensors of the meta device, and takes no memory.

    Args:
        module: any module; parameters that it shares between modules stay shared in the copy.

    Example:
        >>> on_meta(nn.Linear(2, 3)).weight.device
        device(type='meta')
    """
    memo: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    for parameter in module.parameters():
        empty = parameter.detach().to("meta")
        memo[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
    return copy.deepcopy(module, memo)


def run(module: nn.Module, value: Any, forward: Callable[[Any], Any] | None = None) -> Any:
    """The output of a module in evaluation, on the meta device.

    Args:
        module: without choices, on the meta device.
        value: its input.
        forward: how to run it; by a call without it.

    Raises:
        UserError: it does not run on the input.
    """
    module.eval()
    try:
        with torch.no_grad(), _NormsSkipped():
            return (forward or module)(value)
    except Exception as error:
        given = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else str(type(value))
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{type(module).__name__} does not run on input of {given}: {reason}"
        ) from error


class _NormsSkipped(TorchFunctionMode):
    # Batch norms have no multiply-adds by the field's count, but on the meta device each of them
    # becomes some thirty operations, which take longer than all convolutions.
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.batch_norm:
            inputs, mean = args[:2]
            if mean is not None and len(mean) != inputs.shape[1]:
                raise RuntimeError(
                    f"batch norm of {len(mean)} channels on input with {inputs.shape[1]}"
                )
            return torch.empty_like(inputs)
        return func(*args, **(kwargs or {}))
