"""The study: every evaluation that was ever made of the architectures of a space."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from spos._util.errors import UserError
from spos.search.sqlite import open_file
from spos.space import Architecture, Choice, SearchSpace

#: The user attribute of a study that holds its search space.
SPACE = "space"


def open_study(
    storage: str | Path | optuna.storages.BaseStorage, name: str, space: SearchSpace
) -> optuna.Study:
    """Open a study, or create it where there is none of that name.

    Trials that a killed process left running are marked as failed: open a study only where no
    other process evaluates for it.

    Args:
        storage: the path of a SQLite file, the URL of any storage of Optuna, or one that is open.
        name: of the study.
        space: the search space; the study keeps it.

    Returns:
        The study; its direction is maximize.

    Raises:
        UserError: the file is damaged, or the study is of another space or direction.

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
        # The drivers of the storages have errors of their own and no common base.
        reason = " ".join(str(error).split())
        raise UserError(
            f"study '{name}' in {storage} cannot be read ({type(error).__name__}: {reason}): "
            "restore it from a copy, or give another file or name to begin the search anew"
        ) from error
    return study


def open_storage(storage: str | Path) -> optuna.storages.BaseStorage:
    """Open where studies are kept.

    Args:
        storage: the path of a SQLite file, or the URL of any storage of Optuna.

    Raises:
        UserError: it cannot be opened.
    """
    if "://" not in str(storage):
        return open_file(Path(storage))
    try:
        return optuna.storages.get_storage(str(storage))
    except Exception as error:
        # The drivers of the storages have errors of their own and no common base.
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"storage {storage} cannot be opened ({type(error).__name__}: {reason}): give the URL "
            "of an Optuna storage, such as sqlite:///study.db"
        ) from error


def keep_space(study: optuna.Study, space: SearchSpace) -> None:
    """Write the space into a new study, or check that it is the space of an old one.

    Raises:
        UserError: the study is of another space, or does not maximize one objective.
    """
    if study.directions != [StudyDirection.MAXIMIZE]:
        raise UserError(
            f"study '{study.study_name}' does not maximize one objective: create it with "
            "direction='maximize', the objective is the score"
        )
    kept = recorded_space(study)
    if kept is None:
        own = make_distributions(space)
        for trial in study.get_trials(deepcopy=False):
            for name, distribution in trial.distributions.items():
                if own.get(name) != distribution:
                    raise UserError(
                        f"study '{study.study_name}' is of another search space: its parameter "
                        f"'{name}' is not this choice of the space; give the study another name"
                    )
        study.set_user_attr(SPACE, [[c.name, list(c.options)] for c in space.choices])
    elif kept != space:
        raise UserError(
            f"study '{study.study_name}' is of another search space: {_difference(kept, space)}; "
            "give the study another name or file"
        )


def recorded_space(study: optuna.Study) -> SearchSpace | None:
    """The search space that a study keeps; None if it keeps none."""
    kept = study.user_attrs.get(SPACE)
    return kept and SearchSpace(Choice(name, tuple(options)) for name, options in kept)


def evaluations(study: optuna.Study) -> dict[Architecture, float]:
    """Every score that a study knows, the first where there are two, in order of the trials.

    Args:
        study: a study that keeps a search space, as those of :func:`open_study` do.

    Raises:
        UserError: the study keeps no search space.
    """
    space = recorded_space(study)
    if space is None:
        raise UserError(
            f"study '{study.study_name}' keeps no search space: open it with spos.search.open_study"
        )
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return scores_of(trials, space)


def scores_of(trials: Sequence[FrozenTrial], space: SearchSpace) -> dict[Architecture, float]:
    """The scores of completed trials, the first of an architecture where there are two."""
    scores: dict[Architecture, float] = {}
    for trial in trials:
        if trial.state != TrialState.COMPLETE or not math.isfinite(trial.values[0]):
            continue
        architecture = architecture_of(trial, space)
        if architecture is not None:
            scores.setdefault(architecture, trial.values[0])
    return scores


def architecture_of(trial: FrozenTrial, space: SearchSpace) -> Architecture | None:
    """The architecture that a trial's parameters are; None if they are none of the space."""
    if len(trial.params) != len(space):
        return None
    try:
        return space.from_names(trial.params)
    except UserError:
        return None


def make_distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The choices of a space as categorical distributions of Optuna.

    Example:
        >>> make_distributions(SearchSpace([Choice("stem", ("3x3", "5x5"))]))
        {'stem': CategoricalDistribution(choices=('3x3', '5x5'))}
    """
    return {choice.name: CategoricalDistribution(choice.options) for choice in space.choices}


def objective_directions(costs: int) -> list[StudyDirection]:
    """The directions of a study of the score and some costs.

    Example:
        >>> [direction.name for direction in objective_directions(2)]
        ['MAXIMIZE', 'MINIMIZE', 'MINIMIZE']
    """
    return [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * costs]


def trial_attributes(
    architecture: Architecture,
    costs: Mapping[str, float],
    origin: str,
    *,
    iteration: int | None = None,
    search: str | None = None,
) -> dict[str, object]:
    """What a trial keeps besides its parameters and its score.

    Args:
        architecture: its canonical text is kept.
        costs: by name.
        origin: how the candidate came about.
        iteration: of the search, where it is a candidate of one.
        search: the id of the search, likewise.

    Example:
        >>> trial_attributes(Architecture([2, 1]), {"flops": 7}, "given")
        {'architecture': '2,1', 'flops': 7, 'origin': 'given'}
    """
    attributes: dict[str, object] = {"architecture": str(architecture), **costs, "origin": origin}
    if search is not None:
        attributes |= {"iteration": iteration, "search": search}
    return attributes


def _difference(kept: SearchSpace, given: SearchSpace) -> str:
    if len(kept) != len(given):
        return f"it has {len(kept)} choices, the given one {len(given)}"
    first = next(k for k, g in zip(kept.choices, given.choices, strict=True) if k != g)
    other = next(g for k, g in zip(kept.choices, given.choices, strict=True) if k != g)
    theirs, ours = (json.dumps({c.name: c.options}) for c in (first, other))
    return f"it has the choice {theirs} where the given one has {ours}"
