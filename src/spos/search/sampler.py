"""The search as a sampler of Optuna, for whoever has an objective of their own."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from spos._util.errors import UserError, nearest
from spos._util.randomness import generator
from spos.cost import Constraint
from spos.cost.model import CostModel
from spos.search.evolution import Proposal
from spos.search.feasible import Feasible
from spos.search.progress import Progress
from spos.search.settings import SearchSettings
from spos.search.start import known_at_start, search_id
from spos.search.study import (
    INTERRUPTED,
    architecture_of,
    distributions,
    trial_attributes,
)
from spos.space import Architecture, SearchSpace

#: How often the objective may fail on a candidate before it counts as the worst.
ATTEMPTS = 3


class EvolutionSampler(BaseSampler):
    """Samples the candidates of a search, population by population.

    The objective asks for every choice of the space with ``trial.suggest_categorical(choice.name,
    choice.options)`` and returns the accuracy; the study maximizes. The trials are those of
    :func:`spos.search.search` with the same arguments. What the study knows is not sampled again,
    so a script that was killed may be started again.

    A candidate that the objective fails on :data:`ATTEMPTS` times, prunes, or gives an infinite
    value counts as the worst. Where trials run at the same time, and all that is left of a
    population is running, further random candidates are sampled until the next population is
    certain. Threads share one sampler and never get one candidate twice; processes may, rarely.

    Args:
        space: the search space.
        table: the costs of its architectures.
        constraint: what they may cost.
        population: candidates per iteration, at least 1.
        parents: how many of the best candidates are parents, at least 1.
        mutation: the probability of redrawing an option of a mutated child, in [0, 1].
        seed: of all randomness, at least 0.
        iterations: after so many populations the study is stopped; never without it.
        **settings: any further one of :class:`spos.search.SearchSettings`.

    Raises:
        UserError: a setting is out of range, or nothing satisfies the constraint.

    Source: Guo et al., Algorithm 1.

    Example:
        >>> from spos.cost import CostTable
        >>> from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> table = CostTable(shufflenetv2(PRESETS["tiny"], classes=10, image_channels=1))
        >>> def objective(trial):
        ...     choices = table.space.choices
        ...     options = [trial.suggest_categorical(c.name, c.options) for c in choices]
        ...     return options.count("shuffle5x5")
        >>> sampler = EvolutionSampler(table.space, table, Constraint(), population=10)
        >>> study = optuna.create_study(direction="maximize", sampler=sampler)
        >>> study.optimize(objective, n_trials=30)
        >>> {trial.user_attrs["iteration"] for trial in study.trials}
        {0, 1, 2}
    """

    def __init__(
        self,
        space: SearchSpace,
        table: CostModel,
        constraint: Constraint,
        population: int = 50,
        parents: int = 10,
        mutation: float = 0.1,
        seed: int = 0,
        iterations: int | None = None,
        **settings: Any,
    ) -> None:
        settings |= {"population": population, "parents": parents, "mutation": mutation}
        settings |= (
            {"seed": seed} if iterations is None else {"seed": seed, "iterations": iterations}
        )
        self._settings = SearchSettings(**settings)
        if self._settings.pareto:
            raise UserError(
                "EvolutionSampler maximises one objective: search for a front with "
                "spos.search.search, or with Optuna's NSGAIISampler"
            )
        self._feasible = Feasible(space, table, constraint)
        self._identity = search_id(self._settings, constraint, table)
        self._distributions = distributions(space)
        self._endless = iterations is None
        self._lock = threading.Lock()
        self._study_name: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process reads where the search stands from the study.
        settings = asdict(self._settings) | ({"iterations": None} if self._endless else {})
        feasible = self._feasible
        again = partial(EvolutionSampler, **settings)
        return again, (feasible.space, feasible.table, feasible.constraint)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The choices of the search space."""
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate of the search.

        Raises:
            UserError: every architecture that satisfies the constraint has been evaluated, or the
                study is of another space.
        """
        with self._lock:
            running = self._follow(study)
            running.pop(trial.number, None)
            pending = self._progress.pending()
            free = [p for p in pending if p.architecture not in running.values()]
            if not free:
                # What ran before this sampler came may never finish: its process may be dead.
                alive = {a for number, a in running.items() if number not in self._before}
                free = [p for p in pending if p.architecture not in alive]
            if free:
                attributes = self._attributes(free[0])
                architecture = free[0].architecture
            else:
                architecture = self._extra(study, trial, bool(pending), running.values())
                attributes = self._attributes(architecture, "extra")
            _describe(study, trial, attributes)
        return dict(self._feasible.space.names(architecture))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuse a parameter that is no choice of the search space.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"parameter '{param_name}' is no choice of the search space: "
            f"{nearest(param_name, self._distributions)}"
        )

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Describe a trial that was not sampled here, and stop a study that has seen everything."""
        with self._lock:
            if study.study_name != self._study_name:
                self._follow(study)
            architecture = architecture_of(trial, self._feasible.space)
            if architecture is None:
                return
            # Enqueued by the user, or the objective did not follow what was sampled.
            if trial.user_attrs.get("architecture") != str(architecture):
                _describe(study, trial, self._attributes(architecture, "given"))
            if state == TrialState.COMPLETE and values is not None:
                self._learn(architecture, values[0])
            finished = not self._progress.pending()
        if finished:
            _stopped(study)

    def _follow(self, study: optuna.Study) -> dict[int, Architecture]:
        """Learn what the study has learnt; say what is running, by number of the trial."""
        space = self._feasible.space
        if study.study_name != self._study_name:
            known = known_at_start(
                study, space, self._settings, self._feasible.constraint, self._feasible.table
            )
            self._progress = Progress(self._feasible, self._settings, known, endless=self._endless)
            self._read: set[int] = set()
            self._failures: Counter[Architecture] = Counter()
            trials = study.get_trials(deepcopy=False)
            self._before = {t.number for t in trials if "architecture" in t.user_attrs}
            self._study_name = study.study_name
        running: dict[int, Architecture] = {}
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._read:
                continue
            text = trial.user_attrs.get("architecture")
            if trial.state.is_finished():
                self._read.add(trial.number)
                architecture = architecture_of(trial, space)
                if trial.state == TrialState.FAIL:
                    if text is not None and INTERRUPTED not in trial.user_attrs:
                        self._fail(Architecture.from_text(text))
                elif architecture is not None:
                    complete = trial.state == TrialState.COMPLETE
                    self._learn(architecture, trial.values[0] if complete else -math.inf)
            elif text is not None:
                running[trial.number] = Architecture.from_text(text)
        return running

    def _learn(self, architecture: Architecture, accuracy: float) -> None:
        worst = accuracy if math.isfinite(accuracy) else -math.inf
        self._progress.accuracies.setdefault(architecture, worst)

    def _fail(self, architecture: Architecture) -> None:
        self._failures[architecture] += 1
        if self._failures[architecture] == ATTEMPTS:
            self._learn(architecture, -math.inf)

    def _extra(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        waiting: bool,
        running: Collection[Architecture],
    ) -> Architecture:
        progress = self._progress
        if waiting:
            taken = {*running, *progress.accuracies, *(p.architecture for p in progress.proposals)}
            random = generator(self._settings.seed, "extra", trial.number)
            drawn = self._feasible.draw(1, random, taken)
            if drawn:
                return drawn[0]
            # The last candidates are running in other threads: this one has nothing left to do.
            if _stopped(study):
                raise optuna.TrialPruned("no further architecture satisfies the constraint")
        raise UserError(
            "the search is finished: every candidate within the constraint "
            f"({self._feasible.constraint}) is evaluated or running; widen the constraint, or give "
            "more iterations if they are limited"
        )

    def _attributes(
        self, candidate: Proposal | Architecture, origin: str = ""
    ) -> dict[str, object]:
        table = self._feasible.table
        if isinstance(candidate, Architecture):
            return trial_attributes(candidate, table.cost(candidate), origin)
        return trial_attributes(
            candidate.architecture,
            table.cost(candidate.architecture),
            candidate.origin,
            iteration=candidate.iteration,
            search=self._identity,
        )


def _describe(study: optuna.Study, trial: FrozenTrial, attributes: dict[str, object]) -> None:
    for key, value in attributes.items():
        study._storage.set_trial_user_attr(trial._trial_id, key, value)


def _stopped(study: optuna.Study) -> bool:
    try:
        study.stop()
    except RuntimeError:
        # Trials asked for and told one by one have no loop to be stopped.
        return False
    return True
