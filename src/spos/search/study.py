"""Optuna studies of the scores of architectures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from spos._util.errors import UserError
from spos.search.candidate import Candidate
from spos.search.sqlite import open_file
from spos.space import Architecture, Choice, SearchSpace

#: The user attribute of a study that contains its search space.
SPACE = "space"


def open_study(
    storage: str | Path | optuna.storages.BaseStorage, name: str, space: SearchSpace
) -> optuna.Study:
    """Open a study, or create it if it does not exist.

    Trials that a killed process left running are marked as failed, so no other process may evaluate
    for the study at the same time.

    Args:
        storage (str | Path | BaseStorage): path of a SQLite file, URL of an Optuna storage, or an
            open storage.
        name (str): name of the study.
        space (SearchSpace): search space, recorded in the study.

    Returns:
        The study, with the direction maximize.

    Raises:
        UserError: the file is damaged, or the study has another space or direction.

    Example:
        >>> import tempfile
        >>> space = SearchSpace([Choice("stem", ("3x3", "5x5"))])
        >>> study = open_study(f"{tempfile.mkdtemp()}/study.db", "digits", space)
        >>> study.user_attrs["space"]
        [['stem', ['3x3', '5x5']]]
    """
    if optuna.logging.get_verbosity() == optuna.logging.INFO:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened = open_storage(storage) if isinstance(storage, (str, Path)) else storage
    try:
        study = optuna.create_study(
            storage=opened, study_name=name, direction="maximize", load_if_exists=True
        )
        keep_space(study, space)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
    except UserError:
        raise
    except Exception as error:
        # The storage drivers raise exceptions without a common base class.
        reason = " ".join(str(error).split())
        raise UserError(
            f"study '{name}' in {storage} cannot be read ({type(error).__name__}: {reason}): "
            "restore it from a copy, or give another file or name to search from scratch"
        ) from error
    return study


def open_storage(storage: str | Path) -> optuna.storages.BaseStorage:
    """Open a storage of studies.

    Args:
        storage (str | Path): path of a SQLite file, or URL of an Optuna storage.

    Raises:
        UserError: the storage cannot be opened.
    """
    if "://" not in str(storage):
        return open_file(Path(storage))
    try:
        return optuna.storages.get_storage(str(storage))
    except Exception as error:
        # The storage drivers raise exceptions without a common base class.
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"storage {storage} cannot be opened ({type(error).__name__}: {reason}): give the URL "
            "of an Optuna storage, such as sqlite:///study.db"
        ) from error


def keep_space(study: optuna.Study, space: SearchSpace) -> None:
    """Record the space in a new study, or check that an existing study has the same space.

    Raises:
        UserError: the study belongs to another space, or does not maximize one objective.
    """
    if study.directions != [StudyDirection.MAXIMIZE]:
        raise UserError(
            f"study '{study.study_name}' does not maximize one objective: create it with "
            "direction='maximize', the objective is the score"
        )
    kept = read_space(study)
    if kept is None:
        own = make_distributions(space)
        for trial in study.get_trials(deepcopy=False):
            for name, distribution in trial.distributions.items():
                if own.get(name) != distribution:
                    raise UserError(
                        f"study '{study.study_name}' belongs to another search space: its "
                        f"parameter '{name}' is not a choice of this space; "
                        "give the study another name"
                    )
        study.set_user_attr(SPACE, [[c.name, list(c.options)] for c in space.choices])
    elif kept != space:
        raise UserError(
            f"study '{study.study_name}' belongs to another search space: "
            f"{_difference(kept, space)}; give the study another name or file"
        )


def read_space(study: optuna.Study) -> SearchSpace | None:
    """Read the search space recorded in a study; None if none is recorded."""
    kept = study.user_attrs.get(SPACE)
    return kept and SearchSpace(Choice(name, tuple(options)) for name, options in kept)


def evaluations(study: optuna.Study) -> dict[Architecture, float]:
    """Read all scores of a study, in the order of the trials.

    Args:
        study (optuna.Study): study with a recorded search space, such as from :func:`open_study`.

    Returns:
        Score by architecture; the first one if an architecture was evaluated twice.

    Raises:
        UserError: no search space is recorded in the study.
    """
    space = read_space(study)
    if space is None:
        raise UserError(
            f"study '{study.study_name}' has no search space: open it with spos.search.open_study"
        )
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return read_scores(trials, space)


def read_scores(trials: Sequence[FrozenTrial], space: SearchSpace) -> dict[Architecture, float]:
    """Collect the scores of completed trials.

    Returns:
        Score by architecture; the first one if an architecture was evaluated twice.
    """
    scores: dict[Architecture, float] = {}
    for trial in trials:
        if trial.state != TrialState.COMPLETE or not math.isfinite(trial.values[0]):
            continue
        architecture = read_architecture(trial, space)
        if architecture is not None:
            scores.setdefault(architecture, trial.values[0])
    return scores


def read_architecture(trial: FrozenTrial, space: SearchSpace) -> Architecture | None:
    """Convert the parameters of a trial to an architecture; None if they do not fit the space."""
    if len(trial.params) != len(space):
        return None
    try:
        return space.from_names(trial.params)
    except UserError:
        return None


def make_distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Convert the choices of a space to categorical distributions of Optuna.

    Example:
        >>> make_distributions(SearchSpace([Choice("stem", ("3x3", "5x5"))]))
        {'stem': CategoricalDistribution(choices=('3x3', '5x5'))}
    """
    return {choice.name: CategoricalDistribution(choice.options) for choice in space.choices}


def make_trial(
    space: SearchSpace, candidate: Candidate, search: str, values: Sequence[float]
) -> FrozenTrial:
    """Make the finished trial of a candidate."""
    return optuna.create_trial(
        params=space.names(candidate.architecture),
        distributions=make_distributions(space),
        values=values,
        user_attrs={
            "architecture": str(candidate.architecture),
            **candidate.costs,
            "origin": candidate.origin,
            "iteration": candidate.iteration,
            "search": search,
        },
    )


def _difference(kept: SearchSpace, given: SearchSpace) -> str:
    if len(kept) != len(given):
        return f"it has {len(kept)} choices, the given one {len(given)}"
    pairs = zip(kept.choices, given.choices, strict=True)
    first = next(pair for pair in pairs if pair[0] != pair[1])
    theirs, ours = (json.dumps({c.name: c.options}) for c in first)
    return f"it has the choice {theirs} where the given one has {ours}"
