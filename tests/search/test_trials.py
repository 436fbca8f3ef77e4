"""Trials as they are read from a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from spos.search import evaluations, open_storage, open_study
from spos.search.candidate import Candidate
from spos.search.study import make_distributions, make_trial
from spos.search.trials import read_trials
from spos.space import Architecture, Choice, SearchSpace

SPACE = SearchSpace(Choice(f"block{place}", ("a", "b", "c", "d")) for place in range(20))


def trial(
    architecture: Sequence[int], score: float, search: str = "first"
) -> optuna.trial.FrozenTrial:
    candidate = Candidate(Architecture(architecture), 0, 0, "random", score, {"flops": 1})
    return make_trial(SPACE, candidate, search, [score])


def through_optuna(study: optuna.Study) -> list[object]:
    """The same trials from a storage that is no database."""
    copy = optuna.create_study(direction="maximize")
    copy.add_trials(study.get_trials())
    return read_trials(copy, SPACE)


def of_others(study: optuna.Study) -> None:
    """Trials as somebody else makes them."""
    distributions = make_distributions(SPACE)
    names = SPACE.names([1] * 20)
    study.add_trial(optuna.create_trial(params=names, distributions=distributions, value=0.25))


def unfinished(study: optuna.Study) -> None:
    study.ask()


def begun_by_others(study: optuna.Study) -> None:
    study.ask().set_user_attr("search", "another")


def failed(study: optuna.Study) -> None:
    study.tell(study.ask(), state=TrialState.FAIL)


def infinite(study: optuna.Study) -> None:
    study.add_trial(trial([2] * 20, float("inf")))


@pytest.mark.parametrize("more", [of_others, unfinished, begun_by_others, failed, infinite])
def test_rows_of_a_database_say_the_same_as_optuna(more, tmp_path):
    study = open_study(tmp_path / "study.db", "test", SPACE)
    study.add_trial(trial([0] * 20, 0.125))
    study.add_trial(trial([3] * 20, -1e-300, "second"))
    more(study)
    study.add_trial(trial([0] * 20, 0.75))
    found = read_trials(study, SPACE)
    assert found == through_optuna(study)
    assert [one.number for one in found] == [0, 1, 2, 3]
    assert found[1].search == "second" and found[1].score == -1e-300
    assert evaluations(study)[Architecture([0] * 20)] == 0.125


def test_an_architecture_that_is_none_of_the_space_has_no_score(tmp_path):
    study = open_study(tmp_path / "study.db", "test", SPACE)
    other = trial([3] * 20, 0.5)
    other.user_attrs["architecture"] = "9,9"
    del other.user_attrs["digest"]
    study.add_trial(other)
    assert not read_trials(study, SPACE)[0].is_scored
    assert evaluations(study) == {}


def test_a_study_is_read_without_those_beside_it(tmp_path):
    storage = open_storage(tmp_path / "study.db")
    first, second = (open_study(storage, name, SPACE) for name in ("first", "second"))
    first.add_trial(trial([0] * 20, 0.125))
    second.add_trial(trial([1] * 20, 0.5))
    assert [one.score for one in read_trials(second, SPACE)] == [0.5]


def test_a_table_that_is_lost_is_an_error_of_the_storage(tmp_path):
    study = open_study(tmp_path / "study.db", "test", SPACE)
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("DROP TABLE trial_values")
    with pytest.raises(StorageInternalError):
        read_trials(study, SPACE)
