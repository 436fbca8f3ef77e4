"""Optuna studies of the scores of architectures, and of fronts for dashboards."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from spos._util.errors import UserError
from spos.search.adding import add_trial
from spos.search.candidate import Candidate
from spos.search.settings import SearchSettings
from spos.search.sqlite import open_file
from spos.search.trials import (
    ARCHITECTURE,
    DIGEST,
    DROPPED,
    SEARCH,
    read_scores,
    read_trials,
    trial_digest,
)
from spos.space import Architecture, Choice, SearchSpace

#: Attempts to open a storage whose tables another process makes, and seconds between them.
ATTEMPTS, PAUSE = 10, 0.2
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
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
        for trial in read_trials(study, space):
            if trial.state == TrialState.RUNNING:
                study.tell(trial.number, state=TrialState.FAIL)
    except UserError:
        raise
    except Exception as error:
        # The storage drivers raise exceptions without a common base class.
        reason = " ".join(str(error).split())
        where = storage if isinstance(storage, (str, Path)) else "its storage"
        if _says(error, "readonly database"):
            raise UserError(
                f"study '{name}' in {where} cannot be written: make its file writable, and rerun "
                "the same command"
            ) from error
        if _says(error, "database is locked"):
            raise UserError(
                f"study '{name}' in {where} is locked by another program: end that program, and "
                "rerun the same command"
            ) from error
        raise UserError(
            f"study '{name}' in {where} cannot be read ({type(error).__name__}: {reason}): "
            "restore it from a copy, or give another file or name to search from scratch"
        ) from error
    return study


def _says(error: BaseException | None, text: str) -> bool:
    """Whether SQLite says this, which Optuna has an error of its own for."""
    while error is not None:
        if text in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_storage(storage: str | Path) -> optuna.storages.BaseStorage:
    """Open a storage of studies.

    Args:
        storage (str | Path): path of a SQLite file, or URL of an Optuna storage. An environment
            variable may take the place of the password or of the whole URL: ``$NAME``.

    Raises:
        UserError: the storage cannot be opened.
    """
    text = str(storage)
    if "://" in text or _VARIABLE.fullmatch(text):
        text = _with_variables(text)
    if "://" not in text:
        return open_file(Path(text))
    from sqlalchemy.exc import SAWarning

    attempts = 0
    while True:
        try:
            with warnings.catch_warnings():
                # What SQLAlchemy would leave out of an address with a warning is a mistake.
                warnings.filterwarnings("error", "Query string argument", SAWarning)
                return optuna.storages.get_storage(text)
        except Exception as error:
            # The storage drivers raise exceptions without a common base class.
            attempts += 1
            if attempts < ATTEMPTS and _is_being_created(error):
                time.sleep(PAUSE)
                continue
            raise UserError(
                f"storage {storage} cannot be opened ({type(error).__name__}: "
                f"{storage_reason(error)}): give the "
                "URL of an Optuna storage, such as sqlite:///study.db"
            ) from error


def storage_reason(error: BaseException) -> str:
    """What a storage says is wrong, in one line."""
    # SQLAlchemy ends its messages with an address of its documentation.
    return " ".join(str(error).partition("(Background on")[0].split())[:200]


def _is_being_created(error: Exception) -> bool:
    """Whether another process makes the tables of a storage, or rows of them, at the same time."""
    name, text = type(error).__name__, str(error)
    return name in ("IntegrityError", "AssertionError") or "already exists" in text


def _with_variables(text: str) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in os.environ:
            raise UserError(f"storage {text}: there is no environment variable {name}")
        # In a password any character may be, but not as it is in a URL.
        return os.environ[name] if found[0] == text else quote(os.environ[name], safe="")

    return _VARIABLE.sub(value, text)


def close_storage(storage: optuna.storages.BaseStorage) -> None:
    """Close the connections to a SQLite file, which merges its write-ahead log into it.

    Args:
        storage (BaseStorage): storage by :func:`open_storage`; one given by a URL is left open.
    """
    if isinstance(storage, optuna.storages.RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


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

    Example:
        >>> import tempfile
        >>> space = SearchSpace([Choice("kernel", ("3x3", "5x5"))])
        >>> study = open_study(f"{tempfile.mkdtemp()}/study.db", "digits", space)
        >>> found = Candidate(Architecture([1]), 0, 0, "random", 0.5)
        >>> study.add_trial(make_trial(space, found, "first", [0.5]))
        >>> evaluations(study)
        {Architecture(1): 0.5}
    """
    space = read_space(study)
    if space is None:
        raise UserError(
            f"study '{study.study_name}' has no search space: open it with spos.search.open_study"
        )
    return read_scores(read_trials(study, space))


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
    """Make the finished trial of a candidate, pruned if it was dropped in a race."""
    dropped = candidate.dropped_after is not None
    state = TrialState.PRUNED if dropped else TrialState.COMPLETE
    attributes = {
        ARCHITECTURE: str(candidate.architecture),
        **candidate.costs,
        "origin": candidate.origin,
        "iteration": candidate.iteration,
        SEARCH: search,
        **({DROPPED: candidate.dropped_after} if dropped else {}),
    }
    return optuna.create_trial(
        state=state,
        params=space.names(candidate.architecture),
        distributions=make_distributions(space),
        values=values,
        user_attrs=attributes | {DIGEST: trial_digest(state.name, float(values[0]), attributes)},
    )


def _difference(kept: SearchSpace, given: SearchSpace) -> str:
    if len(kept) != len(given):
        return f"it has {len(kept)} choices, the given one {len(given)}"
    pairs = zip(kept.choices, given.choices, strict=True)
    first = next(pair for pair in pairs if pair[0] != pair[1])
    theirs, ours = (json.dumps({c.name: c.options}) for c in first)
    return f"it has the choice {theirs} where the given one has {ours}"


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
        self._held = {trial.architecture for trial in read_trials(self._study, space)}

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Add the candidates that are not in the study yet, as finished trials."""
        new = {c.architecture: c for c in candidates if c.architecture not in self._held}
        for candidate in new.values():
            values = [candidate.score, *(candidate.costs[name] for name in self._costs)]
            add_trial(self._study, make_trial(self._space, candidate, self._identity, values))
            self._held.add(candidate.architecture)
