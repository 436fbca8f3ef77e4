"""The scores known at the start of a search, recorded in the study so that it can be resumed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import optuna
from optuna.trial import TrialState

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost import Constraint, CostModel
from spos.search.settings import SearchSettings
from spos.search.study import keep_space, read_space
from spos.search.trials import read_scores, read_trials
from spos.space import Architecture, SearchSpace

#: Number of architectures whose latencies identify a latency table.
IDENTIFYING_ARCHITECTURES = 256


def search_id(
    settings: SearchSettings, constraint: Constraint, table: CostModel | None = None
) -> str:
    """Compute the id of a search in its study: a hash of what determines its course.

    The number of iterations is not part of it, so that a search can be continued with more
    iterations. Latencies are part of it: those of another device make another search.

    Args:
        settings (SearchSettings): settings of the search.
        constraint (Constraint): constraint of the search.
        table (CostModel | None): costs of the architectures; needed only if latency is among them.

    Returns:
        12 hexadecimal digits.

    Example:
        >>> unconstrained = Constraint()
        >>> longer = search_id(SearchSettings(iterations=40), unconstrained)
        >>> search_id(SearchSettings(), unconstrained) == longer
        True
    """
    text = json.dumps(_decisive(settings, constraint, table), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_scores_at_start(
    study: optuna.Study,
    space: SearchSpace,
    settings: SearchSettings,
    constraint: Constraint,
    table: CostModel | None = None,
) -> dict[Architecture, float]:
    """Read the scores that the study had when a search was started, in the order of the trials.

    The first call for a search counts as its start: it records the trials so far in the user
    attribute ``search:ID`` of the study.

    Raises:
        UserError: the study belongs to another space, or its records cannot be read.
    """
    keep_space(study, space)
    key = f"search:{search_id(settings, constraint, table)}"
    trials = read_trials(study, space)
    kept = study.user_attrs.get(key)
    if kept is None:
        kept = {
            **_decisive(settings, constraint, table),
            "trials": len(trials),
            "unfinished": [t.number for t in trials if not t.state.is_finished()],
        }
        study.set_user_attr(key, kept)
    try:
        unfinished = set(kept["unfinished"])
        before = [t for t in trials if t.number < kept["trials"] and t.number not in unfinished]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"study '{study.study_name}' is damaged (its trials, or its attribute {key}): restore "
            "it from a copy, or give another file or name to search from scratch"
        ) from error
    return read_scores(before)


def count_evaluations(
    study: optuna.Study,
    settings: SearchSettings,
    constraint: Constraint,
    table: CostModel | None = None,
) -> int:
    """Count the architectures in a study that were evaluated by a search."""
    identity, space = search_id(settings, constraint, table), read_space(study)
    if space is None:
        return 0
    trials = read_trials(study, space)
    made = (TrialState.COMPLETE, TrialState.PRUNED)
    # Runs that share a study and make the same search at a time evaluate each of its candidates.
    return len({t.architecture for t in trials if t.search == identity and t.state in made})


def _decisive(
    settings: SearchSettings, constraint: Constraint, table: CostModel | None
) -> dict[str, object]:
    decisive: dict[str, object] = asdict(settings)
    crossover, mutation = settings.children
    decisive |= {"crossover_children": crossover, "mutation_children": mutation}
    # A study has scores of one fitness alone.
    for name in ("iterations", "fitness", "depth_weight", "naswot_weight", "patterns_weight"):
        del decisive[name]
    if not settings.pareto:
        # Keeps the ids of searches that are older than this setting.
        del decisive["pareto"]
    if not settings.racing:
        del decisive["racing"]
    for name in ("maximum", "minimum"):
        bounds = getattr(constraint, name)
        decisive[name] = {cost: float(bound) for cost, bound in bounds.items()}
    # Other costs follow from the space, and are left out to keep the ids of older searches.
    named = {*constraint.maximum, *constraint.minimum, *settings.pareto}
    if table is not None and "latency" in named:
        rows = table.space.sample_many(IDENTIFYING_ARCHITECTURES, generator(0, "latencies"))
        column = table.many(rows)[:, table.names.index("latency")]
        decisive["latencies"] = hashlib.sha256(column.astype("<i8").tobytes()).hexdigest()[:12]
    return decisive
