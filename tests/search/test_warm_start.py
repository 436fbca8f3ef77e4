"""A study is continued with more iterations, another algorithm or another constraint."""

from __future__ import annotations

import dataclasses
import math

import pytest

from spos.cost import Constraint
from spos.search import SearchSettings, evaluations, search
from spos.search.start import count_evaluations, search_id
from spos.space import Architecture

FRONT = {"algorithm": "nsga2", "pareto": ("flops",)}
WITHIN = Constraint(maximum={"flops": 20})


def how(**settings):
    return SearchSettings(**{"population": 10, "iterations": 5, "parents": 4} | settings)


def fitness(architecture: Architecture) -> float:
    return math.sin(sum((i + 1) * option for i, option in enumerate(architecture)))


@pytest.fixture
def run(tower, evaluator, new_study):
    """Search a study, and say which architectures were evaluated for it."""
    study = new_study()

    def once(settings, constraint=WITHIN):
        evaluate = evaluator(fitness)
        result = search(tower.space, tower, constraint, evaluate, study, settings)
        return result, evaluate.calls

    once.study = study
    return once


def test_the_name_of_a_search_is_that_of_earlier_versions() -> None:
    # Otherwise a search started under one would start again.
    assert search_id(SearchSettings(), Constraint(maximum={"flops": 130e3})) == "ded1da9c0b93"


def test_searches_by_other_latencies_are_others(additive, spaces):
    space = spaces(3, 3, 3, 3)
    fast = additive(space, latency=[[0, 1, 2]] * 4)
    slow = additive(space, latency=[[0, 1, 3]] * 4)
    bounded, free = Constraint(maximum={"latency": 6}), Constraint()
    names = {search_id(SearchSettings(), bounded, table) for table in (fast, slow)}
    assert len(names) == 2
    front = SearchSettings(algorithm="nsga2", pareto=("latency",))
    assert search_id(front, free, fast) != search_id(front, free, slow)
    assert search_id(SearchSettings(), free, fast) == search_id(SearchSettings(), free, slow)
    assert search_id(SearchSettings(), bounded, fast) in names


@pytest.mark.parametrize("settings", [{}, {"algorithm": "random"}, FRONT])
def test_more_iterations_pay_for_those_alone(tower, evaluator, new_study, run, settings):
    first, paid = run(how(**settings))
    assert len(paid) == 50
    longer = how(**settings, iterations=8)
    second, more = run(longer)
    assert len(more) == 30 and not set(more) & set(paid)
    assert second.candidates[:50] == first.candidates
    # It is what a search of so many iterations finds from the start.
    assert second == search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), longer)
    assert count_evaluations(run.study, longer, WITHIN) == 80


def test_the_same_search_by_two_runs_at_a_time_is_counted_once(run):
    _, paid = run(how())
    for trial in run.study.get_trials():
        run.study.add_trial(trial)
    assert len(run.study.trials) == 2 * len(paid)
    assert count_evaluations(run.study, how(), WITHIN) == len(paid)


@pytest.mark.parametrize("then", [{}, FRONT])
@pytest.mark.parametrize("before", [{}, {"algorithm": "random"}, FRONT])
def test_another_algorithm_starts_from_what_is_known(run, before, then):
    if before == then:
        then = {**then, "mutation": 0.3}
    first, paid = run(how(**before))
    second, more = run(how(**then))
    # The first population is known, and nothing is paid for twice.
    assert [c.origin for c in second.candidates[:10]] == ["known"] * 10
    assert second.evaluated == len(more) <= 40
    assert not set(more) & set(paid)
    assert count_evaluations(run.study, how(**then), WITHIN) == len(more)
    assert second.top[0].score >= first.top[0].score
    assert len(evaluations(run.study)) == 50 + len(more)


def test_random_search_stays_random(run):
    _, paid = run(how())
    second, more = run(how(algorithm="random"))
    assert {c.origin for c in second.candidates} == {"random"}
    met = {c.architecture for c in second.candidates} & set(paid)
    assert len(more) == 50 - len(met)


def test_another_constraint_starts_from_what_satisfies_it(run):
    first, paid = run(how())
    tighter = Constraint(maximum={"flops": 17})
    known = [c.architecture for c in first.candidates if c.costs["flops"] <= 17]
    second, more = run(how(), tighter)
    started = [c for c in second.candidates if c.origin == "known"]
    assert 0 < len(started) == min(10, len(known))
    assert all(c.costs["flops"] <= 17 for c in second.candidates)
    assert not set(more) & set(paid)
    assert second.evaluated == len(more) <= 50 - len(started)


def test_a_front_starts_from_the_known_front(run):
    first, _ = run(how(**FRONT))
    again = dataclasses.replace(how(**FRONT), seed=1)
    second, _ = run(again)
    started = {c.architecture for c in second.candidates[:10]}
    best = {c.architecture for c in first.front}
    # Ten are kept: all of a front of fewer, or the ten of a larger one that lie apart.
    assert len(best & started) == min(10, len(best))
    anew, _ = run(dataclasses.replace(again, from_known=False))
    assert {c.origin for c in anew.candidates[:10]} == {"random"}
