"""Searchable bit-widths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from torch import nn

from spos._util.errors import UserError, check_kind
from spos.nn.choice import ChoiceModule
from spos.nn.quantisers import MOST_BITS


class BitPair(NamedTuple):
    """Bit-widths of a layer's weights and input activations.

    Args:
        weights (int): bits per weight, 1 to 8.
        activations (int): bits per input activation, 1 to 8.
    """

    weights: int
    activations: int

    def __str__(self) -> str:
        return f"w{self.weights}a{self.activations}"


def bit_pair(text: str) -> BitPair:
    """Parse a pair of bit-widths.

    Args:
        text (str): pair such as ``w2a4``: 2-bit weights and 4-bit activations.

    Raises:
        UserError: the text is not such a pair, or a bit-width is out of range.

    Example:
        >>> bit_pair("w2a4")
        BitPair(weights=2, activations=4)
        >>> bit_pair("w2a9")
        Traceback (most recent call last):
        ...
        spos.UserError: bits 'w2a9': write w2a4 for weights of 2 and activations of 4 bits, \
each 1 to 8; nearest w2a8
    """
    match = re.fullmatch(r"w(\d{1,9})a(\d{1,9})", str(text))
    pair = BitPair(*map(int, match.groups())) if match else BitPair(0, 0)
    within = BitPair(*(min(max(bits, 1), MOST_BITS) for bits in pair))
    if pair != within:
        hint = f"; nearest {within}" if match else ""
        raise UserError(
            f"bits '{text}': write w2a4 for weights of 2 and activations of 4 bits, each 1 to "
            f"{MOST_BITS}{hint}"
        )
    return pair


class Bits(ChoiceModule):
    """A choice of bit-widths for one or more quantised layers.

    It holds no weights; pass the same object to all layers that share the choice.

    Args:
        pairs (Iterable[str]): options, such as ``["w1a2", "w2a2", "w4a4"]``.
        name (str | None): name of the choice (see :class:`ChoiceModule`).

    Raises:
        UserError: ``pairs`` is empty, or contains a duplicate or an invalid pair.

    Example:
        >>> bits = Bits(["w1a2", "w4a4"], name="stage1.bits")
        >>> bits.activate("w4a4")
        >>> bits.current
        BitPair(weights=4, activations=4)
    """

    def __init__(self, pairs: Iterable[str], name: str | None = None) -> None:
        check_kind(pairs, Iterable, "pairs of bits", "a list, such as ['w1a2', 'w4a4']")
        self.pairs = tuple(map(bit_pair, pairs))
        super().__init__(tuple(map(str, self.pairs)), name)

    @property
    def current(self) -> BitPair:
        """Bit-widths on the active path."""
        return self.pairs[self.active]

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return FixedBits(self.current)

    def extra_repr(self) -> str:
        return f"pairs={', '.join(map(str, self.pairs))}, active={self.current}"


class FixedBits(nn.Module):
    """Fixed bit-widths, with the interface of :class:`Bits`.

    Args:
        pair (BitPair): bits per weight and per activation.
    """

    def __init__(self, pair: BitPair) -> None:
        super().__init__()
        self.current = pair
