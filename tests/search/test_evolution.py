from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spos._util.errors import UserError
from spos.cost import Constraint
from spos.search import ALGORITHMS, Feasible, Proposal, SearchSettings
from spos.search.algorithms.evolution import Evolution
from spos.search.driver import Course
from spos.search.history import History
from spos.space import Architecture, Choice, SearchSpace


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"population": 0}, "search.population 0: must be at least 1"),
        ({"population": 2.5}, "search.population 2.5"),
        ({"iterations": 0}, "search.iterations 0"),
        ({"parents": -1}, "search.parents -1"),
        ({"tries": 0}, "search.tries 0"),
        ({"seed": -3}, "search.seed -3: must be at least 0"),
        ({"mutation": 1.2}, "search.mutation 1.2: must be at most 1"),
        ({"mutation": float("nan")}, "search.mutation nan"),
        ({"depth_weight": 1e308}, "search.depth_weight 1e+308: must be at most 1000"),
        ({"naswot_weight": 1e308}, "search.naswot_weight 1e+308: must be at most 1000"),
        ({"crossover_children": 30, "mutation_children": 30}, "at most 50 together"),
        ({"crossover_children": 51}, "more than the population of 50"),
        ({"mutation_children": 51}, "more than the population of 50"),
    ],
)
def test_settings_out_of_range(wrong, says):
    with pytest.raises(UserError) as raised:
        SearchSettings(**wrong)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_children():
    assert SearchSettings().children == (25, 25)
    assert SearchSettings(crossover_children=10).children == (10, 40)
    assert SearchSettings(mutation_children=40).children == (10, 40)
    assert SearchSettings(crossover_children=5, mutation_children=5).children == (5, 5)


def course_of(feasible, how, scores=None):
    return Course(ALGORITHMS[how.algorithm](feasible, how), scores)


def children(feasible, how, parents):
    """The second population of a search whose first one was its parents."""
    history = History(feasible)
    history.proposals = [Proposal(one, 0, n, "random") for n, one in enumerate(parents)]
    history.scores = dict.fromkeys(parents, 0.5)
    return Evolution(feasible, how).propose(1, history)


def finish(course, score):
    while pending := course.pending():
        for proposal in reversed(pending):
            course.history.scores[proposal.architecture] = score(proposal.architecture)
    return course.history


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 30),
    st.integers(1, 10),
    st.sampled_from([6, 10, 18, 36]),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_children_are_new_and_feasible(
    spaces, additive, seed, population, parents, bound, mutation
):
    space = spaces(*[4] * 12)
    table = additive(space, flops=[[0, 1, 2, 3]] * 12)
    feasible = Feasible(space, table, Constraint(maximum={"flops": bound}))
    chosen = feasible.draw(parents, np.random.default_rng(seed))
    how = SearchSettings(population=population, parents=parents, mutation=mutation, seed=seed)
    born = children(feasible, how, chosen)
    assert len(born) <= population
    assert not set(chosen) & set(born)
    assert all(feasible.satisfied(list(born)))
    for child, origin in born.items():
        assert origin in ("crossover", "mutation")
        if origin == "crossover":
            assert any(
                all(gene in pair for gene, *pair in zip(child, a, b, strict=True))
                for a in chosen
                for b in chosen
            )
    assert born == children(feasible, how, chosen)


def test_half_by_crossover_and_half_by_mutation(tower):
    feasible = Feasible(tower.space, tower, Constraint())
    parents = feasible.draw(10, np.random.default_rng(0))
    born = children(feasible, SearchSettings(), parents)
    assert list(born.values()) == ["crossover"] * 25 + ["mutation"] * 25
    # A mutation redraws each option with probability 0.1, of which a quarter changes nothing.
    changes = [
        min(sum(a != b for a, b in zip(child, parent, strict=True)) for parent in parents)
        for child in list(born)[25:]
    ]
    assert 1 <= np.mean(changes) < 2


def test_rest_is_random_where_children_are_not_new(small):
    # All but one of 81 architectures are within the constraint: children run out.
    feasible = Feasible(small.space, small, Constraint(maximum={"flops": 7}))
    how = SearchSettings(population=16, iterations=5, mutation=0.0, tries=5)
    history = finish(course_of(feasible, how), sum)
    assert len(history.proposals) == len(history.seen) == 80
    assert {"crossover", "random"} == {p.origin for p in history.proposals if p.iteration}


def test_another_name_of_a_network_is_no_new_child(additive):
    # The second choice has an effect in one of four options of the first alone.
    names = tuple("abcd")
    outer = [Choice(f"block{number}", names) for number in range(6)]
    inner = [Choice(f"inside{number}", names) for number in range(6)]
    space = SearchSpace([*outer, *inner], [[[]]] * 6 + [[[(number, 3)]] for number in range(6)])
    feasible = Feasible(space, additive(space, flops=[[0] * 4] * 12), Constraint())
    history = finish(course_of(feasible, SearchSettings(population=20, iterations=6)), sum)
    assert {p.origin for p in history.proposals if p.iteration} == {"crossover", "mutation"}


def test_one_parent_cannot_be_crossed(tower):
    feasible = Feasible(tower.space, tower, Constraint())
    origins = children(feasible, SearchSettings(), [Architecture([0] * 12)]).values()
    assert list(origins) == ["mutation"] * 25


def test_ties_go_to_the_earlier(tower):
    history = History(Feasible(tower.space, tower, Constraint()))
    places = [(i, j) for i in range(3) for j in range(3)]
    history.proposals = [
        Proposal(Architecture([0] * 10 + [i, j]), i, j, "random") for i, j in reversed(places)
    ]
    history.scores = {p.architecture: 0.5 for p in history.proposals}
    history.scores[Architecture([0] * 10 + [2, 2])] = 0.6
    assert [one[10:] for one in history.best(3)] == [(2, 2), (0, 0), (0, 1)]


def fitness(architecture: Architecture) -> float:
    # The accuracy of a block depends on the one before it as well.
    pairs = pairwise(architecture)
    return float(sum(1.0 for a, b in pairs if b == (a + 1) % 4) + 0.1 * architecture[0])


@pytest.mark.parametrize("seed", range(3))
def test_the_course_is_algorithm_1(tower, seed):
    """Every population re-derived from the results alone: parents are the best k ever seen."""
    constraint = Constraint(maximum={"flops": 20})
    how = SearchSettings(population=20, iterations=8, parents=5, seed=seed)
    history = finish(course_of(Feasible(tower.space, tower, constraint), how), fitness)
    assert len(history.proposals) == 160
    for iteration in range(8):
        population = [p for p in history.proposals if p.iteration == iteration]
        origins = [p.origin for p in population]
        if iteration == 0:
            assert origins == ["random"] * 20
            continue
        before = [p for p in history.proposals if p.iteration < iteration]
        before.sort(key=lambda p: (-fitness(p.architecture), p.iteration, p.position))
        parents = [p.architecture for p in before[:5]]
        assert max(origins.count("crossover"), origins.count("mutation")) <= 10
        for proposal in population:
            genes = list(zip(proposal.architecture, *parents, strict=True))
            if proposal.origin == "crossover":
                assert all(gene in options for gene, *options in genes)
            if proposal.origin == "mutation":
                distance = min(
                    sum(a != b for a, b in zip(proposal.architecture, parent, strict=True))
                    for parent in parents
                )
                assert 1 <= distance <= 7
    top = history.top(5)
    ranked = sorted((fitness(p.architecture) for p in history.proposals), reverse=True)
    assert [fitness(p.architecture) for p in top] == ranked[:5]


def test_evolution_finds_what_random_search_misses(spaces, additive):
    space = spaces(*[4] * 8)
    table = additive(space, flops=[[0, 1, 2, 3]] * 8)
    feasible = Feasible(space, table, Constraint(maximum={"flops": 14}))

    def accuracy(architecture: Architecture) -> float:
        right = [option == wanted for option, wanted in zip(architecture, [3, 1] * 4, strict=True)]
        return sum(right) + sum(a and b for a, b in pairwise(right)) / 2

    optimum = max(accuracy(a) for a in space if sum(a) <= 14)

    def found(algorithm: str, seed: int) -> float:
        course = course_of(feasible, SearchSettings(algorithm=algorithm, seed=seed))
        history = finish(course, accuracy)
        assert len(history.seen) == 1000
        return accuracy(history.best(1)[0])

    assert [found("evolution", seed) for seed in range(3)] == [optimum] * 3
    assert all(found("random", seed) < optimum for seed in range(3))
