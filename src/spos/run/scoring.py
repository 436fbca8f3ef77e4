"""The scores of candidates in a run, computed by as many processes as it has."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spos.nn.supernet import Supernet
from spos.report.resources import EVALUATION
from spos.run.context import Context
from spos.run.network import (
    calibration_loader,
    load_checkpoint,
    load_further,
    loader,
    make_untrained,
    racing_loader,
)
from spos.run.recorder import PeakMemory
from spos.run.side_by_side import ThisProcess
from spos.run.task import make_fitness
from spos.search.depth import Depth
from spos.search.evaluation import OneShotEvaluator
from spos.search.racing import Each, Race, Scores
from spos.search.sharing import SharedStages
from spos.search.training_free import Score, WithTrainingFree
from spos.space import Architecture

#: Bytes of shared activations, of all processes together.
MEMORY = 2 << 30
#: Pieces of a population for each process, so that all end at about the same time, and the least
#: number of candidates in one if every process has one, because those of different pieces share
#: nothing.
PIECES, LEAST = 3, 8


def count_pieces(population: int, workers: int) -> int:
    """Number of pieces into which candidates are cut, of which each process scores one at a time.

    Args:
        population (int): number of candidates.
        workers (int): number of processes.

    Example:
        >>> [count_pieces(50, workers) for workers in (1, 2, 4, 8, 64)]
        [1, 6, 4, 8, 50]
    """
    if workers == 1:
        return 1
    # As many for each, so that none waits for the last piece of another.
    each = min(population // (LEAST * workers), PIECES)
    return min(population, workers * max(each, 1))


class Candidates(NamedTuple):
    """Candidates to score.

    Args:
        architectures (list): the candidates.
        setting (str): fitness, one of the values of ``search.fitness``; empty for that of the run.
        added (tuple[str, ...]): names of the scores that need no training.
        memory (int): limit of the shared activations in bytes.
        recorded (bool): whether the metrics of the run tell what was shared.
        rival (Architecture | None): candidate that they race against, if they do.
        factors (tuple[float, ...]): what the scores that need no training are multiplied by in a
            race.
    """

    architectures: list[Architecture]
    setting: str
    added: tuple[str, ...]
    memory: int
    recorded: bool
    rival: Architecture | None = None
    factors: tuple[float, ...] = ()


class Known(NamedTuple):
    """What is known of a candidate that was scored.

    Args:
        scores (list[float]): its one-shot score, and those that need no training.
        images (int | None): number of images that it was scored on, if it was dropped in a race.
    """

    scores: list[float]
    images: int | None


def score_candidates(context: Context, item: Candidates) -> Iterator[tuple[Architecture, Known]]:
    """Score candidates.

    Returns:
        Each candidate with its scores.
    """
    sharing, memory = SharedStages(), PeakMemory(context.fabric.device)
    supernet, *further = _trained_supernets(context)
    fitness = make_fitness(context.task, item.setting) if item.setting else context.fitness
    racing = context.config.search.racing and not item.setting
    evaluate = OneShotEvaluator(
        supernet,
        calibration_loader(context),
        racing_loader(context) if racing else loader(context, context.data.validation),
        metric=fitness.metric,
        evaluate=fitness.evaluate,
        memory=item.memory // (1 + len(further)),
        sharing=sharing,
        autocast=context.fabric.autocast,
    )
    scores = [cache(_training_free(context, name)) for name in item.added]
    race = None
    if item.rival is not None:
        assert fitness.each is not None, "refused when the run began"
        rival = _score_rival(context, replace(evaluate, sharing=None), fitness.each, item.rival)
        ahead = {
            one: sum(
                factor * (score(one) - score(item.rival))
                for factor, score in zip(item.factors, scores, strict=True)
            )
            for one in item.architectures
        }
        race = Race(context.config.search.racing, fitness.each, rival, ahead=ahead)
    evaluators = [replace(evaluate, race=race)]
    evaluators += [replace(evaluate, supernet=one) for one in further]
    try:
        # Supernets of one space visit the candidates in one order.
        for found in zip(*(each(item.architectures) for each in evaluators), strict=True):
            (architecture,) = {one for one, _ in found}
            mean = statistics.fmean(value for _, value in found)
            values = [mean, *(score(architecture) for score in scores)]
            yield architecture, Known(values, race.dropped.get(architecture) if race else None)
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
        supernet (Supernet): the first of its trained supernets.
        setting (str): fitness, one of the values of ``search.fitness``; empty for that of the run,
            with the scores that need no training.
        recorded (bool): whether the metrics of the run tell what was shared.
    """

    def __init__(
        self, context: Context, supernet: Supernet, setting: str = "", *, recorded: bool = False
    ) -> None:
        self._context, self._supernet, self._recorded = context, supernet, recorded
        known = context.kept.get("supernets", [None])
        if known[0] is not supernet:
            known = context.kept["supernets"] = [supernet, *load_further(context)]
        #: All trained supernets of the run.
        self.supernets: list[Supernet] = known
        self._setting = setting
        weights = {} if setting else context.fitness.added
        self._added = tuple(weights)
        self._known: dict[Architecture, Known] = {}
        self._rival: Architecture | None = None
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
        return ((architecture, score) for architecture, score, _ in self.race(architectures, None))

    def race(
        self, architectures: Sequence[Architecture], rival: Architecture | None
    ) -> Iterator[tuple[Architecture, float, int | None]]:
        """Score candidates, of which those that fall behind a rival are dropped.

        Args:
            architectures (Sequence[Architecture]): the candidates.
            rival (Architecture | None): candidate that was scored on all images; None to score all
                candidates on all images.

        Returns:
            Each distinct candidate with its score, in any order, and the number of images that it
            was scored on, if it was dropped.
        """
        if self._with:
            # By networks that are scored on all images.
            self._rival = None
            _ = self._with.scales
        self._rival = rival
        for architecture, score in (self._with or self._one_shot)(architectures):
            yield architecture, score, self._known[architecture].images

    def _one_shot(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, float]]:
        context = self._context
        # With as many threads, on which the last digit of a score depends.
        alone = ThisProcess(context.workers.threads)
        workers = context.workers if len(architectures) > 1 else alone
        # Neighbours begin alike, and share what they begin with.
        ordered = sorted(set(architectures), key=self._path)
        number = count_pieces(len(ordered), workers.count)
        pieces = [
            Candidates(
                [ordered[place] for place in piece],
                self._setting,
                self._added,
                MEMORY // workers.count,
                self._recorded,
                self._rival,
                tuple(factor for factor, _ in self._with.scales)
                if self._rival and self._with
                else (),
            )
            for piece in np.array_split(np.arange(len(ordered)), number)
        ]
        for _, (architecture, known) in workers.map(context, score_candidates, pieces):
            self._known[architecture] = known
            yield architecture, known.scores[0]

    def _look_up(self, place: int) -> Callable[[Architecture], float]:
        return lambda architecture: self._known[architecture].scores[place]

    def _path(self, architecture: Architecture) -> list[tuple[int, ...]]:
        return [stage.options(architecture) for stage in self._supernet.stages]


def _score_rival(
    context: Context, evaluate: OneShotEvaluator, each: Each, rival: Architecture
) -> Scores:
    """Score a rival on each image, once for all pieces of a population.

    Its scores are computed again rather than kept: they are those of a search that was not killed.
    """
    known, scores = context.kept.get("rival", (None, np.empty(0)))
    if known != rival:
        found: list[Tensor] = []

        def metric(outputs: Any, targets: Tensor) -> Tensor:
            found.append(each(outputs, targets).double().cpu())
            return found[-1].sum()

        dict(replace(evaluate, metric=metric)([rival]))
        known, scores = context.kept["rival"] = rival, torch.cat(found).numpy()
    values: Scores = scores
    return values


def _trained_supernets(context: Context) -> list[Supernet]:
    if "supernets" not in context.kept:
        context.kept["supernets"] = [load_checkpoint(context)[0], *load_further(context)]
    supernets: list[Supernet] = context.kept["supernets"]
    return supernets


def _training_free(context: Context, name: str) -> Score:
    if name not in context.kept:
        depth = name == "depth"
        context.kept[name] = (
            Depth(_trained_supernets(context)[0]) if depth else make_untrained(context, name)
        )
    score: Score = context.kept[name]
    return score
