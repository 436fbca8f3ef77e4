"""The finalists of a search: the best candidates are trained for a short while to choose one."""

from __future__ import annotations

import math
from dataclasses import replace

from spos._util.errors import UserError
from spos.report.result import Finalist, Rung
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.fit import fit
from spos.run.one_shot import loader
from spos.run.outcome import FinalistsOutcome, SearchOutcome, make_winner
from spos.search.evaluation import score
from spos.training.recipe import Recipe

#: Share of the steps of the first rung over which the weights of a finalist are averaged.
AVERAGED = 0.1


def plan_rungs(count: int, steps: int) -> list[tuple[int, int]]:
    """Plan successive halving: each rung doubles the steps and halves the networks.

    Args:
        count (int): number of finalists, at least 2.
        steps (int): steps of the networks that reach the last rung, at least 1.

    Returns:
        Number of networks and steps of each rung, from the first; the steps include those of the
        rungs before.

    Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS 2016, Figure 3.

    Example:
        >>> plan_rungs(5, 400)
        [(5, 100), (3, 200), (2, 400)]
    """
    number = math.ceil(math.log2(count))
    return [
        (math.ceil(count / 2**rung), max(1, steps // 2 ** (number - 1 - rung)))
        for rung in range(number)
    ]


def finalists_stage(context: Context) -> FinalistsOutcome | None:
    """Train the best candidates for a short while, and choose the best of them.

    All start from scratch, on the training images without the validation images, which judge them.
    The better half of every rung trains on.

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
    chosen = found.top[: settings.count]
    if len(chosen) < 2:
        return None
    recipe = short_recipe(context.config.retrain, settings.share, len(chosen))
    finalists = [Finalist(**vars(one)) for one in chosen]
    seconds = dict.fromkeys(range(len(finalists)), 0.0)
    remaining = list(range(len(finalists)))
    for count, steps in plan_rungs(len(finalists), recipe.steps):
        # The order of the search decides between equals.
        remaining = sorted(remaining[:count])
        for place in remaining:
            one = finalists[place]
            value, seconds[place] = context.launch(
                train_finalist, str(one.architecture), f"finalist-{place + 1}", recipe, steps
            )
            finalists[place] = replace(one, rungs=(*one.rungs, Rung(steps, value)))
        remaining.sort(key=lambda place: -finalists[place].rungs[-1].score)
    table = context.costs(context.supernet(context.data()), eager=False)
    outcome = FinalistsOutcome(
        seconds=sum(seconds.values()),
        winner=make_winner(chosen[remaining[0]], table),
        finalists=tuple(finalists),
    )
    return directory.finish(outcome)


def short_recipe(recipe: Recipe, share: float, count: int) -> Recipe:
    """Shorten the recipe of the retraining for the finalists.

    The weights are averaged, so that a network can be judged before its learning rate has decayed.

    Args:
        recipe (Recipe): optimisation settings of the retraining.
        share (float): share of its steps, in (0, 1].
        count (int): number of finalists, at least 2.
    """
    steps = max(2, round(recipe.steps * share))
    first = plan_rungs(count, steps)[0][1]
    return replace(
        recipe,
        steps=steps,
        warmup_steps=min(recipe.warmup_steps, first // 5),
        ema=1 - 1 / max(2.0, AVERAGED * first),
    )


def train_finalist(
    context: Context, text: str, stage: str, recipe: Recipe, until: int
) -> tuple[float, float]:
    """Train a finalist up to a rung, and compute its score on the validation images.

    Args:
        context (Context): the run.
        text (str): architecture.
        stage (str): name of its training in the run directory.
        recipe (Recipe): optimisation settings.
        until (int): steps of the rung.

    Returns:
        The score, and the wall time of its training so far in seconds.
    """
    data = context.data()
    network, _ = context.network(data, text)
    seconds = fit(context, data, data.train, network, stage, stage, recipe, until=until)
    fitness, batches = context.fitness, loader(context, data, data.validation)
    with context.fabric.autocast():
        return score(network, batches, fitness.metric, fitness.evaluate), seconds


def read_found(directory: RunDirectory) -> SearchOutcome | None:
    """Read the outcome of the search, with the winner among the finalists if there were any.

    Args:
        directory (RunDirectory): directory of the run.

    Returns:
        The outcome; None while the search is not finished.
    """
    found, finals = directory.outcome(SearchOutcome), directory.outcome(FinalistsOutcome)
    return replace(found, winner=finals.winner) if found and finals else found
