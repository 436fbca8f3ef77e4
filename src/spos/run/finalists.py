"""The finalists of a search: the best candidates are trained for a short while to choose one."""

from __future__ import annotations

import math
from dataclasses import replace

from spos._util.errors import UserError
from spos.report.result import Finalist
from spos.run.config import Config
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.outcome import FinalistsOutcome, SearchOutcome, make_winner
from spos.run.short import short_recipe, train_briefly
from spos.search import Candidate
from spos.training.recipe import Recipe


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


def plan_training(config: Config, count: int) -> tuple[Recipe, list[tuple[int, int]]]:
    """Plan the short trainings of a run.

    Args:
        config (Config): configuration of the run.
        count (int): number of finalists, at least 2.

    Returns:
        The recipe, and the number of networks of each rung with its steps.
    """
    rungs = plan_rungs(count)
    recipe = short_recipe(config.retrain, config.finalists.share, rungs[0][1])
    return recipe, [(left, max(1, int(recipe.steps * share))) for left, share in rungs]


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
    chosen = choose_finalists(found, settings.count, distinct=context.fitness.is_loss)
    if len(chosen) < 2:
        return None
    recipe, rungs = plan_training(context.config, len(chosen))
    finalists = [Finalist(**vars(one)) for one in chosen]
    seconds = dict.fromkeys(range(len(finalists)), 0.0)
    remaining = list(range(len(finalists)))
    for count, steps in rungs:
        # The order of the search decides between equals.
        remaining = sorted(remaining[:count])
        for place in remaining:
            one = finalists[place]
            trained = train_briefly(
                context,
                str(one.architecture),
                recipe,
                steps,
                label=f"finalist {place + 1} of {len(finalists)}",
                weights=context.config.network.weights,
            )
            finalists[place] = replace(one, rungs=trained.rungs)
            seconds[place] = trained.seconds
        remaining.sort(key=lambda place: -finalists[place].rungs[-1].score)
    table = context.costs(context.supernet(context.data()), eager=False)
    outcome = FinalistsOutcome(
        seconds=sum(seconds.values()),
        winner=make_winner(chosen[remaining[0]], table),
        finalists=tuple(finalists),
    )
    return directory.finish(outcome)


def choose_finalists(found: SearchOutcome, count: int, *, distinct: bool) -> list[Candidate]:
    """Choose the best candidates, best first.

    Args:
        found (SearchOutcome): outcome of the search.
        count (int): largest number of finalists.
        distinct (bool): whether candidates of exactly the same loss are one network. They are in
            spaces in which options without an effect, such as the operations behind a cut edge,
            give one network several architectures.
    """
    known = {one.architecture: one for one in found.candidates}
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
