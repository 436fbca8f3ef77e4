"""Models as graphs of torch modules, by torch.fx."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

from torch import Tensor, fx, nn

from spos._util.errors import UserError

#: What tensors are called that a forward makes.
_MADE = "_tensor_constant"
#: A trace takes the calls of all modules until it ends, and gives back what it found.
_ONE_AT_A_TIME = RLock()


@contextmanager
def one_graph(what: str, otherwise: str) -> Iterator[None]:
    """Raise the errors of torch.fx inside as one of the user's, who has a model it cannot trace.

    Args:
        what (str): name of the model in the error.
        otherwise (str): end of the error, with its punctuation.
    """
    try:
        yield
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{what} cannot be written as one graph ({reason}){otherwise}") from error


class _Tracer(fx.Tracer):
    """A tracer for which a forward is called as a run calls it, with its inputs alone.

    That of torch gives a symbol for every argument, so that ``x if mask is None else x * mask``
    becomes a product that is never computed. And modules that other threads run meanwhile, whose
    calls torch.fx takes as well, run as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = get_ident()

    def call_module(
        self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        parameters = list(inspect.signature(root_fn).parameters.values())[1:]
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        inputs = [one for one in parameters if one.kind in kinds and one.default is one.empty]
        return root_fn, [
            self.root,
            *(self.create_proxy("placeholder", one.name, (), {}) for one in inputs),
        ]


def trace(module: nn.Module) -> fx.Graph:
    """Trace the operations of a module, whose optional arguments are left out.

    Args:
        module (nn.Module): any module; it gets the tensors that its forward makes as attributes.

    Example:
        >>> class Masked(nn.Module):
        ...     def forward(self, x, mask=None):
        ...         return x.relu() if mask is None else x * mask
        >>> [node.name for node in trace(Masked()).nodes]
        ['x', 'relu', 'output']
    """
    with _ONE_AT_A_TIME:
        graph = _Tracer().trace(module)
    # Pickles of the graph name its tracer, and are read without spos.
    graph._tracer_cls = fx.Tracer
    return graph


def to_graph(module: nn.Module) -> fx.GraphModule:
    """Make a graph of torch modules that computes what a module computes, in its mode.

    Args:
        module (nn.Module): module without choices; left in the other mode.

    Raises:
        TypeError: it computes something else in training than in evaluation, or each time.
    """
    network = fx.GraphModule(module, trace(module), type(module).__name__)
    made = _take_made(module)
    # Of the other mode the graph alone, which needs no second copy of the weights.
    other = trace(module.train(not module.training))
    again = _take_made(module)
    outside = "outside of torch's own modules, such as nn.Dropout"
    if str(other) != str(network.graph):
        raise TypeError(f"it computes something else in training than in evaluation {outside}")
    if not all(_same(made[name], again[name]) for name in made):
        raise TypeError(
            f"it makes another tensor each time, or something else in training, {outside}"
        )
    mode = module.training
    if not all(one.training for one in module.train().modules()):
        raise TypeError("its train() keeps a part in evaluation mode, which a graph does not")
    module.train(mode)
    return network


def _take_made(module: nn.Module) -> dict[str, Tensor]:
    # With those of before, the same operations would have other names.
    return {name: vars(module).pop(name) for name in list(vars(module)) if name.startswith(_MADE)}


def _same(one: Tensor, other: Tensor) -> bool:
    return one.is_meta or one.equal(other)
