"""Operations of products that torch does not count, each with a multiply-add as two of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch


def _product(first: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(first)


def _product_added(_: Any, matrix: Sequence[int], *__: Any, **___: Any) -> int:
    return 2 * prod(matrix)


def _batch_added(_: Any, first: Sequence[int], second: Sequence[int], *__: Any, **___: Any) -> int:
    return 2 * prod(first) * second[-1]


def _bilinear(
    first: Sequence[int],
    weight: Sequence[int],
    second: Sequence[int],
    *expanded: Sequence[int],
    **_: Any,
) -> int:
    shapes: list[list[int]] = [list(first), list(weight), list(second)]
    for shape, places in zip(shapes, expanded, strict=False):
        for place in places:
            shape.insert(place, 1)
    products: int = prod(max(sizes) for sizes in zip(*shapes, strict=True))
    return 2 * products


#: Operations of linear layers that torch 2.13 has no formula for: x @ vector, nn.Bilinear, sums of
#: products.
FORMULAS = {
    torch.ops.aten.mv: _product,
    torch.ops.aten.dot: _product,
    torch.ops.aten.vdot: _product,
    torch.ops.aten.addmv: _product_added,
    torch.ops.aten.addbmm: _batch_added,
    torch.ops.aten._trilinear: _bilinear,
}
