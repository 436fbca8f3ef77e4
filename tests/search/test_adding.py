"""Trials that are added to a file are those that Optuna would add."""

from __future__ import annotations

import multiprocessing
from datetime import datetime
from pathlib import Path

import optuna
import pytest

from spos.search import open_study
from spos.search.adding import add_trial
from spos.search.candidate import Candidate
from spos.search.study import make_trial
from spos.space import Architecture, Choice, SearchSpace

SPACE = SearchSpace(Choice(f"block{place}", ("a", "b", "c", "d")) for place in range(5))


def trial(number: int, values: tuple[float, ...] = (0.5,)) -> optuna.trial.FrozenTrial:
    architecture = Architecture([number % 4, *[1] * 4])
    costs = {"flops": 10**10 + number, "params": 3}
    found = make_trial(
        SPACE, Candidate(architecture, number, 1, "mutation", values[0], costs), "one", values
    )
    found.datetime_start = datetime(2026, 1, 2, 3, 4, 5, 678901)
    return found


@pytest.mark.parametrize("values", [(0.1 + 0.2,), (-1e-300, 7.0)])
def test_optuna_reads_what_it_would_have_added(tmp_path: Path, values: tuple[float, ...]) -> None:
    def study_in(name: str) -> optuna.Study:
        directions = ["maximize"] * len(values)
        storage = f"sqlite:///{tmp_path / name}.db"
        return optuna.create_study(storage=storage, study_name="a", directions=directions)

    first, second = study_in("first"), study_in("second")
    for number in range(3):
        first.add_trial(trial(number, values))
        add_trial(second, trial(number, values))
    for one, two in zip(first.get_trials(), second.get_trials(), strict=True):
        # The time at which each was made.
        two.datetime_complete = one.datetime_complete
        assert one == two
    best = [[one.number for one in study.best_trials] for study in (first, second)]
    assert best[0] == best[1]


def test_optuna_goes_on_from_them(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.db", "a", SPACE)
    add_trial(study, trial(0))
    study.add_trial(trial(1))
    add_trial(study, trial(2))
    assert [one.number for one in study.get_trials()] == [0, 1, 2]
    assert study.ask().number == 3


def _add(path: Path, first: int) -> None:
    study = optuna.load_study(study_name="a", storage=f"sqlite:///{path}")
    for number in range(first, first + 20):
        add_trial(study, trial(number))


def test_two_processes_give_each_trial_a_number_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    study = open_study(path, "a", SPACE)
    processes = [
        multiprocessing.get_context("fork").Process(target=_add, args=(path, first))
        for first in (0, 20)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    trials = study.get_trials()
    assert [one.number for one in trials] == list(range(40))
    assert {one.user_attrs["flops"] for one in trials} == {10**10 + number for number in range(40)}


def test_another_storage_gets_them_through_optuna() -> None:
    study = optuna.create_study(direction="maximize")
    add_trial(study, trial(0))
    assert study.trials[0].user_attrs["origin"] == "mutation"
