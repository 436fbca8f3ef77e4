"""The stages of a run: each a function of the configuration and of what is on disk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from optuna.exceptions import StorageInternalError

from spos.context import Context
from spos.cost import CostModel
from spos.errors import UserError
from spos.fit import fit, retrain
from spos.interrupt import deferred_interrupt
from spos.one_shot import load_supernet, one_shot_evaluator
from spos.randomness import generator
from spos.search import Candidate, Feasible, SearchResult, open_study, search
from spos.space import Architecture
from spos.supernet import Supernet


def train_stage(context: Context) -> dict[str, Any]:
    """Train the supernet, or go on where it stopped."""
    done = context.finished("train")
    if done is not None:
        return done
    seconds = context.launch(_train_supernet)
    return context.finish("train", {"steps": context.config.supernet.steps, "seconds": seconds})


def _train_supernet(context: Context) -> float:
    data = context.data()
    supernet = context.supernet(data)
    _check_reachable(context, context.costs(supernet))
    return fit(context, data, data.train, supernet, "train", "supernet", context.config.supernet)


def _check_reachable(context: Context, table: CostModel) -> None:
    """Refuse a constraint that no network of the space satisfies."""
    feasible = Feasible(table.space, table, context.config.bounds)
    feasible.draw(1, generator(context.config.run.seed, "reachable"))


def search_stage(context: Context) -> dict[str, Any]:
    """Search the trained supernet, or go on where it stopped."""
    done = context.finished("search")
    if done is not None:
        return done
    config, directory = context.config, context.directory
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
            context.listener.progress("search", count, total, f"{task.name} {scores}")

        evaluated: dict[Architecture, float] = {}
        evaluator = one_shot_evaluator(context, data, supernet)

        def evaluate(architectures: Iterable[Architecture]) -> Iterator[tuple[Architecture, float]]:
            for architecture, accuracy in evaluator(list(architectures)):
                evaluated[architecture] = accuracy
                yield architecture, accuracy
                if interrupt.requested:
                    raise KeyboardInterrupt

        try:
            result = search(
                supernet.space,
                table,
                config.bounds,
                evaluate,
                study,
                config.search,
                on_evaluated=told,
            )
        except StorageInternalError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise UserError(f"{storage} cannot be written: {reason}") from error
    seconds = before + time.monotonic() - began
    return context.finish("search", _search_outcome(result, supernet, table, seconds))


def _search_outcome(
    result: SearchResult, supernet: Supernet, table: CostModel, seconds: float
) -> dict[str, Any]:
    winner = result.top[0]
    return {
        "evaluated": result.evaluated,
        "exhausted": result.exhausted,
        "winner": {
            **_candidate(winner),
            "names": supernet.space.names(winner.architecture),
            "stages": table.stages(winner.architecture),
        },
        "top": [_candidate(candidate) for candidate in result.top],
        "candidates": [_candidate(candidate) for candidate in result.candidates],
        "seconds": seconds,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "architecture": str(candidate.architecture),
        "one_shot_top1": candidate.accuracy,
        **candidate.costs,
        "iteration": candidate.iteration,
        "origin": candidate.origin,
    }


def retrain_stage(context: Context) -> dict[str, Any]:
    """Train the winner, or a network given by name, and read the test images once."""
    done = context.finished("retrain")
    if done is not None:
        return done
    named = context.config.network.name
    if named:
        return context.finish("retrain", context.launch(retrain, named, "retrain"))
    found = context.finished("search")
    if found is None:
        raise UserError(f"{context.directory.path} has no search result: run spos search first")
    outcome = context.launch(retrain, found["winner"]["architecture"], "retrain")
    return context.finish("retrain", outcome)
