from __future__ import annotations

import contextlib
import copy
import pickle
import threading

import optuna
import pytest
from optuna.trial import TrialState

from spos._util.errors import UserError
from spos.cost import Constraint
from spos.search import EvolutionSampler, SearchSettings, evaluations, open_study, search
from spos.space import Architecture

WITHIN = Constraint(maximum={"flops": 20})
SIZES = {"population": 10, "parents": 4}


def fitness(architecture: Architecture) -> float:
    return (architecture[0] * 3 + architecture[5] - architecture[7]) / 10


class Objective:
    """An objective as anybody would write it."""

    def __init__(self, space, kill_after=None):
        self.space = space
        self.kill_after = kill_after
        self.calls = []
        self.lock = threading.Lock()

    def __call__(self, trial):
        names = {c.name: trial.suggest_categorical(c.name, c.options) for c in self.space.choices}
        architecture = self.space.from_names(names)
        with self.lock:
            if len(self.calls) == self.kill_after:
                raise SystemExit
            self.calls.append(architecture)
        return fitness(architecture)


@pytest.mark.parametrize("algorithm", ["evolution", "random"])
def test_optimize_is_the_same_search(tower, evaluator, new_study, algorithm):
    how = SearchSettings(algorithm=algorithm, iterations=4, **SIZES)
    reference = search(tower.space, tower, WITHIN, evaluator(fitness), new_study(), how)
    sampler = EvolutionSampler(tower.space, tower, WITHIN, algorithm=algorithm, **SIZES)
    study, objective = new_study(sampler=sampler), Objective(tower.space)
    study.optimize(objective, n_trials=40)
    assert objective.calls == [c.architecture for c in reference.candidates]
    for trial, candidate in zip(study.trials, reference.candidates, strict=True):
        assert trial.user_attrs["architecture"] == str(candidate.architecture)
        assert trial.user_attrs["iteration"] == candidate.iteration
        assert trial.user_attrs["origin"] == candidate.origin
        assert trial.user_attrs["flops"] == candidate.costs["flops"]
    # The two share their evaluations.
    rest = evaluator(fitness)
    assert search(tower.space, tower, WITHIN, rest, study, how) == reference
    assert rest.calls == []


def test_iterations_stop_the_study(tower, new_study):
    sampler = EvolutionSampler(tower.space, tower, WITHIN, iterations=2, **SIZES)
    study = new_study(sampler=sampler)
    study.optimize(Objective(tower.space))
    assert len(study.trials) == 20
    with pytest.raises(UserError, match="the search is finished"):
        study.optimize(Objective(tower.space), n_trials=1)


def test_killed_script_goes_on(tower, new_study, tmp_path):
    whole = Objective(tower.space)
    sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)
    new_study(sampler=sampler).optimize(whole, n_trials=30)
    calls = []
    for stop in (7, 11, 30):
        study = open_study(str(tmp_path / "study.db"), "test", tower.space)
        study.sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)
        objective = Objective(tower.space, kill_after=stop)
        with contextlib.suppress(SystemExit):
            study.optimize(objective, n_trials=30 - len(calls))
        calls += objective.calls
    assert calls == whole.calls


def test_trials_that_a_dead_process_left_running_are_taken_over(tower, new_study):
    study = new_study(sampler=EvolutionSampler(tower.space, tower, WITHIN, **SIZES))
    for _ in range(4):
        study.ask().suggest_categorical("block0", tower.space.choices[0].options)
    study.sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)
    study.optimize(Objective(tower.space), n_trials=30)
    done = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert [t.user_attrs["iteration"] for t in done] == [0] * 10 + [1] * 10 + [2] * 10


def test_exhausted_space_stops_the_study(small, new_study):
    study = new_study(sampler=EvolutionSampler(small.space, small, Constraint({"flops": 2})))
    study.optimize(lambda trial: four(small.space, trial))
    assert len(study.trials) == 15
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


def four(space, trial):
    names = [trial.suggest_categorical(c.name, c.options) for c in space.choices]
    return names.count("option1")


def test_threads_never_share_a_candidate(tower, new_study):
    sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)
    study, objective = new_study(sampler=sampler), Objective(tower.space)
    study.optimize(objective, n_trials=60, n_jobs=4)
    assert len(set(objective.calls)) == len(objective.calls) == 60
    assert all(WITHIN.satisfied(tower.cost(a)) for a in objective.calls)
    origins = [t.user_attrs["origin"] for t in study.trials]
    assert {"crossover", "mutation"} <= set(origins)


def test_threads_end_with_the_space(small, new_study):
    study = new_study(sampler=EvolutionSampler(small.space, small, Constraint({"flops": 2})))
    study.optimize(lambda trial: four(small.space, trial), n_jobs=3)
    complete = [t.user_attrs["architecture"] for t in study.trials if t.values]
    assert len(complete) == len(set(complete)) == 15


def test_many_asked_before_any_is_told(tower, new_study):
    study = new_study(sampler=EvolutionSampler(tower.space, tower, WITHIN, **SIZES))
    trials = [study.ask() for _ in range(14)]
    objective = Objective(tower.space)
    values = [objective(trial) for trial in trials]
    assert len(set(objective.calls)) == 14
    origins = [t.user_attrs["origin"] for t in study.trials]
    assert origins == ["random"] * 10 + ["extra"] * 4
    for trial, value in zip(trials, values, strict=True):
        study.tell(trial, value)
    following = study.ask()
    objective(following)
    assert study.trials[-1].user_attrs["iteration"] == 1
    assert objective.calls[-1] not in objective.calls[:-1]


def test_failing_and_pruned_candidates_count_as_the_worst(tower, new_study):
    study = new_study(sampler=EvolutionSampler(tower.space, tower, WITHIN, **SIZES))
    objective = Objective(tower.space)

    def fragile(trial):
        value = objective(trial)
        if objective.calls[-1] == objective.calls[0]:
            raise ArithmeticError
        if objective.calls[-1] == objective.calls[3]:
            raise optuna.TrialPruned
        return value

    study.optimize(fragile, n_trials=22, catch=ArithmeticError)
    assert objective.calls[:3] == [objective.calls[0]] * 3
    assert len(set(objective.calls)) == 20
    assert [t.user_attrs["iteration"] for t in study.trials[:12]] == [0] * 12
    assert study.trials[12].user_attrs["iteration"] == 1


def test_enqueued_trials_are_kept_apart(tower, new_study):
    study = new_study(sampler=EvolutionSampler(tower.space, tower, WITHIN, **SIZES))
    best = Architecture([3] + [0] * 11)
    study.enqueue_trial(tower.space.names(best))
    study.optimize(Objective(tower.space), n_trials=11)
    assert study.trials[0].user_attrs == {
        "architecture": str(best),
        "flops": 3,
        "params": 33,
        "origin": "given",
    }
    assert [t.user_attrs["iteration"] for t in study.trials[1:]] == [0] * 10


def test_trials_of_other_samplers_are_known(tower, new_study):
    study = new_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(Objective(tower.space), n_trials=40)
    known = {
        tower.space.from_names(t.params): t.value
        for t in study.trials
        if WITHIN.satisfied(tower.cost(tower.space.from_names(t.params)))
    }
    assert 10 < len(known) < 40
    study.sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)
    objective = Objective(tower.space)
    study.optimize(objective, n_trials=10)
    assert study.trials[40].user_attrs["iteration"] == 1
    parents = sorted(known, key=lambda a: -known[a])[:4]
    child = objective.calls[0]
    assert all(gene in options for gene, *options in zip(child, *parents, strict=True))


def test_one_sampler_for_two_studies(tower, new_study):
    sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)
    calls = []
    for _ in range(2):
        objective = Objective(tower.space)
        new_study(sampler=sampler).optimize(objective, n_trials=15)
        calls.append(objective.calls)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies(tower, new_study, again):
    sampler = EvolutionSampler(tower.space, tower, WITHIN, iterations=2, **SIZES)
    first, second = Objective(tower.space), Objective(tower.space)
    new_study(sampler=sampler).optimize(first)
    new_study(sampler=again(sampler)).optimize(second)
    assert first.calls == second.calls


def test_mistakes(tower, small, new_study):
    sampler = EvolutionSampler(tower.space, tower, WITHIN, **SIZES)

    def misspelt(trial):
        return trial.suggest_categorical("blocc1", ("a", "b")) == "a"

    with pytest.raises(UserError, match="did you mean 'block1'"):
        new_study(sampler=sampler).optimize(misspelt, n_trials=1)
    with pytest.raises(UserError, match="direction='maximize'"):
        optuna.create_study(sampler=sampler).optimize(Objective(tower.space), n_trials=1)
    study = new_study(sampler=sampler)
    study.set_user_attr("space", [["stem", ["a", "b"]]])
    with pytest.raises(UserError, match="another search space"):
        study.optimize(Objective(tower.space), n_trials=1)
    with pytest.raises(UserError, match="population 0"):
        EvolutionSampler(tower.space, tower, WITHIN, population=0)
    with pytest.raises(TypeError, match="generations"):
        EvolutionSampler(tower.space, tower, WITHIN, generations=3)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_plots_and_importances_of_optuna_work_unchanged(tower, new_study):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    from optuna.visualization import matplotlib as plots

    study = new_study(sampler=EvolutionSampler(tower.space, tower, WITHIN))
    study.optimize(Objective(tower.space), n_trials=150)
    importances = optuna.importance.get_param_importances(study)
    assert set(importances) == {choice.name for choice in tower.space.choices}
    assert sum(importances.values()) == pytest.approx(1)
    few = ["block0", "block5"]
    plots.plot_optimization_history(study)
    plots.plot_slice(study, params=few)
    plots.plot_parallel_coordinate(study, params=few)
    plots.plot_param_importances(study, params=few)
    pyplot.close("all")
    assert len(evaluations(study)) == 150
