"""Short trainings, from which a longer one is judged before it is paid for."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from spos.report.result import Rung
from spos.run.context import Context
from spos.run.fit import fit
from spos.run.fitness import make_fitness
from spos.run.network import build_run_network
from spos.run.one_shot import loader
from spos.run.outcome import ShortOutcome
from spos.search.evaluation import score
from spos.training.recipe import Recipe

#: Steps over which weights are averaged, as a share of the steps of the shortest training.
AVERAGED = 0.1
#: Share of the steps of the shortest training over which the learning rate rises.
WARMUP = 0.2


def short_recipe(recipe: Recipe, share: float, shortest: float) -> Recipe:
    """Shorten the recipe of the retraining.

    The weights are averaged, so that a network can be judged before its learning rate has decayed.

    Args:
        recipe (Recipe): optimisation settings of the retraining.
        share (float): share of its steps, in (0, 1].
        shortest (float): share of the remaining steps after which a network is judged first, in
            (0, 1].
    """
    steps = max(2, round(recipe.steps * share))
    first = max(1, int(steps * shortest))
    return replace(
        recipe,
        steps=steps,
        warmup_steps=min(recipe.warmup_steps, int(first * WARMUP)),
        ema=1 - 1 / max(2.0, AVERAGED * first),
    )


def train_briefly(
    context: Context,
    text: str,
    recipe: Recipe,
    until: int,
    *,
    label: str,
    seed: int | None = None,
    weights: str = "scratch",
) -> ShortOutcome:
    """Train a network on the training images, and judge it on the validation images.

    Its state is kept under the architecture, the recipe and the seed, so that a network is trained
    once for all purposes, and a longer training resumes from a shorter one.

    Args:
        context (Context): the run.
        text (str): architecture of the space.
        recipe (Recipe): optimisation settings, such as those of :func:`short_recipe`.
        until (int): step to pause after, later than those of earlier calls.
        label (str): name of the training in progress reports.
        seed (int | None): seed of the training; None for the seed of the run.
        weights (str): weights that it begins from, ``scratch`` or ``supernet``.

    Returns:
        The outcome, whose last rung is after so many steps.
    """
    seed = context.config.run.seed if seed is None else seed
    begins = "" if weights == "scratch" else f" {weights}"
    key = hashlib.sha256(f"{text} {recipe} {seed}{begins}".encode()).hexdigest()[:12]
    stage = f"short-{key}"
    done = context.directory.outcome(ShortOutcome, stage)
    rungs = done.rungs if done else ()
    reached = tuple(rung for rung in rungs if rung.steps <= until)
    if done and reached and reached[-1].steps == until:
        return replace(done, rungs=reached)
    rung, seconds = context.launch(_train, text, stage, label, recipe, until, seed, weights)
    outcome = ShortOutcome(architecture=text, rungs=(*rungs, rung), seconds=seconds)
    return context.directory.finish(outcome, stage)


def _train(
    context: Context,
    text: str,
    stage: str,
    label: str,
    recipe: Recipe,
    until: int,
    seed: int,
    weights: str,
) -> tuple[Rung, float]:
    data = context.data()
    network, _ = build_run_network(context, data, text, seed, weights)
    seconds = fit(
        context,
        data,
        data.train,
        network,
        stage,
        stage,
        recipe,
        until=until,
        seed=seed,
        label=label,
    )
    fitness, metric = context.fitness, make_fitness(context.task, "metric")
    batches = loader(context, data, data.validation)
    with context.fabric.autocast():
        value = by_metric = score(network, batches, fitness.metric, fitness.evaluate)
        if fitness.is_loss:
            by_metric = score(network, batches, metric.metric, metric.evaluate)
    return Rung(until, value, by_metric), seconds
