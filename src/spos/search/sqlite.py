"""SQLite files of studies, created atomically and checked when opened."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError

from spos._util.errors import UserError
from spos._util.interrupt import is_asked

Result = TypeVar("Result")

# A Ctrl-C that arrives while a connection is returned is reported by whoever handles it: without a
# handler of its own, SQLAlchemy's pool prints a traceback as well.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())

#: Seconds to wait for the lock of another process, and those that SQLite itself waits, which no
#: signal ends.
LOCK_TIMEOUT, LOCK_STEP = 60.0, 0.2

#: The write-ahead log lets readers such as optuna-dashboard read while the search writes. Committed
#: trials survive a crash of the process; a power failure may undo the last trials, but never
#: damages the file.
TO_WRITE = ("journal_mode=WAL", "synchronous=NORMAL")
TO_READ = ("query_only=ON",)
_BUSY = 5  # SQLITE_BUSY
#: Architectures of the finished trials of all studies, as JSON, with the first of their values.
_SCORES = """
    SELECT value_json, value FROM trials
    JOIN trial_values USING (trial_id) JOIN trial_user_attributes USING (trial_id)
    WHERE state IN ('COMPLETE', 'PRUNED') AND objective = 0 AND key = 'architecture'
"""


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return _unlocked(partial(super().execute, sql, parameters))

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        return _unlocked(partial(super().executemany, sql, parameters))


class _Connection(sqlite3.Connection):
    """A connection whose wait for the lock of another process ends with a signal."""

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return _unlocked(partial(super().execute, sql, parameters))

    def commit(self) -> None:
        _unlocked(super().commit)


def _unlocked(work: Callable[[], Result]) -> Result:
    """Repeat what another process's lock prevents, which has then changed nothing."""
    end = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            # One that another process has overtaken has a code of its own, and is begun anew by
            # whoever began it. Before Python 3.11 there are no codes.
            code = getattr(error, "sqlite_errorcode", _BUSY)
            if code != _BUSY or "locked" not in str(error) or time.monotonic() > end:
                raise
        if is_asked():
            raise KeyboardInterrupt


def connect(path: Path, pragmas: Sequence[str]) -> sqlite3.Connection:
    """Connect to a SQLite file, with some settings."""
    address = _address(path)
    connection = sqlite3.connect(
        address, LOCK_STEP, check_same_thread=False, uri=True, factory=_Connection
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _address(path: Path, mode: str = "rwc") -> str:
    log = path.with_name(f"{path.name}-wal")
    if not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
        # Even to read a file with a write-ahead log, SQLite writes beside it unless told that
        # nobody changes it.
        mode = "ro&immutable=1"
    return f"{path.absolute().as_uri()}?mode={mode}"


def open_file(path: Path) -> optuna.storages.RDBStorage:
    """Open a SQLite file as a storage of studies, or create it if it does not exist.

    Raises:
        UserError: the file is damaged, contains something else, or cannot be created.

    Example:
        >>> import tempfile
        >>> storage = open_file(Path(tempfile.mkdtemp()) / "study.db")
        >>> storage.get_all_studies()
        []
    """
    path = path.absolute()
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"its folder {path.parent} does not exist"
        raise UserError(f"study file {path}: {what}, give the path of a file in an existing folder")
    with _explained(path):
        with _alone(path.parent):
            if path.exists():
                _check(path)
            else:
                _create(path)
        return _storage(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process opens a file in a folder: it may be making the same one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_to_read(path: Path) -> optuna.storages.RDBStorage:
    """Open a SQLite file as a storage of studies that refuses every change.

    Another process may write to the file at the same time.

    Raises:
        UserError: the file is missing or damaged, or contains something else.
    """
    path = path.absolute()
    if not path.is_file():
        raise UserError(f"study file {path}: no such file")
    with _explained(path):
        _check(path)
        return _storage(path, TO_READ)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    # Slow to import, and Optuna imports it for a storage only.
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OSError, sqlite3.OperationalError, SQLAlchemyError, StorageInternalError) as error:
        # Optuna says of its own writes only that they failed.
        cause = error.__cause__ if isinstance(error, StorageInternalError) else None
        reason = str(cause or error).splitlines()[0]
        raise UserError(f"study file {path} cannot be opened: {reason}") from error


def _storage(path: Path, pragmas: Sequence[str] = TO_WRITE) -> optuna.storages.RDBStorage:
    try:
        return optuna.storages.RDBStorage(
            "sqlite:///study.db", engine_kwargs={"creator": partial(connect, path, pragmas)}
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"study file {path} was written by another version of Optuna: {reason}"
        ) from error


def _create(path: Path) -> None:
    # Created under another name and then moved, so that an empty file always means damage.
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        raise UserError(
            f"study file {path} is missing, but its log {log.name} exists: restore the file, or "
            "move the log away to search from scratch"
        )
    unfinished = path.with_name(f".{path.name}.unfinished")
    for part in ("", "-wal", "-shm"):
        unfinished.with_name(unfinished.name + part).unlink(missing_ok=True)
    storage = _storage(unfinished)
    storage.remove_session()
    storage.engine.dispose()
    with closing(connect(unfinished, ())) as connection:
        # On a full disk the end of a connection leaves its log beside the file, without a word.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.replace(unfinished, path)


def _check(path: Path) -> None:
    mend = (
        "restore it from a copy, or move it away to search from scratch "
        "(its evaluations are then lost)"
    )
    if path.stat().st_size == 0:
        raise UserError(f"study file {path} is damaged: it is empty; {mend}")
    try:
        # Opened without Optuna, which would add its tables to a file of another kind.
        with closing(connect(path, ())) as connection:
            # The verdict and the errors on a damaged file may quote its bytes.
            connection.text_factory = lambda text: text.decode(errors="replace")
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'studies'")
            holds_studies = tables.fetchone() is not None
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise UserError(f"study file {path} is damaged: {error}; {mend}") from error
    if verdict != "ok":
        reason = " ".join(str(verdict).split())
        raise UserError(f"study file {path} is damaged: {reason}; {mend}")
    if not holds_studies:
        raise UserError(f"study file {path} is a SQLite file without an Optuna study: {mend}")


def recorded_scores(path: Path) -> dict[str, set[float]]:
    """Scores of each architecture in all studies of a SQLite file, without the libraries of Optuna.

    Returns:
        Scores by architecture as text; empty if the file is missing or holds nothing of the kind.
    """
    found: dict[str, set[float]] = {}
    # Never created.
    address = _address(path, "rw")
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as connection:
        for text, score in connection.execute(_SCORES):
            # A row that was edited by hand may hold anything.
            with suppress(ValueError, TypeError):
                found.setdefault(json.loads(text), set()).add(score)
    return found


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite file in a consistent state, even while another process writes to it.

    Raises:
        UserError: the file is damaged.
    """
    temporary = target.with_name(f".{target.name}.copy")
    temporary.unlink(missing_ok=True)
    try:
        with closing(connect(source, ())) as old, closing(sqlite3.connect(temporary)) as new:
            old.backup(new)
            # Pages are copied as they are.
            (verdict,) = new.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(" ".join(str(verdict).split()))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{source} cannot be copied: {error}") from error
    # The log of a former file under this name would be applied to the new file.
    for left in ("-wal", "-shm"):
        target.with_name(target.name + left).unlink(missing_ok=True)
    os.replace(temporary, target)
