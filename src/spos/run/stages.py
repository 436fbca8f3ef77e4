"""The stages of a run: each a function of the configuration and of what is on disk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from optuna.exceptions import StorageInternalError

from spos._util.errors import UserError
from spos._util.interrupt import deferred_interrupt
from spos._util.randomness import generator
from spos.cost import CostModel
from spos.run.budgets import retrain_budgets
from spos.run.config import required_method
from spos.run.context import Context
from spos.run.derive import derive_stage
from spos.run.differentiable import theta_training
from spos.run.fit import fit, retrain
from spos.run.one_shot import load_supernet, one_shot_evaluator, trained
from spos.run.outcome import Found, search_outcome
from spos.search import Candidate, Feasible, check_costs, open_study, search
from spos.space import Architecture
from spos.training.method import method_class


def train_stage(context: Context) -> dict[str, Any]:
    """Train the supernet by the method of the run, or go on where it stopped."""
    done = trained(context)
    if done is not None:
        return done
    recipe, method = context.config.supernet, method_class(context.method)
    seconds = context.launch(_train_supernet)
    label = getattr(method, "label", "") or recipe.method
    outcome = {"steps": recipe.steps, "method": recipe.method, "label": label, "seconds": seconds}
    return context.finish("train", outcome)


def _train_supernet(context: Context) -> float:
    data = context.data()
    supernet = context.supernet(data)
    recipe, method, images = context.config.supernet, context.method, data.train
    if required_method(context.config.search.algorithm):
        method, images = theta_training(context, data, supernet)
    else:
        _check_reachable(context, context.costs(supernet))
    return fit(context, data, images, supernet, "train", "supernet", recipe, method)


def _check_reachable(context: Context, table: CostModel) -> None:
    """Refuse a constraint that no network of the space satisfies, and costs that it lacks."""
    config = context.config
    check_costs(config.search, table.names)
    for constraint in config.constraint.constraints:
        feasible = Feasible(table.space, table, constraint)
        feasible.draw(1, generator(config.run.seed, "reachable"))


def search_stage(context: Context) -> dict[str, Any]:
    """Search the trained supernet, or go on where it stopped."""
    done = context.finished("search")
    if done is not None and not context.directory.extended:
        return done
    config, directory = context.config, context.directory
    if required_method(config.search.algorithm):
        return derive_stage(context)
    supernet = load_supernet(context)
    data = context.data()
    table = context.costs(supernet)
    _check_reachable(context, table)
    before = context.clock("search")
    if before and not config.constraint.storage and not directory.study_path.exists():
        raise UserError(
            f"{directory.study_path} is missing although the search has begun: restore it, or "
            f"delete {context.clock_path('search')} to search anew"
        )
    context.begin()
    name = f"spos-{context.evaluation_fingerprint(data, supernet)}"
    storage = config.constraint.storage or str(directory.study_path)
    study = open_study(storage, name, supernet.space)
    began = time.monotonic()
    with deferred_interrupt() as interrupt:

        def told(candidate: Candidate, count: int, total: int) -> None:
            context.set_clock("search", before + time.monotonic() - began)
            best = max(evaluated.values(), default=candidate.accuracy)
            task = context.task
            scores = f"{task.show(candidate.accuracy)}  best {task.show(best)}"
            within = f"  {constraint}" if len(constraints) > 1 else ""
            done = sum(len(result.candidates) for _, result in found)
            # As far as can be said, the searches that follow are as long as this one.
            left = total * (len(constraints) - len(found))
            context.listener.progress(
                "search", done + count, done + left, f"{task.name} {scores}{within}"
            )

        evaluated: dict[Architecture, float] = {}
        evaluator = one_shot_evaluator(context, data, supernet)

        def evaluate(architectures: Iterable[Architecture]) -> Iterator[tuple[Architecture, float]]:
            for architecture, accuracy in evaluator(list(architectures)):
                evaluated[architecture] = accuracy
                yield architecture, accuracy
                if interrupt.requested:
                    raise KeyboardInterrupt

        constraints = config.constraint.constraints
        found: list[Found] = []
        try:
            for constraint in constraints:
                result = search(
                    supernet.space,
                    table,
                    constraint,
                    evaluate,
                    study,
                    config.search,
                    on_evaluated=told,
                )
                found.append((constraint, result))
        except StorageInternalError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise UserError(f"{storage} cannot be written: {reason}") from error
    seconds = before + time.monotonic() - began
    return context.finish("search", search_outcome(found, table, study, config.search, seconds))


def retrain_stage(context: Context) -> dict[str, Any]:
    """Train the winner, or a network given by name, and read the test images once.

    Where there are many budgets, the network found for each is trained in the same way.
    """
    done = context.finished("retrain")
    found = context.finished("search")
    if done is not None and not (found and found.get("budgets")):
        return done
    named = context.config.network.name
    if named:
        return context.finish("retrain", context.launch(retrain, named, "retrain"))
    if found is None:
        raise UserError(f"{context.directory.path} has no search result: run spos search first")
    retrain_budgets(context, found)
    outcome = context.finished("retrain")
    assert outcome is not None, "the winner is among the networks of the budgets"
    return outcome
