"""The scores of candidates in a run, computed by as many processes as it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from spos.nn.supernet import Supernet
from spos.report.resources import EVALUATION
from spos.run.context import Context
from spos.run.network import calibration_loader, load_checkpoint, loader, make_naswot
from spos.run.recorder import PeakMemory
from spos.run.side_by_side import ThisProcess
from spos.run.task import make_fitness
from spos.search.depth import Depth
from spos.search.evaluation import OneShotEvaluator
from spos.search.sharing import SharedStages
from spos.search.training_free import Score, WithTrainingFree
from spos.space import Architecture

#: Bytes of shared activations, of all processes together.
MEMORY = 2 << 30
#: Pieces of a population for each process, so that all end at about the same time, and the least
#: number of candidates in one, because those of different pieces share nothing.
PIECES, LEAST = 3, 8


class Candidates(NamedTuple):
    """Candidates to score.

    Args:
        architectures (list): the candidates.
        setting (str): fitness, one of the values of ``search.fitness``; empty for that of the run.
        added (tuple[str, ...]): names of the scores that need no training.
        memory (int): limit of the shared activations in bytes.
        recorded (bool): whether the metrics of the run tell what was shared.
    """

    architectures: list[Architecture]
    setting: str
    added: tuple[str, ...]
    memory: int
    recorded: bool


def score_candidates(
    context: Context, item: Candidates
) -> Iterator[tuple[Architecture, list[float]]]:
    """Score candidates.

    Returns:
        Each candidate with its one-shot score, and those that need no training.
    """
    sharing, memory = SharedStages(), PeakMemory(context.fabric.device)
    supernet = _trained_supernet(context)
    fitness = make_fitness(context.task, item.setting) if item.setting else context.fitness
    evaluate = OneShotEvaluator(
        supernet,
        calibration_loader(context),
        loader(context, context.data.validation),
        metric=fitness.metric,
        evaluate=fitness.evaluate,
        memory=item.memory,
        sharing=sharing,
        autocast=context.fabric.autocast,
    )
    scores = [_training_free(context, name) for name in item.added]
    try:
        for architecture, value in evaluate(item.architectures):
            yield architecture, [value, *(score(architecture) for score in scores)]
    finally:
        # What only describes the run must not hide the error that ends it.
        with suppress(OSError):
            if item.recorded:
                used = {**sharing.take(), "peak_memory": memory.read()}
                context.directory.record({"stage": EVALUATION, **used})


class Scorer:
    """Scores candidates of a run on the validation images.

    Args:
        context (Context): the run.
        supernet (Supernet): its trained supernet.
        setting (str): fitness, one of the values of ``search.fitness``; empty for that of the run,
            with the scores that need no training.
        recorded (bool): whether the metrics of the run tell what was shared.
    """

    def __init__(
        self, context: Context, supernet: Supernet, setting: str = "", *, recorded: bool = False
    ) -> None:
        self._context, self._supernet, self._recorded = context, supernet, recorded
        context.kept["supernet"] = supernet
        self._setting = setting
        weights = {} if setting else context.fitness.added
        self._added = tuple(weights)
        self._known: dict[Architecture, list[float]] = {}
        self._with = None
        if weights:
            scores = [
                (self._look_up(place), weight) for place, weight in enumerate(weights.values(), 1)
            ]
            self._with = WithTrainingFree(self._one_shot, supernet.space, scores)

    def __call__(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, float]]:
        """Score candidates.

        Returns:
            Each distinct candidate with its score, in any order.
        """
        return iter((self._with or self._one_shot)(architectures))

    def _one_shot(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, float]]:
        context = self._context
        workers = context.workers if len(architectures) > 1 else ThisProcess()
        # Neighbours begin alike, and share what they begin with.
        ordered = sorted(set(architectures), key=self._path)
        most = 1 if workers.count == 1 else PIECES * workers.count
        number = max(min(len(ordered) // LEAST, most), 1)
        pieces = [
            Candidates(
                [ordered[place] for place in piece],
                self._setting,
                self._added,
                MEMORY // workers.count,
                self._recorded,
            )
            for piece in np.array_split(np.arange(len(ordered)), number)
        ]
        for _, (architecture, values) in workers.map(context, score_candidates, pieces):
            self._known[architecture] = values
            yield architecture, values[0]

    def _look_up(self, place: int) -> Callable[[Architecture], float]:
        return lambda architecture: self._known[architecture][place]

    def _path(self, architecture: Architecture) -> list[tuple[int, ...]]:
        return [stage.options(architecture) for stage in self._supernet.stages]


def _trained_supernet(context: Context) -> Supernet:
    if "supernet" not in context.kept:
        context.kept["supernet"] = load_checkpoint(context)[0]
    supernet: Supernet = context.kept["supernet"]
    return supernet


def _training_free(context: Context, name: str) -> Score:
    if name not in context.kept:
        depth = name == "depth"
        context.kept[name] = Depth(_trained_supernet(context)) if depth else make_naswot(context)
    score: Score = context.kept[name]
    return score
