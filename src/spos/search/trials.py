"""The trials of a study as a search needs them, without an object of Optuna for each."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from spos._util.errors import UserError
from spos.space import Architecture, SearchSpace

#: User attributes that trials of spos have, and others have not.
ARCHITECTURE, SEARCH = "architecture", "search"
#: User attribute of those that were dropped in a race: the images that their score is of.
DROPPED = "dropped_after"
#: User attribute with a digest of what a search reads of a trial; early versions wrote none.
DIGEST = "digest"


class Evaluated(NamedTuple):
    """What is known of a trial.

    Args:
        number (int): number of the trial in its study.
        state (TrialState): state of the trial.
        architecture (Architecture | None): its architecture; None if it is not one of the space.
        score (float | None): its score; None if it has no finite one.
        search (str | None): id of the search that made it; None for trials of others.
        dropped_after (int | None): number of validation images that its score is an estimate by, if
            it was dropped in a race.
    """

    number: int
    state: TrialState
    architecture: Architecture | None
    score: float | None
    search: str | None
    dropped_after: int | None = None

    @property
    def is_scored(self) -> bool:
        """Whether it gives the score of an architecture."""
        known = self.architecture is not None and self.score is not None
        return known and self.state == TrialState.COMPLETE


def read_trials(study: optuna.Study, space: SearchSpace) -> list[Evaluated]:
    """Read the trials of a study, in the order of their numbers.

    From a database they are read by two queries: of 20,000 trials, Optuna would read the 400,000
    parameters one by one. Where a trial is not one of spos, all are read through Optuna.

    Raises:
        UserError: a trial was altered.

    Example:
        >>> from optuna.distributions import CategoricalDistribution
        >>> from spos.space import Choice
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(direction="maximize")
        >>> kernel = {"kernel": CategoricalDistribution(("3x3", "5x5"))}
        >>> given = {"params": {"kernel": "5x5"}, "distributions": kernel, "value": 0.5}
        >>> study.add_trial(optuna.create_trial(**given))
        >>> read_trials(study, SearchSpace([Choice("kernel", ("3x3", "5x5"))]))[0].architecture
        Architecture(1)
    """
    found = _read_rows(study, space)
    if found is None:
        found = [_convert(study, trial, space) for trial in study.get_trials(deepcopy=False)]
    return found


def trial_digest(state: str, score: float | None, attributes: Mapping[str, Any]) -> str:
    """Digest of what a search reads of a trial, which SQLite does not protect from damage.

    Args:
        state (str): name of its state.
        score (float | None): its score.
        attributes (Mapping): its user attributes.

    Example:
        >>> trial_digest("COMPLETE", 0.5, {"architecture": "0,1", "search": "first"})
        '8ade188e3955eb48'
    """
    # A database has no other numbers, and no zero below 0.
    known = [state, score + 0.0 if score is not None and math.isfinite(score) else None]
    known += [attributes.get(name) for name in (ARCHITECTURE, SEARCH, DROPPED)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


def _check(
    study: optuna.Study,
    number: int,
    state: str,
    score: float | None,
    attributes: Mapping[str, Any],
) -> None:
    kept = attributes.get(DIGEST)
    if kept is not None and kept != trial_digest(state, score, attributes):
        database = database_of(study)
        file = database.engine.url.database if database is not None else None
        raise UserError(
            f"study '{study.study_name}'{f' in {file}' if file else ''} is damaged: its trial "
            f"{number} was altered; restore it from a copy, or move it away to search from scratch "
            "(its evaluations are then lost)"
        )


def read_scores(trials: Sequence[Evaluated]) -> dict[Architecture, float]:
    """Collect the scores of completed trials.

    Returns:
        Score by architecture; the first one if an architecture was evaluated twice.
    """
    scores: dict[Architecture, float] = {}
    for trial in trials:
        if trial.is_scored:
            assert trial.architecture is not None and trial.score is not None
            scores.setdefault(trial.architecture, trial.score)
    return scores


def read_dropped(trials: Sequence[Evaluated]) -> dict[Architecture, tuple[float, int]]:
    """Collect the candidates that were dropped in a race.

    Returns:
        The estimate of the score and the number of images that it is by, by architecture.
    """
    return {
        one.architecture: (one.score, one.dropped_after)
        for one in trials
        if one.state == TrialState.PRUNED
        and one.architecture is not None
        and one.score is not None
        and one.dropped_after is not None
    }


def database_of(study: optuna.Study) -> optuna.storages.RDBStorage | None:
    """The database that a study is in; None for another storage."""
    storage = getattr(study, "_storage", None)
    storage = getattr(storage, "_backend", storage)
    return storage if isinstance(storage, optuna.storages.RDBStorage) else None


def _convert(study: optuna.Study, trial: FrozenTrial, space: SearchSpace) -> Evaluated:
    architecture, score = None, trial.values[0] if trial.values else math.nan
    _check(study, trial.number, trial.state.name, score, trial.user_attrs)
    # Trials of others need not fit the space.
    with suppress(UserError):
        if len(trial.params) == len(space):
            architecture = space.from_names(trial.params)
    return Evaluated(
        trial.number,
        trial.state,
        architecture,
        score if math.isfinite(score) else None,
        trial.user_attrs.get(SEARCH),
        trial.user_attrs.get(DROPPED),
    )


def _read_rows(study: optuna.Study, space: SearchSpace) -> list[Evaluated] | None:
    """Read the rows of a database; None for another storage, or if a trial is not of spos."""
    storage = database_of(study)
    if storage is None:
        return None
    rows, attributes = _query(storage, study._study_id)
    found = []
    for identity, number, state, value in rows:
        own = attributes.get(identity, {})
        _check(study, number, state, value, own)
        if state == TrialState.COMPLETE.name and own.keys() - {DIGEST} != {ARCHITECTURE, SEARCH}:
            return None
        architecture = None
        with suppress(UserError):
            architecture = space.parse(str(own[ARCHITECTURE])) if ARCHITECTURE in own else None
        score = value if value is not None and math.isfinite(value) else None
        known = own.get(SEARCH), own.get(DROPPED)
        found.append(Evaluated(number, TrialState[state], architecture, score, *known))
    return found


def _query(
    storage: optuna.storages.RDBStorage, study: int
) -> tuple[Sequence[Any], dict[int, dict[str, Any]]]:
    # Slow to import, and Optuna imports it for a database only.
    from sqlalchemy import and_, column, select, table
    from sqlalchemy.exc import SQLAlchemyError

    # Not by the classes of Optuna, which are private: these are the columns that it documents by
    # its migrations, and quoted as the database needs it.
    trials = table("trials", *map(column, ("trial_id", "number", "study_id", "state")))
    values = table("trial_values", *map(column, ("trial_id", "objective", "value")))
    texts = table("trial_user_attributes", *map(column, ("trial_id", "key", "value_json")))
    first = and_(values.c.trial_id == trials.c.trial_id, values.c.objective == 0)
    scored = (
        select(trials.c.trial_id, trials.c.number, trials.c.state, values.c.value)
        .select_from(trials.outerjoin(values, first))
        .where(trials.c.study_id == study)
        .order_by(trials.c.number)
    )
    described = (
        select(texts.c.trial_id, texts.c.key, texts.c.value_json)
        .select_from(texts.join(trials, texts.c.trial_id == trials.c.trial_id))
        .where(trials.c.study_id == study, texts.c.key.in_((ARCHITECTURE, SEARCH, DROPPED, DIGEST)))
    )
    found: dict[int, dict[str, Any]] = {}
    try:
        with storage.engine.connect() as connection:
            rows = connection.execute(scored).all()
            for identity, key, text in connection.execute(described):
                found.setdefault(identity, {})[key] = json.loads(text)
    except (SQLAlchemyError, ValueError) as error:
        raise StorageInternalError("the trials of the study cannot be read") from error
    return rows, found
