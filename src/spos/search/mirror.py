"""A multi-objective copy of the study of a search for a front, for dashboards."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection

from spos.search.candidate import Candidate
from spos.search.settings import SearchSettings
from spos.search.study import make_trial
from spos.space import SearchSpace


class Mirror:
    """A study with the score and the costs as objectives, beside the study of scores.

    The search itself uses only the study of scores. Candidates that a kill kept from being copied
    are copied when the search is resumed.
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
            directions=[StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * len(settings.pareto)],
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
        """Add the candidates that are not in the study yet, as finished trials."""
        new = {c.architecture: c for c in candidates if str(c.architecture) not in self._held}
        for candidate in new.values():
            values = [candidate.score, *(candidate.costs[name] for name in self._costs)]
            self._study.add_trial(make_trial(self._space, candidate, self._identity, values))
            self._held.add(str(candidate.architecture))
