"""What a search knew when it started, kept in the study so that it is the same after a kill."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import optuna
from optuna.trial import TrialState

from spos.cost import Constraint
from spos.search.settings import SearchSettings
from spos.search.study import accuracies_of, keep_space
from spos.space import Architecture, SearchSpace


def search_id(settings: SearchSettings, constraint: Constraint) -> str:
    """The name of a search in its study: a hash of what decides its course.

    The number of iterations is no part of it: a search with more iterations goes on where the one
    with fewer ended.

    Example:
        >>> unconstrained = Constraint()
        >>> longer = search_id(SearchSettings(iterations=40), unconstrained)
        >>> search_id(SearchSettings(), unconstrained) == longer
        True
    """
    text = json.dumps(_decisive(settings, constraint), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def known_at_start(
    study: optuna.Study, space: SearchSpace, settings: SearchSettings, constraint: Constraint
) -> dict[Architecture, float]:
    """The accuracies that the study knew when a search started, in the order of the trials.

    The first call with the settings of a search is its start: the study keeps which trials there
    were, under the user attribute ``search:ID``.

    Args:
        study: of the space, or new.
        space: the search space.
        settings: of the search.
        constraint: of the search.

    Raises:
        UserError: the study is of another space.
    """
    keep_space(study, space)
    key = f"search:{search_id(settings, constraint)}"
    trials = study.get_trials(deepcopy=False)
    kept = study.user_attrs.get(key)
    if kept is None:
        kept = {
            **_decisive(settings, constraint),
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
    return accuracies_of(before, space)


def evaluated_by(study: optuna.Study, settings: SearchSettings, constraint: Constraint) -> int:
    """How many evaluations a study has that a search paid for.

    Args:
        study: of the evaluations.
        settings: of the search.
        constraint: of the search.
    """
    identity = search_id(settings, constraint)
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sum(trial.user_attrs.get("search") == identity for trial in trials)


def _decisive(settings: SearchSettings, constraint: Constraint) -> dict[str, object]:
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
    return decisive
