"""Finished trials added to the study of a search."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial

from spos.search.trials import database_of


def add_trial(study: optuna.Study, trial: FrozenTrial) -> None:
    """Add a finished trial to a study, in one transaction.

    To a SQLite file it is added by five statements: Optuna adds the parameters and attributes one
    by one, each by several statements, which takes ten times as long.

    Args:
        study (optuna.Study): study whose trials have the parameters of this one.
        trial (FrozenTrial): finished trial with finite values.

    Example:
        >>> import tempfile
        >>> from spos.search import open_study
        >>> from spos.search.candidate import Candidate
        >>> from spos.search.study import make_trial
        >>> from spos.space import Architecture, Choice, SearchSpace
        >>> space = SearchSpace([Choice("kernel", ("3x3", "5x5"))])
        >>> study = open_study(f"{tempfile.mkdtemp()}/study.db", "digits", space)
        >>> found = Candidate(Architecture([1]), 0, 0, "random", 0.5, {"flops": 1})
        >>> add_trial(study, make_trial(space, found, "first", [0.5]))
        >>> study.trials[0].params, study.trials[0].value
        ({'kernel': '5x5'}, 0.5)
    """
    database = database_of(study)
    if database is None or database.engine.name != "sqlite":
        study.add_trial(trial)
        return
    from sqlalchemy.exc import SQLAlchemyError

    try:
        _insert(database.engine, study._study_id, trial)
    except SQLAlchemyError:
        # Nothing was added. Another process has locked the file for long, or it is damaged: Optuna
        # tries several times, and says what is wrong.
        study.add_trial(trial)


def _insert(engine: Any, study: int, trial: FrozenTrial) -> None:
    """Insert the rows of a trial as Optuna does; the tables are documented by its migrations."""
    from sqlalchemy import text

    with engine.connect() as connection:
        # Numbers are counted: nobody else may write meanwhile.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        (number,) = connection.execute(
            text("SELECT COUNT(*) FROM trials WHERE study_id = :study"), {"study": study}
        ).one()
        added = connection.execute(
            text(
                "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)"
                " VALUES (:number, :study, :state, :start, :complete)"
            ),
            {
                "number": number,
                "study": study,
                "state": trial.state.name,
                "start": _in_utc(trial.datetime_start),
                "complete": _in_utc(trial.datetime_complete),
            },
        )
        own = {"trial": added.lastrowid}
        connection.execute(
            text(
                "INSERT INTO trial_values (trial_id, objective, value, value_type)"
                " VALUES (:trial, :objective, :value, 'FINITE')"
            ),
            [
                {**own, "objective": place, "value": value}
                for place, value in enumerate(trial.values)
            ],
        )
        connection.execute(
            text(
                "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
                " VALUES (:trial, :name, :value, :distribution)"
            ),
            [
                {
                    **own,
                    "name": name,
                    "value": trial.distributions[name].to_internal_repr(value),
                    "distribution": distribution_to_json(trial.distributions[name]),
                }
                for name, value in trial.params.items()
            ],
        )
        connection.execute(
            text(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
                " VALUES (:trial, :key, :value)"
            ),
            [
                {**own, "key": key, "value": json.dumps(value)}
                for key, value in trial.user_attrs.items()
            ],
        )
        connection.commit()


def _in_utc(moment: datetime | None) -> str | None:
    """A time of this machine as SQLAlchemy writes it to SQLite."""
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
