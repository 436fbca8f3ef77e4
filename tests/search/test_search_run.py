from __future__ import annotations

import contextlib
import math
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import optuna
import pytest

from spos._util.errors import UserError
from spos.cost import Constraint
from spos.search import SearchSettings, evaluations, open_study, search
from spos.space import Architecture

HOW = SearchSettings(population=10, iterations=5, parents=4)
WITHIN = Constraint(maximum={"flops": 20})


def fitness(architecture: Architecture) -> float:
    # Few values, so that there are many ties.
    return round(math.sin(sum((i + 1) * option for i, option in enumerate(architecture))), 1)


def test_result(tower, evaluator, new_study):
    evaluate, study, heard = evaluator(fitness), new_study(), []
    result = search(
        tower.space,
        tower,
        WITHIN,
        evaluate,
        study,
        HOW,
        on_evaluated=lambda candidate, done, total: heard.append((candidate, done, total)),
    )
    assert len(result.candidates) == result.evaluated == len(evaluate.calls) == 50
    assert not result.exhausted
    assert [(c.iteration, c.position) for c in result.candidates] == [
        (i, j) for i in range(5) for j in range(10)
    ]
    assert all(WITHIN.satisfied(c.costs) for c in result.candidates)
    assert all(c.costs == tower.cost(c.architecture) for c in result.candidates)
    assert all(c.score == fitness(c.architecture) for c in result.candidates)
    ranked = sorted(result.candidates, key=lambda c: (-c.score, c.iteration, c.position))
    assert list(result.top) == ranked[:4]
    assert [(done, total) for _, done, total in heard] == [(n, 50) for n in range(1, 51)]
    assert {candidate.architecture for candidate, _, _ in heard} == set(evaluations(study))
    trial = study.trials[0]
    first = result.candidates[0]
    assert trial.params == tower.space.names(first.architecture)
    assert (
        trial.user_attrs.items()
        >= {
            "architecture": str(first.architecture),
            "flops": first.costs["flops"],
            "params": first.costs["params"],
            "iteration": 0,
            "origin": "random",
        }.items()
    )
    assert trial.datetime_start <= trial.datetime_complete


@pytest.mark.parametrize("algorithm", ["evolution", "random", "tpe"])
def test_a_killed_search_resumes_exactly(tower, evaluator, new_study, algorithm):
    how = SearchSettings(algorithm=algorithm, population=10, iterations=5, parents=4)
    whole = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), how)
    for kill_after in range(0, 50, 7):
        study, order = new_study(), np.random.default_rng(kill_after)
        killed = evaluator(fitness, kill_after, order)
        with pytest.raises(KeyboardInterrupt):
            search(tower.space, tower, WITHIN, killed, study, how)
        assert len(evaluations(study)) == kill_after
        rest = evaluator(fitness, order=order)
        resumed = search(tower.space, tower, WITHIN, rest, study, how)
        assert resumed == whole
        assert not set(rest.calls) & set(killed.calls)
        assert len(rest.calls) + kill_after == 50


def test_killed_again_and_again_on_disk(tower, evaluator, new_study, tmp_path):
    whole = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), HOW)
    evaluated: Counter[Architecture] = Counter()
    for _ in range(3):
        study = open_study(str(tmp_path / "study.db"), "test", tower.space)
        evaluate = evaluator(fitness, kill_after=17)
        with contextlib.suppress(KeyboardInterrupt):
            result = search(tower.space, tower, WITHIN, evaluate, study, HOW)
        evaluated.update(evaluate.calls)
    assert result == whole
    assert set(evaluated.values()) == {1}


SCRIPT = """
import os, signal, sys
from pathlib import Path
from spos.cost import Constraint
from spos.search import SearchSettings, open_study, search
from spos.space import Choice, SearchSpace
import numpy as np

class Table:
    names = ("flops",)
    space = SearchSpace(Choice(f"block{n}", [f"option{o}" for o in range(4)]) for n in range(12))
    def cost(self, architecture): return {"flops": int(sum(architecture))}
    def many(self, rows): return rows.sum(axis=1, keepdims=True)
    def range(self): return {"flops": (0, 36)}

def evaluate(candidates):
    for candidate in candidates:
        with open(sys.argv[2], "a") as file:
            print(candidate, file=file)
        if len(Path(sys.argv[2]).read_text().splitlines()) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield candidate, candidate[0] + candidate[5] / 10

table = Table()
search(table.space, table, Constraint(maximum={"flops": 20}), evaluate,
    open_study(sys.argv[1], "test", table.space), SearchSettings(population=8, iterations=3))
"""


def test_sigkill_loses_only_the_evaluation_in_flight(
    spaces, additive, evaluator, new_study, tmp_path
):
    table = additive(spaces(*[4] * 12), flops=[[0, 1, 2, 3]] * 12)
    how = SearchSettings(population=8, iterations=3)

    def worth(architecture: Architecture) -> float:
        return architecture[0] + architecture[5] / 10

    whole = evaluator(worth)
    expected = search(table.space, table, WITHIN, whole, new_study(), how)
    path, log = str(tmp_path / "study.db"), tmp_path / "log"
    killed = subprocess.run([sys.executable, "-c", SCRIPT, path, str(log), "13"], check=False)
    assert killed.returncode == -signal.SIGKILL
    rest = evaluator(worth)
    study = open_study(path, "test", table.space)
    assert search(table.space, table, WITHIN, rest, study, how) == expected
    evaluated = log.read_text().splitlines()
    assert len(evaluated) == 13
    evaluated += map(str, rest.calls)
    assert evaluated[12] == evaluated[13]
    assert evaluated[:13] + evaluated[14:] == [str(architecture) for architecture in whole.calls]


def test_more_iterations_continue_where_fewer_ended(tower, evaluator, new_study):
    study, more = new_study(), SearchSettings(population=10, iterations=8, parents=4)
    short = search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
    rest = evaluator(fitness)
    long = search(tower.space, tower, WITHIN, rest, study, more)
    assert len(rest.calls) == 30
    assert long.candidates[:50] == short.candidates
    assert long == search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), more)


def test_second_search_uses_what_is_known(tower, evaluator, new_study):
    study = new_study()
    first = search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
    tighter = Constraint(maximum={"flops": 18})
    evaluate = evaluator(fitness)
    second = search(tower.space, tower, tighter, evaluate, study, HOW)
    assert not set(evaluate.calls) & {c.architecture for c in first.candidates}
    assert second.evaluated == len(evaluate.calls) <= 40
    known = sorted(
        (c for c in first.candidates if tighter.satisfied(c.costs)),
        key=lambda c: (-c.score, c.iteration, c.position),
    )
    start = second.candidates[:10]
    assert [c.architecture for c in start] == [c.architecture for c in known[:10]]
    assert {c.origin for c in start} == {"known"}
    # What other searches find later does not change what this one knew when it started.
    search(tower.space, tower, Constraint(maximum={"flops": 17}), evaluator(fitness), study, HOW)
    again = evaluator(fitness)
    assert search(tower.space, tower, tighter, again, study, HOW) == second
    assert again.calls == []


def test_second_search_resumes_exactly(tower, evaluator, new_study):
    tighter = Constraint(maximum={"flops": 18})

    def both(kill_after: int | None):
        study = new_study()
        search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
        if kill_after is not None:
            with pytest.raises(KeyboardInterrupt):
                search(tower.space, tower, tighter, evaluator(fitness, kill_after), study, HOW)
        return search(tower.space, tower, tighter, evaluator(fitness), study, HOW)

    whole = both(None)
    for kill_after in (0, 5, 17, whole.evaluated - 1):
        assert both(kill_after) == whole


def test_few_known_are_filled_up_with_random(tower, evaluator, new_study):
    study = new_study()
    few = SearchSettings(population=3, iterations=1)
    search(tower.space, tower, WITHIN, evaluator(fitness), study, few)
    result = search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
    assert [c.origin for c in result.candidates[:10]] == ["known"] * 3 + ["random"] * 7
    assert result.evaluated == 47
    fresh = SearchSettings(population=10, iterations=5, parents=4, from_known=False)
    anew = search(tower.space, tower, WITHIN, evaluator(fitness), study, fresh)
    assert [c.origin for c in anew.candidates[:10]] == ["random"] * 10


def test_random_search_is_a_baseline(tower, evaluator, new_study):
    how = SearchSettings(algorithm="random", population=10, iterations=5)
    alone = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), how)
    assert {c.origin for c in alone.candidates} == {"random"}
    assert len({c.architecture for c in alone.candidates}) == 50
    study = new_study()
    evolved = search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
    evaluate = evaluator(fitness)
    after = search(tower.space, tower, WITHIN, evaluate, study, how)
    # The same draws; those that the evolution happened to evaluate are not evaluated again.
    assert after.candidates == alone.candidates
    shared = {c.architecture for c in evolved.candidates} & {
        c.architecture for c in after.candidates
    }
    assert len(evaluate.calls) == after.evaluated == 50 - len(shared)


@pytest.mark.parametrize("algorithm", ["evolution", "random"])
def test_exhausted_space(small, evaluator, new_study, algorithm):
    how = SearchSettings(algorithm=algorithm, population=10, iterations=5)
    evaluate = evaluator(fitness)
    result = search(
        small.space, small, Constraint(maximum={"flops": 3}), evaluate, new_study(), how
    )
    everything = {a for a in small.space if sum(a) <= 3}
    assert {c.architecture for c in result.candidates} == everything == set(evaluate.calls)
    assert len(evaluate.calls) == len(everything) == 31
    assert result.exhausted
    ranked = max(fitness(a) for a in everything)
    assert result.top[0].score == ranked


def test_budget_that_is_the_whole_space_is_not_early(small, evaluator, new_study):
    how = SearchSettings(population=27, iterations=3)
    result = search(small.space, small, Constraint(), evaluator(fitness), new_study(), how)
    assert (len(result.candidates), result.exhausted) == (81, False)
    one = SearchSettings(population=5, iterations=2)
    single = Constraint(maximum={"flops": 0})
    result = search(small.space, small, single, evaluator(fitness), new_study(), one)
    assert (len(result.candidates), result.exhausted) == (1, True)


@pytest.mark.parametrize("accuracy", [float("nan"), float("inf")])
def test_accuracy_that_is_not_a_number(tower, evaluator, new_study, accuracy):
    study = new_study()
    with pytest.raises(UserError, match=r"score of architecture [\d,]+ is (nan|inf)"):
        search(tower.space, tower, WITHIN, evaluator(lambda _: accuracy), study, HOW)
    assert study.trials == []


def test_evaluation_that_breaks_its_contract(tower, new_study):
    def run(evaluate):
        search(tower.space, tower, WITHIN, evaluate, new_study(), HOW)

    with pytest.raises(UserError, match="no score for 9 of 10"):
        run(lambda candidates: iter([(candidates[0], 0.5)]))
    with pytest.raises(UserError, match="or was yielded before"):
        run(lambda candidates: iter([(candidates[0], 0.5)] * 2))
    with pytest.raises(UserError, match="not one of its candidates"):
        run(lambda candidates: iter([(Architecture([3] * 12), 0.5)]))
    with pytest.raises(UserError, match="the evaluation returned a NoneType; allowed: pairs of"):
        run(lambda candidates: None)
    for broken in (0.5, "text", None, (None, 0.5), (Architecture([0] * 12), None)):
        with pytest.raises(UserError, match="allowed: pairs of a candidate and its score, a numb"):
            run(lambda candidates, broken=broken: [broken])


def test_interrupted_evaluation_is_closed(tower, new_study):
    events = []

    def evaluate(candidates):
        try:
            for candidate in candidates:
                yield candidate, 0.5
        finally:
            events.append("closed")

    def interrupt(candidate, done, total):
        raise KeyboardInterrupt

    study = new_study()
    with pytest.raises(KeyboardInterrupt) as raised:
        search(tower.space, tower, WITHIN, evaluate, study, HOW, on_evaluated=interrupt)
    assert events == ["closed"]
    assert len(evaluations(study)) == 1
    del raised


def test_constraint_is_checked_before_anything_is_evaluated(tower, evaluator, new_study):
    evaluate = evaluator(fitness)
    with pytest.raises(UserError, match="reachable are 0 to 36"):
        search(tower.space, tower, Constraint(minimum={"flops": 40}), evaluate, new_study(), HOW)
    both = Constraint(maximum={"flops": 10, "params": 10})
    with pytest.raises(UserError, match="exclude each other"):
        search(tower.space, tower, both, evaluate, new_study(), HOW)
    assert evaluate.calls == []


def test_study_that_minimizes(tower, evaluator):
    study = optuna.create_study(direction="minimize")
    with pytest.raises(UserError, match="direction='maximize'"):
        search(tower.space, tower, WITHIN, evaluator(fitness), study, HOW)
