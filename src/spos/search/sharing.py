"""What the evaluation of candidates shares: outputs of what they begin with, and a count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


def count_bytes(output: Any) -> int:
    """Count the bytes of the tensors in an output.

    Example:
        >>> import torch
        >>> count_bytes([torch.zeros(4), {"of": torch.zeros(2)}])
        24
    """
    return sum(tensor.nbytes for tensor in tree_leaves(output) if isinstance(tensor, Tensor))


class LazyOutputs:
    """The outputs of a module for batches, computed once each, when they are first asked for.

    Args:
        module (nn.Module): module in evaluation mode.
        loader (Callable): function that returns batches of inputs and targets, at least one.
        images (int): number of images of all batches.

    Example:
        >>> import torch
        >>> batches = [(torch.ones(2), torch.zeros(2)), (torch.ones(2), torch.zeros(2))]
        >>> outputs = LazyOutputs(nn.Identity(), lambda: batches, 4)
        >>> outputs.nbytes, len(list(outputs())), len(list(outputs()))
        (16, 2, 2)
    """

    def __init__(
        self, module: nn.Module, loader: Callable[[], Iterable[tuple[Any, Tensor]]], images: int
    ) -> None:
        self._module, self._rest = module, iter(loader())
        self._kept: list[tuple[Any, Tensor]] = []
        output, targets = next(self())
        #: Bytes of the outputs for all images.
        self.nbytes = count_bytes(output) * images // len(targets)

    def __call__(self) -> Iterator[tuple[Any, Tensor]]:
        """Yield the outputs and targets of all batches."""
        place = 0
        while True:
            if place == len(self._kept):
                batch = next(self._rest, None)
                if batch is None:
                    return
                self._kept.append((self._module(batch[0]), batch[1]))
            yield self._kept[place]
            place += 1


@dataclass
class SharedStages:
    """The stages of evaluated candidates, and how many of them were computed.

    Candidates that begin alike share these stages, which are then computed once.

    Args:
        candidates (int): number of evaluated candidates.
        stages (int): number of all their stages.
        computed (int): number of stages that were computed.
    """

    candidates: int = 0
    stages: int = 0
    computed: int = 0

    def count(self, stages: int, computed: int) -> None:
        """Count a candidate.

        Args:
            stages (int): number of its stages.
            computed (int): how many of them were computed for it alone.

        Example:
            >>> shared = SharedStages()
            >>> shared.count(8, computed=5)
            >>> shared
            SharedStages(candidates=1, stages=8, computed=5)
        """
        self.candidates += 1
        self.stages += stages
        self.computed += computed

    def take(self) -> dict[str, int]:
        """Return the counts by name, and count from 0 again."""
        counts = asdict(self)
        self.candidates = self.stages = self.computed = 0
        return counts
