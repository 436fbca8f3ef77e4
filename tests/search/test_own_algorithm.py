"""A search algorithm of the user's own, and algorithms that read what a training left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from spos import UserError
from spos.cost import Constraint
from spos.search import ALGORITHMS, Algorithm, Prior, SearchSettings, search
from spos.space import Architecture

WITHIN = Constraint(maximum={"flops": 20})


@pytest.fixture
def neighbours():
    """Registered for one test: candidates one option away from the best one."""

    class Neighbours(Algorithm):
        label = "Neighbours"

        def propose(self, iteration: int, history) -> Mapping[Architecture, str]:
            near = {}
            for best in history.best(1):
                for place in range(len(best)):
                    changed = list(best)
                    changed[place] = (changed[place] + iteration) % 4
                    near[Architecture(changed)] = "neighbour"
            return near

    ALGORITHMS.register("neighbours")(Neighbours)
    return Neighbours


def test_it_is_searched_with(neighbours, tower, evaluator, new_study):
    how = SearchSettings("neighbours", population=8, iterations=4)
    evaluate = evaluator(lambda one: -abs(sum(one) - 15))
    result = search(tower.space, tower, WITHIN, evaluate, new_study(), how)
    assert len(result.candidates) == 32
    assert all(WITHIN.satisfied(candidate.costs) for candidate in result.candidates)
    assert len({candidate.architecture for candidate in result.candidates}) == 32
    origins = {c.origin for c in result.candidates if c.iteration}
    assert {"neighbour"} <= origins <= {"neighbour", "random"}
    first = [c for c in result.candidates if c.iteration == 0]
    best = max(first, key=lambda c: (c.score, -c.position))
    second = [c for c in result.candidates if c.iteration == 1 and c.origin == "neighbour"]
    assert second
    for child in second:
        assert sum(a != b for a, b in zip(child.architecture, best.architecture, strict=True)) == 1


def test_it_resumes_after_a_kill(neighbours, tower, evaluator, new_study):
    def fitness(one):
        return float(np.sin(sum((n + 1) * option for n, option in enumerate(one))))

    how = SearchSettings("neighbours", population=8, iterations=4)
    whole = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), how)
    study = new_study()
    with pytest.raises(KeyboardInterrupt):
        search(tower.space, tower, WITHIN, evaluator(fitness, kill_after=19), study, how)
    assert search(tower.space, tower, WITHIN, evaluator(fitness), study, how) == whole


@pytest.mark.parametrize(
    ("proposed", "says"),
    [
        ({(0,) * 12: "x", tuple(np.ones(12, np.int64)): "y"}, None),
        ([Architecture([0] * 12)], r"Own\.propose returned a list; allowed: a mapping"),
        ({Architecture([9] * 12): "x"}, "option 9 of choice"),
        ({Architecture([0, 0]): "x"}, "2 options"),
    ],
)
def test_proposals_in_any_form_are_architectures_or_refused(
    proposed, says, tower, evaluator, new_study
):
    class Own(Algorithm):
        def propose(self, iteration: int, history) -> Mapping[Architecture, str]:
            return proposed

    ALGORITHMS.register("own")(Own)
    assert Own.label == "Own"
    how = SearchSettings("own", population=2, iterations=1)

    def found():
        return search(tower.space, tower, Constraint(), evaluator(sum), new_study(), how)

    if says is None:
        assert [str(one.architecture) for one in found().candidates] == [
            ",".join("0" * 12),
            ",".join("1" * 12),
        ]
    else:
        with pytest.raises(UserError, match=says):
            found()


def test_an_algorithm_that_proposes_nothing_within_the_limits_is_told(tower, evaluator, new_study):
    class Nothing(Algorithm):
        fills = False

        def propose(self, iteration: int, history) -> Mapping[Architecture, str]:
            return {Architecture([3] * 12): "too large"}

    ALGORITHMS.register("nothing")(Nothing)
    with pytest.raises(UserError, match=r"Nothing\.propose proposed no network within the limits"):
        search(tower.space, tower, WITHIN, evaluator(sum), new_study(), SearchSettings("nothing"))


def test_an_unknown_algorithm_is_reported_with_the_nearest(tower, evaluator, new_study):
    with pytest.raises(UserError, match="unknown search algorithm 'evolutoin': did you mean 'ev"):
        search(tower.space, tower, WITHIN, evaluator(sum), new_study(), SearchSettings("evolutoin"))


def test_every_algorithm_of_the_folder_registers_itself():
    assert {"evolution", "random", "nsga2", "fbnet", "darts", "proxylessnas"} <= set(ALGORITHMS)
    for name in ALGORITHMS:
        assert ALGORITHMS[name].label


@pytest.mark.parametrize("algorithm", ["fbnet", "darts", "proxylessnas"])
def test_a_learned_distribution_is_searched(tower, evaluator, new_study, algorithm):
    # Option 1 is the most probable one everywhere, and within the constraint.
    prior = Prior(tuple(np.array([0.2, 0.5, 0.2, 0.1]) for _ in range(12)))
    how = SearchSettings(algorithm)
    result = search(tower.space, tower, WITHIN, evaluator(sum), new_study(), how, prior=prior)
    assert [(c.architecture, c.origin) for c in result.candidates] == [((1,) * 12, "argmax")]
    many = Prior(prior.probabilities, samples=9)
    result = search(tower.space, tower, WITHIN, evaluator(sum), new_study(), how, prior=many)
    assert [c.origin for c in result.candidates] == ["argmax"] + ["sampled"] * 8
    assert all(WITHIN.satisfied(candidate.costs) for candidate in result.candidates)
    assert not result.exhausted


def test_a_distribution_is_needed(tower, evaluator, new_study):
    with pytest.raises(UserError, match="a supernet trained by the method fbnet"):
        search(tower.space, tower, WITHIN, evaluator(sum), new_study(), SearchSettings("fbnet"))
