"""The evaluations of a search for a front as a study of several objectives, for dashboards."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import optuna
from optuna.exceptions import ExperimentalWarning

from spos.search.candidate import Candidate
from spos.search.settings import SearchSettings
from spos.search.study import make_distributions, objective_directions, trial_attributes
from spos.space import SearchSpace


class Mirror:
    """A study with the accuracy and the costs as its objectives, beside the study of accuracies.

    Nothing is read from it but what it holds already: the search goes by the study of accuracies,
    and what a kill kept from being mirrored is mirrored later.

    Args:
        storage (BaseStorage): storage of the study of scores.
        name (str): name of that study; the mirror's has ``-front-`` and the id of the search after
            it.
        space: the search space.
        settings: of the search; ``pareto`` names the costs.
        identity: the id of the search.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        name: str,
        space: SearchSpace,
        settings: SearchSettings,
        identity: str,
    ) -> None:
        self._space, self._costs, self._identity = space, settings.pareto, identity
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{name}-front-{identity}",
            directions=objective_directions(len(settings.pareto)),
            load_if_exists=True,
        )
        names = ["one-shot accuracy", *settings.pareto]
        if self._study.metric_names != names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names(names)
        trials = self._study.get_trials(deepcopy=False)
        self._held = {trial.user_attrs.get("architecture") for trial in trials}

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Add those candidates that are not there yet, each as a finished trial."""
        new = {c.architecture: c for c in candidates if str(c.architecture) not in self._held}
        for candidate in new.values():
            trial = optuna.create_trial(
                params=self._space.names(candidate.architecture),
                distributions=make_distributions(self._space),
                values=[candidate.score, *(candidate.costs[name] for name in self._costs)],
                user_attrs=trial_attributes(
                    candidate.architecture,
                    candidate.costs,
                    candidate.origin,
                    iteration=candidate.iteration,
                    search=self._identity,
                ),
            )
            self._study.add_trial(trial)
            self._held.add(str(candidate.architecture))
