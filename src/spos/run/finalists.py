"""The finalists of a search: the best candidates are trained for a short while to choose one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from spos._util.errors import UserError
from spos.report.result import Finalist, Rung
from spos.run.config import Config
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.fit import fit, train_side_by_side
from spos.run.initial import begin
from spos.run.network import build_run_network, loader
from spos.run.outcome import FinalistsOutcome, SearchOutcome, ShortOutcome
from spos.run.recorder import timed
from spos.run.search_outcome import make_winner
from spos.run.task import make_fitness
from spos.search import Candidate
from spos.search.score import score
from spos.training.recipe import Recipe

#: Steps over which weights are averaged, as a share of the steps of the shortest training.
AVERAGED = 0.1
#: Share of the steps of the shortest training over which the learning rate rises.
WARMUP = 0.2


def plan_rungs(count: int) -> list[tuple[int, float]]:
    """Plan successive halving: each rung doubles the steps and halves the networks.

    Args:
        count (int): number of finalists, at least 2.

    Returns:
        Number of networks of each rung, and its steps as a share of those of the last rung; they
        include the steps of the rungs before.

    Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS 2016, Figure 3.

    Example:
        >>> plan_rungs(5)
        [(5, 0.25), (3, 0.5), (2, 1.0)]
    """
    number = math.ceil(math.log2(count))
    return [(math.ceil(count / 2**rung), 0.5 ** (number - 1 - rung)) for rung in range(number)]


def share_of_retraining(count: int, share: float, at_once: int = 1) -> float:
    """Steps of all short trainings, one after the other, as a share of those of a retraining.

    Args:
        count (int): number of finalists.
        share (float): share of the steps of a retraining that the last rung has.
        at_once (int): number of networks that train at the same time, whose steps count once.

    Example:
        >>> share_of_retraining(5, 0.5), share_of_retraining(5, 0.5, 2), share_of_retraining(1, 0.5)
        (1.5, 0.875, 0.0)
    """
    before, total = 0.0, 0.0
    for left, steps in plan_rungs(count) if count > 1 else ():
        total += math.ceil(left / at_once) * (steps - before)
        before = steps
    return share * total


def plan_training(config: Config, count: int) -> tuple[Recipe, list[tuple[int, int]]]:
    """Plan the short trainings of a run.

    Weights are averaged, so that a network can be judged before its learning rate has decayed.

    Args:
        config (Config): configuration of the run.
        count (int): number of finalists, at least 2.

    Returns:
        The recipe, and the number of networks of each rung with its steps.
    """
    rungs = plan_rungs(count)
    steps = max(2, round(config.retrain.steps * config.finalists.share))
    first = max(1, int(steps * rungs[0][1]))
    warmup = min(config.retrain.warmup_steps, int(first * WARMUP))
    ema = 1 - 1 / max(2.0, AVERAGED * first)
    recipe = replace(config.retrain, steps=steps, warmup_steps=warmup, ema=ema)
    return recipe, [(left, max(1, int(steps * share))) for left, share in rungs]


def finalists_stage(context: Context) -> FinalistsOutcome | None:
    """Train the best candidates for a short while, and choose the best of them.

    All begin from the weights of the retraining, on the training images without the validation
    images, which judge them. The better half of every rung trains on.

    Args:
        context (Context): the run.

    Returns:
        The outcome; None if the run has no finalists or was retrained without them.

    Raises:
        UserError: the run has several budgets, or no search result.
    """
    directory, settings = context.directory, context.config.finalists
    done = directory.outcome(FinalistsOutcome)
    if done is not None or not settings.count or directory.is_finished("retrain"):
        return done
    found = directory.outcome(SearchOutcome)
    if found is None:
        raise UserError(f"{directory.path} has no search result: run spos search first")
    chosen = choose_finalists(found, settings.count, distinct=not context.fitness.by_metric)
    if len(chosen) < 2:
        return None
    recipe, rungs = plan_training(context.config, len(chosen))
    trained: dict[int, ShortOutcome] = {}
    remaining = list(range(len(chosen)))
    with timed(directory, FinalistsOutcome.stage) as watch:
        for count, steps in rungs:
            # The order of the search decides between equals.
            remaining = sorted(remaining[:count])
            briefs = [
                Brief(
                    str(chosen[place].architecture),
                    recipe,
                    steps,
                    f"finalist {place + 1} of {len(chosen)}",
                    context.config.run.seed,
                    context.config.network.weights,
                )
                for place in remaining
            ]
            outcomes = train_briefly(context, briefs, "finalists")
            trained |= dict(zip(remaining, outcomes, strict=True))
            remaining.sort(key=lambda place: -trained[place].rungs[-1].score)
    table = context.costs(context.supernet(), eager=False)
    outcome = FinalistsOutcome(
        seconds=watch.seconds,
        winner=make_winner(chosen[remaining[0]], table),
        finalists=tuple(
            Finalist(**vars(one), rungs=trained[place].rungs) for place, one in enumerate(chosen)
        ),
    )
    return directory.finish(outcome)


def choose_finalists(found: SearchOutcome, count: int, *, distinct: bool) -> list[Candidate]:
    """Choose the best candidates, best first, of those that were scored on all images.

    Args:
        found (SearchOutcome): outcome of the search.
        count (int): largest number of finalists.
        distinct (bool): whether candidates of exactly the same loss are one network. They are in
            spaces in which options without an effect, such as the operations behind a cut edge,
            give one network several architectures.
    """
    known = {one.architecture: one for one in found.candidates if one.dropped_after is None}
    ranked = [*found.top, *sorted(known.values(), key=lambda one: -one.score)]
    chosen: dict[object, Candidate] = {}
    for one in ranked:
        chosen.setdefault(one.score if distinct else one.architecture, one)
    return list(chosen.values())[:count]


def read_found(directory: RunDirectory) -> SearchOutcome | None:
    """Read the outcome of the search, with the winner among the finalists if there were any.

    Args:
        directory (RunDirectory): directory of the run.

    Returns:
        The outcome; None while the search is not finished.
    """
    found, finals = directory.outcome(SearchOutcome), directory.outcome(FinalistsOutcome)
    return replace(found, winner=finals.winner) if found and finals else found


class Brief(NamedTuple):
    """A short training.

    Args:
        architecture (str): architecture of the space.
        recipe (Recipe): optimisation settings, such as those of :func:`plan_training`.
        until (int): step to pause after.
        label (str): name of the training in progress reports.
        seed (int): seed of the training.
        weights (str): weights that it begins from, ``scratch`` or ``supernet``.
    """

    architecture: str
    recipe: Recipe
    until: int
    label: str
    seed: int
    weights: str = "scratch"

    @property
    def stage(self) -> str:
        """Name of the stage of the run: one for all purposes, and for all numbers of steps."""
        begins = "" if self.weights == "scratch" else f" {self.weights}"
        facts = f"{self.architecture} {self.recipe} {self.seed}{begins}"
        return f"short-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def train_briefly(context: Context, briefs: Sequence[Brief], label: str) -> list[ShortOutcome]:
    """Train networks on the training images, and judge them on the validation images.

    The state of a training is kept under the architecture, the recipe and the seed, so that a
    network is trained once for all purposes, and a longer training resumes from a shorter one.

    Args:
        context (Context): the run.
        briefs (Sequence): the trainings, which pause later than those of earlier calls.
        label (str): name of the trainings in progress reports, if several run at the same time.

    Returns:
        The outcomes, whose last rung is after so many steps.
    """
    directory = context.directory
    done = [directory.outcome(ShortOutcome, brief.stage) for brief in briefs]
    for one, brief in zip(done, briefs, strict=True):
        if one is not None and one.architecture != brief.architecture:
            raise UserError(
                f"{directory.stage_path(brief.stage)} is of network {one.architecture}, not of "
                f"{brief.architecture}, whose place it has; {one.advice}"
            )
    rungs = [one.rungs if one else () for one in done]
    missing = {
        brief.stage: number
        for number, brief in enumerate(briefs)
        if brief.until not in (rung.steps for rung in rungs[number])
    }
    items = {stage: (briefs[number],) for stage, number in missing.items()}
    several = len(briefs) > 1
    trained = train_side_by_side(context, _train, items, label, several=several)
    for stage, (rung, seconds) in trained:
        number = missing[stage]
        brief = briefs[number]
        outcome = ShortOutcome(
            architecture=brief.architecture, rungs=(*rungs[number], rung), seconds=seconds
        )
        done[number] = directory.finish(outcome, stage)
    return [
        replace(one, rungs=tuple(rung for rung in one.rungs if rung.steps <= brief.until))
        for one, brief in zip(done, briefs, strict=True)
        if one is not None
    ]


def _train(context: Context, brief: Brief) -> tuple[Rung, float]:
    data, recipe, until = context.data, brief.recipe, brief.until
    network, _ = build_run_network(context, brief.architecture, brief.seed, brief.weights)
    if brief.weights == "file":
        begin(context, network, "network", brief.stage, told=False)
    seconds = fit(
        context,
        network,
        recipe,
        data.train,
        brief.stage,
        until=until,
        seed=brief.seed,
        label=brief.label,
    )
    fitness, metric = context.fitness, make_fitness(context.task, "metric")
    batches = loader(context, data.validation)
    with context.fabric.autocast():
        value = by_metric = score(network, batches, fitness.metric, fitness.evaluate)
        if not fitness.by_metric:
            by_metric = score(network, batches, metric.metric, metric.evaluate)
    for one in (value, by_metric):
        if not math.isfinite(one):
            raise UserError(
                f"the score of architecture {brief.architecture} after {until} steps is {one}: a "
                "score must be a finite number"
            )
    return Rung(until, value, by_metric), seconds
