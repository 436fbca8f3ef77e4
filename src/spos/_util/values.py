"""Values as text, by which what two calls are given is told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: Types of values that are compared by what they are.
PLAIN = (bool, int, float, str, bytes, type(None))
#: Attributes that every module has, such as its mode.
_COMMON = frozenset(vars(nn.Module()))


def shown(value: Any) -> str | None:
    """Write a number, text, tensor or array, or a container or an object of nothing else.

    Args:
        value (Any): any value.

    Returns:
        The same text for the same values; None if there is something else in it, such as a
        function, or a parameter, which is drawn anew.

    Example:
        >>> shown({"sizes": (1, 2)}), shown([nn.Parameter(torch.zeros(1))])
        ("['dict', ('sizes', ['tuple', 1, 2])]", None)
    """
    try:
        return repr(_plain(value, 4))
    # Tensors without memory of their own, such as sparse ones, cannot be read as bytes.
    except (TypeError, RuntimeError):
        return None


def shown_attributes(values: Mapping[str, Any]) -> str:
    """Write the attributes of an object that can be shown, but for those of every module.

    Example:
        >>> shown_attributes({"training": True, "rate": 0.5, "layer": nn.ReLU()})
        "[('rate', '0.5')]"
    """
    found = ((name, shown(one)) for name, one in values.items() if name not in _COMMON)
    return repr(sorted((name, text) for name, text in found if text is not None))


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        content = value.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
        return str(value.dtype), *_of_array(content.view(torch.uint8).numpy()), *value.shape
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return _of_array(value)
    # Circles end here as well.
    if depth == 0 or callable(value) or isinstance(value, (ModuleType, nn.Parameter)):
        raise TypeError
    kind = type(value).__qualname__
    if isinstance(value, (list, tuple)):
        return [kind, *(_plain(one, depth - 1) for one in value)]
    if isinstance(value, (set, frozenset)):
        return [kind, *sorted(repr(_plain(one, depth - 1)) for one in value)]
    pairs = value if isinstance(value, dict) else vars(value)
    return [kind, *((_plain(k, depth), _plain(one, depth - 1)) for k, one in pairs.items())]


def _of_array(array: NDArray[Any]) -> tuple[Any, ...]:
    return str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()
