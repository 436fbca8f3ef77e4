"""What a search knew when it started, kept in the study so that it is the same after a kill."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import optuna
from optuna.trial import TrialState

from spos._util.randomness import generator
from spos.cost import Constraint, CostModel
from spos.search.settings import SearchSettings
from spos.search.study import keep_space, scores_of
from spos.space import Architecture, SearchSpace

#: Architectures by whose latencies two latency tables are told apart.
TOLD_APART_BY = 256


def search_id(
    settings: SearchSettings, constraint: Constraint, table: CostModel | None = None
) -> str:
    """The name of a search in its study: a hash of what decides its course.

    The number of iterations is no part of it: a search with more iterations goes on where the one
    with fewer ended. What latencies are is: those of another device make another search.

    Example:
        >>> unconstrained = Constraint()
        >>> longer = search_id(SearchSettings(iterations=40), unconstrained)
        >>> search_id(SearchSettings(), unconstrained) == longer
        True
    """
    text = json.dumps(_decisive(settings, constraint, table), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def scores_at_start(
    study: optuna.Study,
    space: SearchSpace,
    settings: SearchSettings,
    constraint: Constraint,
    table: CostModel | None = None,
) -> dict[Architecture, float]:
    """The scores that the study knew when a search started, in the order of the trials.

    The first call with the settings of a search is its start: the study keeps which trials there
    were, under the user attribute ``search:ID``.

    Args:
        study: of the space, or new.
        space: the search space.
        settings: of the search.
        constraint: of the search.
        table: of the costs, where latency is one.

    Raises:
        UserError: the study is of another space.
    """
    keep_space(study, space)
    key = f"search:{search_id(settings, constraint, table)}"
    trials = study.get_trials(deepcopy=False)
    kept = study.user_attrs.get(key)
    if kept is None:
        kept = {
            **_decisive(settings, constraint, table),
            "trials": len(trials),
            "unfinished": [t.number for t in trials if not t.state.is_finished()],
        }
        study.set_user_attr(key, kept)
    unfinished = set(kept["unfinished"])
    before = [
        trial
        for trial in trials
        if trial.number < kept["trials"]
        and trial.number not in unfinished
        and trial.state == TrialState.COMPLETE
    ]
    return scores_of(before, space)


def evaluated_by(
    study: optuna.Study,
    settings: SearchSettings,
    constraint: Constraint,
    table: CostModel | None = None,
) -> int:
    """How many evaluations a study has that a search paid for.

    Args:
        study: of the evaluations.
        settings: of the search.
        constraint: of the search.
        table: of the costs, where latency is one.
    """
    identity = search_id(settings, constraint, table)
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sum(trial.user_attrs.get("search") == identity for trial in trials)


def _decisive(
    settings: SearchSettings, constraint: Constraint, table: CostModel | None
) -> dict[str, object]:
    decisive: dict[str, object] = asdict(settings)
    crossover, mutation = settings.children
    decisive |= {"crossover_children": crossover, "mutation_children": mutation}
    del decisive["iterations"]
    if not settings.pareto:
        # Searches that began before there were fronts keep their names.
        del decisive["pareto"]
    for name in ("maximum", "minimum"):
        bounds = getattr(constraint, name)
        decisive[name] = {cost: float(bound) for cost, bound in bounds.items()}
    # Other costs follow from the space; searches that began before keep their names.
    if table is not None and "latency" in {
        *constraint.maximum,
        *constraint.minimum,
        *settings.pareto,
    }:
        decisive["latencies"] = _latencies(table)
    return decisive


def _latencies(table: CostModel) -> str:
    """A hash of the latencies of some architectures, the same ones for every table of a space."""
    rows = table.space.sample_many(TOLD_APART_BY, generator(0, "latencies"))
    column = table.many(rows)[:, table.names.index("latency")]
    return hashlib.sha256(column.astype("<i8").tobytes()).hexdigest()[:12]
