"""A front of accuracy and costs."""

from __future__ import annotations

import contextlib
import math
from collections import Counter

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos._util.errors import UserError
from spos.cost import Constraint
from spos.search import SearchSettings, evaluations, open_storage, open_study, search
from spos.search.history import find_front as front
from spos.space import Architecture

HOW = SearchSettings(algorithm="nsga2", population=10, iterations=5, parents=4, pareto=("flops",))
WITHIN = Constraint(maximum={"flops": 28}, minimum={"params": 6})


def fitness(architecture: Architecture) -> float:
    # Few values, so that there are many ties.
    return round(math.sin(sum((i + 1) * option for i, option in enumerate(architecture))), 1)


def dominates(point, other):
    better = [point[0] >= other[0], *(p <= o for p, o in zip(point[1:], other[1:], strict=True))]
    return all(better) and point != other


def hypervolume(points, least: float, largest: float) -> float:
    """The area between a front of accuracy and one cost and its worst corner."""
    area, best, at = 0.0, least, 0.0
    for accuracy, cost in sorted(points, key=lambda p: (p[1], -p[0])):
        if accuracy > best and cost <= largest:
            area += (best - least) * (cost - at)
            best, at = accuracy, cost
    return area + (best - least) * (largest - at)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=30))
def test_the_front_is_what_nothing_dominates(points):
    kept = front(points)
    best = {p for p in points if not any(dominates(q, p) for q in points)}
    assert len(kept) == len(best)
    assert {points[n] for n in kept} == best
    # Of equals the first, and the cheapest first.
    assert all(points.index(points[n]) == n for n in kept)
    assert [points[n][1:] for n in kept] == sorted(points[n][1:] for n in kept)


@pytest.mark.parametrize("pareto", [("flops",), ("params", "flops")])
@pytest.mark.parametrize("algorithm", ["nsga2", "random"])
def test_result(tower, evaluator, new_study, pareto, algorithm):
    how = SearchSettings(algorithm, population=10, iterations=5, parents=4, pareto=pareto)
    evaluate = evaluator(fitness)
    result = search(tower.space, tower, WITHIN, evaluate, new_study(), how)
    # All of a generation at once, nothing outside the constraint, and nothing twice.
    assert evaluate.batches == [10] * 5
    assert len(set(evaluate.calls)) == 50
    assert all(WITHIN.satisfied(tower.cost(architecture)) for architecture in evaluate.calls)
    points = {
        c.architecture: (c.score, *(c.costs[name] for name in pareto)) for c in result.candidates
    }
    best = {p for p in points.values() if not any(dominates(q, p) for q in points.values())}
    assert [points[c.architecture] for c in result.front] == sorted(best, key=lambda p: p[1:])
    assert result.top[0] in result.front
    assert result.top[0].score == max(c.score for c in result.candidates)
    assert [c.score for c in result.top] == sorted((c.score for c in result.top), reverse=True)
    origins = {c.origin for c in result.candidates}
    assert origins == ({"random"} if algorithm == "random" else {"random", "nsga2"})


def test_a_killed_search_resumes_exactly(tower, evaluator, new_study):
    whole = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), HOW)
    for kill_after in range(0, 50, 7):
        study, order = new_study(), np.random.default_rng(kill_after)
        killed = evaluator(fitness, kill_after, order)
        with pytest.raises(KeyboardInterrupt):
            search(tower.space, tower, WITHIN, killed, study, HOW)
        rest = evaluator(fitness, order=order)
        assert search(tower.space, tower, WITHIN, rest, study, HOW) == whole
        assert not set(rest.calls) & set(killed.calls)
        assert len(rest.calls) + kill_after == 50


def test_the_storage_holds_the_front_for_a_dashboard(tower, evaluator, new_study, tmp_path):
    storage = open_storage(tmp_path / "study.db")
    how = SearchSettings("nsga2", population=6, iterations=3, pareto=("flops",))
    evaluated: Counter[Architecture] = Counter()
    for _ in range(3):
        study = open_study(storage, "test", tower.space)
        evaluate = evaluator(fitness, kill_after=7)
        with contextlib.suppress(KeyboardInterrupt):
            result = search(tower.space, tower, WITHIN, evaluate, study, how, storage=storage)
        evaluated.update(evaluate.calls)
    assert set(evaluated.values()) == {1}
    (name,) = set(optuna.get_all_study_names(storage)) - {"test"}
    assert name.startswith("test-front-")
    shown = optuna.load_study(study_name=name, storage=storage)
    assert [direction.name for direction in shown.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert shown.metric_names == ["one-shot accuracy", "flops"]
    held = Counter(trial.user_attrs["architecture"] for trial in shown.trials)
    assert held == Counter(str(c.architecture) for c in result.candidates)
    best = {tuple(trial.values) for trial in shown.best_trials}
    assert best == {(c.score, c.costs["flops"]) for c in result.front}


def test_what_a_kill_kept_from_the_dashboard_is_added_later(tower, evaluator, new_study):
    storage = optuna.storages.InMemoryStorage()
    study = new_study(storage=storage)
    search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW, storage=storage)
    (name,) = set(optuna.get_all_study_names(storage)) - {study.study_name}
    optuna.delete_study(study_name=name, storage=storage)
    killed = evaluator(fitness, kill_after=0)
    search(tower.space, tower, WITHIN, killed, study, HOW, storage=storage)
    assert len(optuna.load_study(study_name=name, storage=storage).trials) == 50


def test_the_search_is_another_one_with_another_seed_or_cost(tower, evaluator, new_study):
    def found(**changed):
        how = SearchSettings(
            **{"algorithm": "nsga2", "population": 10, "iterations": 3, "pareto": ("flops",)}
            | changed
        )
        result = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), how)
        return [c.architecture for c in result.candidates]

    assert found() == found()
    assert found(seed=1)[:10] != found()[:10]
    assert found(pareto=("params",))[10:] != found()[10:]


def test_an_exhausted_space_gives_the_true_front(small, evaluator, new_study):
    how = SearchSettings(algorithm="nsga2", population=10, iterations=20, pareto=("flops",))
    result = search(small.space, small, Constraint(), evaluator(fitness), new_study(), how)
    assert result.exhausted
    assert {c.architecture for c in result.candidates} == set(small.space)
    points = [(fitness(a), sum(a)) for a in small.space]
    best = {p for p in points if not any(dominates(q, p) for q in points)}
    assert {(c.score, c.costs["flops"]) for c in result.front} == best


def test_a_front_under_bounds_that_random_draws_do_not_hit(tower, evaluator, new_study):
    tight = Constraint(maximum={"flops": 4})
    evaluate = evaluator(fitness)
    result = search(tower.space, tower, tight, evaluate, new_study(), HOW)
    assert all(sum(architecture) <= 4 for architecture in evaluate.calls)
    assert len(result.candidates) == 50


def test_nsga2_finds_a_better_front_than_random_search_in_a_large_space(
    tower, evaluator, new_study
):
    weights = np.random.default_rng(0).permutation(12) + 1

    def quality(architecture):
        # More costly options are better, in some places more than in others.
        gains = [w * math.sqrt(option) for w, option in zip(weights, architecture, strict=True)]
        return sum(gains) / sum(weights) / math.sqrt(3)

    def mean(algorithm):
        areas = []
        for seed in range(2):
            how = SearchSettings(
                algorithm, population=20, iterations=12, seed=seed, pareto=("flops",)
            )
            result = search(tower.space, tower, Constraint(), evaluator(quality), new_study(), how)
            points = [(c.score, c.costs["flops"]) for c in result.front]
            areas.append(hypervolume(points, 0.0, 36))
        return np.mean(areas)

    assert mean("nsga2") > 1.06 * mean("random")


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"algorithm": "nsga2"}, "give the costs to minimise"),
        ({"pareto": ("flops",)}, "evolution finds one network, not a front"),
        ({"algorithm": "nsga2", "pareto": ("flops", "flops")}, "name each cost once"),
        ({"algorithm": "nsga2", "pareto": ("flops",), "population": 1}, "must be at least 2"),
        (
            {"algorithm": "nsga2", "pareto": ("flops",), "mutation_children": 3},
            "search.mutation_children: nsga2 breeds every child",
        ),
    ],
)
def test_settings_that_do_not_go_together(tower, evaluator, new_study, settings, mistake):
    evaluate = evaluator(fitness)
    with pytest.raises(UserError, match=mistake):
        search(tower.space, tower, WITHIN, evaluate, new_study(), SearchSettings(**settings))
    assert evaluate.calls == []


def test_a_cost_that_the_space_does_not_have(tower, evaluator, new_study):
    how = SearchSettings(algorithm="nsga2", pareto=("flop",))
    evaluate = evaluator(fitness)
    with pytest.raises(UserError, match=r"unknown cost 'flop': did you mean 'flops'\?"):
        search(tower.space, tower, WITHIN, evaluate, new_study(), how)
    assert evaluate.calls == []


def test_the_accuracies_of_a_front_are_known_to_later_searches(tower, evaluator, new_study):
    study = new_study()
    first = search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
    assert len(evaluations(study)) == 50
    evaluate = evaluator(fitness)
    how = SearchSettings(population=10, iterations=5, parents=4)
    second = search(tower.space, tower, WITHIN, evaluate, study, how)
    assert [c.origin for c in second.candidates[:10]] == ["known"] * 10
    assert second.top[0].score >= first.top[0].score
    assert len(evaluate.calls) == second.evaluated <= 40
