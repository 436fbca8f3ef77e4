"""One-shot evaluation: inherit the weights, recalibrate batch norm, compute the score.

Candidates that start with the same options share this prefix: its activations and the statistics of
its batch norms are computed once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass
from itertools import chain, groupby
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map_only

from spos._util.errors import UserError
from spos.nn.supernet import Supernet
from spos.search.folding import Pair, fold, foldable
from spos.search.racing import Race
from spos.search.recalibration import Loader, recalibrate, recalibrating
from spos.search.score import Evaluate, Metric, correct, score
from spos.search.sharing import LazyOutputs, SharedStages, count_bytes
from spos.space import Architecture

#: What can be folded in a stage, by its name and options: tracing takes milliseconds, and a search
#: makes a new evaluator for each part of a population.
_FOLDABLE: WeakKeyDictionary[Supernet, dict[tuple[str, tuple[int, ...]], tuple[Pair, ...]]] = (
    WeakKeyDictionary()
)

#: Loaders of calibration and validation, and the bytes of activations that may be kept.
Data = tuple[Loader, Loader, int]


@dataclass(frozen=True)
class OneShotEvaluator:
    """The evaluation of architectures with the weights of a supernet, which is not changed.

    After its recalibration, a candidate is validated with its batch norms folded into the layers
    before them. This changes scores in the last digits of the precision, the same ones however
    candidates are grouped.

    Args:
        supernet (Supernet): trained supernet on its device.
        calibration (Loader): function that returns full batches of training images, for the
            statistics of batch norm.
        validation (Loader): function that returns batches of validation images and targets.
        metric (Metric): function of outputs and targets to the sum of the score over the batch; by
            default the number of correct images.
        evaluate (Evaluate | None): function of a network and its batches to its score, in place of
            a metric, for scores that are not sums over images. Candidates then share no prefixes,
            and keep their batch norms.
        memory (int): limit of the shared activations in bytes; beyond it, prefixes are computed
            again.
        sharing (SharedStages | None): counter of the stages that are computed and shared.
        autocast (Callable): function that returns the precision context, such as
            ``fabric.autocast``.
        race (Race | None): race that the candidates enter, which tells who was dropped: their
            scores are those of the images so far.

    Source: Guo et al., Section 3.3.

    Example:
        >>> from spos import OneOf
        >>> choice = OneOf({"linear": nn.Linear(2, 2), "skip": nn.Identity()})
        >>> supernet = Supernet(nn.Sequential(choice), (2,))
        >>> batches = [(torch.eye(2), torch.tensor([0, 1]))]
        >>> evaluate = OneShotEvaluator(supernet, lambda: batches, lambda: batches)
        >>> list(evaluate([Architecture([1])]))
        [(Architecture(1), 1.0)]
    """

    supernet: Supernet
    calibration: Loader
    validation: Loader
    _: KW_ONLY
    metric: Metric = correct
    evaluate: Evaluate | None = None
    memory: int = 2 << 30
    sharing: SharedStages | None = None
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    race: Race | None = None

    def __post_init__(self) -> None:
        for name in ("calibration", "validation"):
            given = getattr(self, name)
            if not callable(given):
                raise UserError(
                    f"{name} of type {type(given).__name__}: must be a function that returns the "
                    "batches, such as lambda: loader"
                )

    def __call__(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, float]]:
        """Evaluate architectures.

        Args:
            architectures (Sequence[Architecture]): architectures of the space.

        Returns:
            Each distinct architecture with its score, in any order.

        Raises:
            UserError: an architecture is none of the space, or a score is not finite.
        """
        space = self.supernet.space
        ordered = sorted({space.validate(one) for one in architectures}, key=self._path)
        if not ordered:
            return
        # Gradient mode and autocast are thread state, and a generator returns to its caller at
        # every result, so they are set for each step rather than around the loop.
        data = _copied(self.calibration), _copied(self.validation), self.memory
        groups = [ordered] if self.evaluate is None else [[one] for one in ordered]
        walk = chain.from_iterable(self._visit(0, one, data) for one in groups)
        while True:
            with torch.no_grad(), self.autocast():
                result = next(walk, None)
            if result is None:
                return
            if not math.isfinite(result[1]):
                raise UserError(
                    f"the score of architecture {result[0]} is {result[1]}: a metric must return a "
                    "finite number"
                )
            yield result

    def _path(self, architecture: Architecture) -> list[tuple[int, ...]]:
        return [stage.options(architecture) for stage in self.supernet.stages]

    def _visit(
        self, depth: int, group: list[Architecture], data: Data
    ) -> Iterator[tuple[Architecture, float]]:
        if len(group) == 1:
            calibration, validation, _ = data
            stages = len(self.supernet.stages)
            network = self._segment(depth, stages, group[0])
            if any(isinstance(module, _BatchNorm) for module in network.modules()):
                recalibrate(network, calibration)
            self._fold(network, depth, stages, group[0])
            ends = self.race.enter(group[0]) if self.race else None
            value = score(network, validation, self.metric, self.evaluate, ends)
            if self.sharing is not None:
                self.sharing.count(stages, computed=stages - depth)
            yield group[0], value
            return
        # In a sorted group, all share the prefix that the first and the last share.
        end = depth
        first, last = self._path(group[0]), self._path(group[-1])
        while first[end] == last[end]:
            end += 1
        if end > depth:
            segment = self._segment(depth, end, group[0])
            shared = self._share(segment, data, lambda: self._fold(segment, depth, end, group[0]))
            if self.sharing is not None:
                self.sharing.computed += end - depth
            if shared is not None:
                data, depth = shared, end
        for _, members in groupby(group, key=lambda a: self._path(a)[end]):
            yield from self._visit(depth, list(members), data)

    def _segment(self, start: int, end: int, architecture: Architecture) -> nn.Module:
        if self.evaluate is not None:
            return self.supernet.extract(architecture)
        stages = self.supernet.stages[start:end]
        return nn.Sequential(*(self.supernet.extract(architecture, stage) for stage in stages))

    def _fold(self, network: nn.Module, start: int, end: int, architecture: Architecture) -> None:
        if self.evaluate is not None:
            return
        assert isinstance(network, nn.Sequential)
        # Within stages alone, so that a candidate is the same network in every group.
        known = _FOLDABLE.setdefault(self.supernet, {})
        for stage, part in zip(self.supernet.stages[start:end], network, strict=True):
            key = stage.name, stage.options(architecture)
            if key not in known:
                known[key] = foldable(part)
            fold(part, known[key])

    def _share(self, segment: nn.Module, data: Data, fold: Callable[[], None]) -> Data | None:
        calibration, validation, memory = data
        kept: list[list[tuple[Any, Tensor]]] = []
        for loader, mode in ((calibration, recalibrating(segment)), (validation, nullcontext())):
            if kept:
                fold()
            if kept and self.race:
                # In a race, the images that all members are scored on may be few.
                outputs = LazyOutputs(segment, loader, self.race.images)
                memory -= outputs.nbytes
                if memory < 0:
                    return None
                return _copied(lambda: kept[0]), _copied(outputs), memory
            kept.append([])
            with mode:
                for inputs, targets in loader():
                    output = segment(inputs)
                    memory -= count_bytes(output)
                    if memory < 0:
                        return None
                    kept[-1].append((output, targets))
        return _copied(lambda: kept[0]), _copied(lambda: kept[1]), memory


def _copied(loader: Loader) -> Loader:
    # A stage of the network may change its input in place, which the next candidate needs as well.
    def copies() -> Iterator[tuple[Any, Tensor]]:
        for inputs, targets in loader():
            yield tree_map_only(Tensor, torch.clone, inputs), targets

    return copies
