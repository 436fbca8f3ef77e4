"""SQLite files that hold studies: made whole, checked when opened."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from spos._util.errors import UserError

#: How long to wait for another process that writes, in seconds.
PATIENCE = 60.0


def connect(path: str) -> sqlite3.Connection:
    """Connect to a SQLite file in the way that suits a study.

    A write-ahead log lets readers such as optuna-dashboard in while the search writes. What was
    committed outlives the process; a power failure may undo the last trials, never harm the file.

    Args:
        path: the file; it is created if it does not exist.
    """
    connection = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_file(path: Path) -> optuna.storages.RDBStorage:
    """Open the studies of a SQLite file; make the file where there is none.

    Args:
        path: the file; its folder must exist.

    Returns:
        The storage.

    Raises:
        UserError: the file is damaged or holds something else, or cannot be made.

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
    try:
        if path.exists():
            _check(path)
        else:
            _create(path)
        return _storage(path)
    except (OSError, sqlite3.OperationalError, SQLAlchemyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"study file {path} cannot be opened: {reason}") from error


def _storage(path: Path) -> optuna.storages.RDBStorage:
    try:
        return optuna.storages.RDBStorage(
            "sqlite:///study.db", engine_kwargs={"creator": partial(connect, str(path))}
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"study file {path} was written by another version of Optuna: {reason}"
        ) from error


def _create(path: Path) -> None:
    # Under another name until it is whole: an empty file under this one is then always damage.
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        raise UserError(
            f"study file {path} is missing, its log {log.name} is there: restore the file, or move "
            "the log away to begin the search anew"
        )
    unfinished = path.with_name(f".{path.name}.unfinished")
    for part in ("", "-wal", "-shm"):
        unfinished.with_name(unfinished.name + part).unlink(missing_ok=True)
    storage = _storage(unfinished)
    storage.remove_session()
    storage.engine.dispose()
    os.replace(unfinished, path)


def _check(path: Path) -> None:
    mend = (
        "restore it from a copy, or move it away to begin the search anew "
        "(its evaluations are then lost)"
    )
    if path.stat().st_size == 0:
        raise UserError(f"study file {path} is damaged: it is empty; {mend}")
    try:
        # Not as a study yet: what turns out to be something else stays as it is.
        connection = sqlite3.connect(path, timeout=PATIENCE)
        # The verdict on a damaged file may quote its bytes, and so may an error.
        connection.text_factory = lambda text: text.decode(errors="replace")
        try:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'studies'")
            holds_studies = tables.fetchone() is not None
        finally:
            connection.close()
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise UserError(f"study file {path} is damaged: {error}; {mend}") from error
    if verdict != "ok":
        reason = " ".join(str(verdict).split())
        raise UserError(f"study file {path} is damaged: {reason}; {mend}")
    if not holds_studies:
        raise UserError(f"study file {path} is a SQLite file without an Optuna study in it: {mend}")


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite file as one consistent state, also while another process writes to it.

    Raises:
        UserError: the file is damaged.
    """
    temporary = target.with_name(f".{target.name}.copy")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(temporary)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{source} cannot be copied: {error}") from error
    for left in (
        "-wal",
        "-shm",
    ):  # The log of another file under this name would be read as its own.
        target.with_name(target.name + left).unlink(missing_ok=True)
    os.replace(temporary, target)
