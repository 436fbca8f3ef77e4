from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing, nullcontext
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages._rdb.models import BaseModel
from optuna.trial import TrialState
from sqlalchemy import event

from spos._util.errors import UserError
from spos._util.interrupt import deferred_interrupt
from spos.cost import Constraint
from spos.search import SearchSettings, evaluations, open_storage, open_study, search, sqlite
from spos.search.adding import add_trial
from spos.search.sqlite import (
    connect,
    copy_database,
    open_file,
    open_to_read,
    recorded_scores,
)
from spos.search.start import read_scores_at_start
from spos.space import Architecture, SearchSpace


@pytest.fixture(scope="module")
def content(tmp_path_factory, spaces, additive):
    """The bytes of a study file with 20 evaluations, after its process ended."""
    space = spaces(*[4] * 12)
    table = additive(space, flops=[[0, 1, 2, 3]] * 12)
    path = tmp_path_factory.mktemp("study") / "study.db"
    study = open_study(path, "test", space)
    how = SearchSettings(population=10, iterations=2)
    evaluate = lambda candidates: ((a, a[0] / 10) for a in candidates)  # noqa: E731
    search(space, table, Constraint(), evaluate, study, how)
    study._storage._backend.engine.dispose()
    assert list(path.parent.iterdir()) == [path]
    return path.read_bytes()


@pytest.fixture
def filled(tmp_path, content):
    path = tmp_path / "study.db"
    path.write_bytes(content)
    return path


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount


def test_evaluations_outlive_the_process(filled, tower):
    known = evaluations(open_study(str(filled), "test", tower.space))
    assert len(known) == 20
    assert all(type(a) is Architecture and value == a[0] / 10 for a, value in known.items())


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file(filled, tower, fraction):
    content = filled.read_bytes()
    filled.write_bytes(content[: int(len(content) * fraction)])
    refuse(filled, tower, "damaged")


@pytest.mark.parametrize("start", [0, 20, 4096, 30_000])
def test_corrupted_file(filled, tower, start):
    content = bytearray(filled.read_bytes())
    content[start : start + 4096] = b"\xa5" * 4096
    filled.write_bytes(content)
    refuse(filled, tower, "damaged")


def test_flipped_bytes_are_refused_or_do_no_harm(filled, tower):
    content, random = filled.read_bytes(), np.random.default_rng(0)
    for _ in range(12):
        damaged = bytearray(content)
        start = int(random.integers(len(content) - 64))
        damaged[start : start + 64] = random.bytes(64)
        filled.write_bytes(damaged)
        try:
            study = open_study(str(filled), "test", tower.space)
        except UserError:
            continue
        assert evaluations(study)
        study._storage._backend.engine.dispose()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE study_user_attributes SET value_json = '[]' WHERE key LIKE 'search:%'",
        "UPDATE study_user_attributes SET value_json = '{}' WHERE key LIKE 'search:%'",
        "UPDATE study_user_attributes SET value_json = replace(value_json, '\"trials\": 0', "
        "'\"trials\": \"0\"') WHERE key LIKE 'search:%'",
        "UPDATE trials SET number = NULL WHERE trial_id = 1",
    ],
)
def test_what_somebody_has_changed_to_something_unreadable_is_refused(filled, tower, change):
    alter(filled, change)
    study, how = open_study(filled, "test", tower.space), SearchSettings(population=10)
    with pytest.raises(UserError, match=r"study 'test' is damaged .*: restore it from a copy"):
        read_scores_at_start(study, tower.space, how, Constraint())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trial_values SET value = value + 1e-9 WHERE trial_id = 3",
        "UPDATE trial_user_attributes SET value_json = '\"0,0,0\"' "
        "WHERE trial_id = 3 AND key = 'architecture'",
        "UPDATE trial_user_attributes SET value_json = '\"x\"' "
        "WHERE trial_id = 3 AND key = 'search'",
        "UPDATE trials SET state = 'PRUNED' WHERE trial_id = 3",
    ],
)
def test_a_trial_that_was_changed_is_refused(filled, tower, change):
    alter(filled, change)
    with pytest.raises(UserError, match=r"study 'test' in .*study\.db is damaged: its trial 2 was"):
        open_study(filled, "test", tower.space)


def test_trials_of_early_versions_have_no_digest(filled, tower):
    before = evaluations(open_study(filled, "test", tower.space))
    alter(filled, "DELETE FROM trial_user_attributes WHERE key = 'digest'")
    assert evaluations(open_study(filled, "test", tower.space)) == before


def test_of_a_row_that_somebody_has_changed_no_score_is_known(filled):
    whole = recorded_scores(filled)
    for text in ("{", "[]"):
        with closing(sqlite3.connect(filled)) as connection, connection:
            change = (
                "UPDATE trial_user_attributes SET value_json = ? WHERE trial_id = 1 AND key = ?"
            )
            connection.execute(change, (text, "architecture"))
        known = recorded_scores(filled)
        assert len(known) == len(whole) - 1
        assert known.items() < whole.items()


def test_file_of_something_else(tmp_path, tower):
    text = tmp_path / "study.db"
    text.write_text("accuracies: none yet\n" * 100)
    refuse(text, tower, "damaged: file is not a database")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (text)")
    connection.commit()
    connection.close()
    refuse(other, tower, "without an Optuna study")


def test_file_that_cannot_be(tmp_path, tower):
    refuse(tmp_path, tower, "is a folder")
    refuse(tmp_path / "no" / "study.db", tower, "does not exist")
    refuse(Path("/proc/study.db"), tower, "cannot be opened")


def test_log_without_its_file(filled, tower):
    filled.with_name("study.db-wal").write_bytes(filled.read_bytes())
    filled.unlink()
    refuse(filled, tower, "its log study.db-wal exists")


def refuse(path, table, says):
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UserError) as raised:
        open_study(str(path), "test", table.space)
    message = str(raised.value)
    assert says in message
    assert str(path) in message
    assert "\n" not in message
    assert before is None or path.read_bytes() == before


def test_url_of_any_storage(tmp_path, tower):
    url = f"sqlite:///{tmp_path}/by-url.db"
    open_study(url, "test", tower.space)
    assert open_study(url, "test", tower.space).user_attrs["space"][0][0] == "block0"
    with pytest.raises(UserError, match="cannot be opened"):
        open_study("nosuch://host/study", "test", tower.space)
    with pytest.raises(UserError, match=r"opened \(SAWarning: .*'nosuch' are not accepted"):
        open_study(f"{url}?nosuch=1", "test", tower.space)


def test_two_processes_may_create_one_storage_at_a_time(tmp_path, tower, monkeypatch):
    url = f"sqlite:///{tmp_path}/study.db"
    create_all = BaseModel.metadata.create_all

    def late(engine):
        # Between the look for a table and its creation, another process creates all of them.
        monkeypatch.setattr(BaseModel.metadata, "create_all", create_all)
        open_study(url, "other", tower.space)
        create_all(engine, checkfirst=False)

    monkeypatch.setattr(BaseModel.metadata, "create_all", late)
    study = open_study(url, "test", tower.space)
    assert set(optuna.get_all_study_names(study._storage)) == {"other", "test"}


def test_an_interrupt_while_a_connection_is_returned_prints_nothing(tmp_path, capfd, monkeypatch):
    storage = open_storage(tmp_path / "study.db")
    assert storage.get_all_studies() == []

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    # Those of pytest: a command has none.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    event.listen(storage.engine, "reset", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.engine.connect().close()
    assert capfd.readouterr() == ("", "")


def test_a_variable_takes_the_place_of_a_password_or_of_all(tmp_path, tower, monkeypatch):
    url = f"sqlite:///{tmp_path}/${{NAME}}.db"
    with pytest.raises(UserError, match="there is no environment variable NAME"):
        open_study(url, "test", tower.space)
    # Not a parameter of the URL.
    monkeypatch.setenv("NAME", "a?timeout=b")
    open_study(url, "test", tower.space)
    # SQLAlchemy 2.0, the last one for Python 3.10, leaves the name of a file as it is in a URL.
    assert any((tmp_path / name).exists() for name in ("a?timeout=b.db", "a%3Ftimeout%3Db.db"))
    for value in (f"sqlite:///{tmp_path}/whole.db", str(tmp_path / "file.db")):
        monkeypatch.setenv("NAME", value)
        open_study("$NAME", "test", tower.space)
    assert (tmp_path / "whole.db").exists() and (tmp_path / "file.db").exists()


def test_study_of_another_space(filled, tower, spaces):
    with pytest.raises(UserError, match="12 choices, the given one 11"):
        open_study(str(filled), "test", spaces(*[4] * 11))
    with pytest.raises(UserError, match=r"to another search space: it has the choice"):
        open_study(str(filled), "test", spaces(*[4] * 11, 3))
    open_study(str(filled), "another name", spaces(*[4] * 11))


def test_study_that_was_made_by_other_means(tmp_path, tower, small):
    url = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=url, study_name="own", direction="maximize")

    def objective(trial):
        names = [trial.suggest_categorical(c.name, c.options) for c in small.space.choices]
        return names.count("option1")

    study.optimize(objective, n_trials=3)
    with pytest.raises(UserError, match="'block0' is not a choice"):
        open_study(str(tmp_path / "study.db"), "own", tower.space)
    assert len(evaluations(open_study(str(tmp_path / "study.db"), "own", small.space))) >= 1
    optuna.create_study(storage=url, study_name="least", direction="minimize")
    with pytest.raises(UserError, match="direction='maximize'"):
        open_study(str(tmp_path / "study.db"), "least", small.space)


def test_running_trials_of_a_killed_process_have_failed(tmp_path, tower):
    study = open_study(str(tmp_path / "study.db"), "test", tower.space)
    study.ask()
    (trial,) = open_study(str(tmp_path / "study.db"), "test", tower.space).trials
    assert trial.state == TrialState.FAIL


def test_first_of_two_evaluations_counts(new_study, small):
    study = new_study()
    with pytest.raises(UserError, match="has no search space"):
        evaluations(study)
    study.set_user_attr("space", [[c.name, list(c.options)] for c in small.space.choices])
    for value in (0.5, 0.7):
        study.enqueue_trial({c.name: "option0" for c in small.space.choices})
        trial = study.ask()
        for choice in small.space.choices:
            trial.suggest_categorical(choice.name, choice.options)
        study.tell(trial, value)
    partial = study.ask()
    partial.suggest_categorical("block0", ("option0", "option1", "option2"))
    study.tell(partial, 0.9)
    assert evaluations(study) == {Architecture([0, 0, 0, 0]): 0.5}


def test_nothing_is_printed(tmp_path, tower, evaluator, capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    study = open_study(str(tmp_path / "study.db"), "test", tower.space)
    how = SearchSettings(population=3, iterations=2)
    search(tower.space, tower, Constraint(), evaluator(sum), study, how)
    assert capfd.readouterr() == ("", "")


def test_space_is_kept_in_its_order(tmp_path, tower):
    backwards = SearchSpace(reversed(tower.space.choices))
    open_study(str(tmp_path / "study.db"), "test", tower.space)
    with pytest.raises(UserError, match="another search space"):
        open_study(str(tmp_path / "study.db"), "test", backwards)


def test_a_file_that_cannot_be_written_is_not_called_damaged(filled, tower):
    with pytest.raises(UserError, match="cannot be written: make its file writable") as raised:
        open_study(open_to_read(filled), "another", tower.space)
    assert "restore" not in str(raised.value)


def test_a_file_that_another_program_has_locked_is_not_called_damaged(
    filled, tower, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("spos.search.sqlite.LOCK_TIMEOUT", 0.1)
    other = sqlite3.connect(filled)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match="is locked by another program"):
        open_study(filled, "test", tower.space)
    other.close()
    assert open_study(filled, "test", tower.space).trials


def test_a_file_that_several_processes_make_at_once_is_made_once(tmp_path):
    path, together = tmp_path / "study.db", threading.Barrier(4)

    def make(number: int) -> None:
        together.wait()
        optuna.create_study(storage=open_storage(path), study_name=f"study {number}")

    with ThreadPool(4) as pool:
        pool.map(make, range(4))
    assert len(open_storage(path).get_all_studies()) == 4


@pytest.mark.parametrize("statement", ["CREATE TABLE studies", "INSERT INTO version_info"])
def test_a_disk_that_fills_while_a_file_is_made_is_a_line(
    statement, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    def execute(cursor: sqlite3.Cursor, sql: str, *arguments: object) -> sqlite3.Cursor:
        if sql.strip().startswith(statement):
            raise sqlite3.OperationalError("database or disk is full")
        return sqlite3.Cursor.execute(cursor, sql, *arguments)

    monkeypatch.setattr("spos.search.sqlite._Cursor.execute", execute)
    path = tmp_path / "study.db"
    with pytest.raises(UserError, match=r"study.db cannot be opened: .*database or disk is full"):
        open_storage(path)
    assert not path.exists()


@pytest.mark.parametrize("deferred", [False, True])
def test_a_signal_ends_the_wait_for_the_lock_of_another_program(deferred, filled, tower):
    study = open_study(filled, "test", tower.space)
    known = study.trials
    other = sqlite3.connect(filled)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    # In the background of a shell it is ignored.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt), deferred_interrupt() if deferred else nullcontext():
            add_trial(study, known[0])
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, interrupt)
    assert time.monotonic() - began < 10
    other.close()
    assert len(open_study(filled, "test", tower.space).trials) == len(known)


def test_a_file_in_a_folder_that_cannot_be_written_is_read(filled, tmp_path, monkeypatch):
    # Not by its permissions, which mean nothing to root.
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    before = sorted(filled.parent.iterdir())
    # Its header says that it has a write-ahead log: SQLite writes beside it even to read it.
    assert filled.read_bytes()[18:20] == b"\x02\x02"
    held = open_to_read(filled)
    assert len(held.get_all_studies()) == 1
    assert recorded_scores(filled)
    (tmp_path / "copy").mkdir()
    copy_database(filled, tmp_path / "copy" / "study.db")
    assert recorded_scores(tmp_path / "copy" / "study.db") == recorded_scores(filled)
    assert sorted(path for path in filled.parent.iterdir() if path.is_file()) == before


def test_a_new_file_needs_no_log_that_was_left_beside_it(tmp_path, monkeypatch):
    opened, held = sqlite._storage, []

    def kept_open(path, *more):
        storage = opened(path, *more)
        # While another connection is open, the end of one merges no log, as on a full disk.
        held.append(connect(path, ()))
        held[-1].execute("SELECT * FROM sqlite_master").fetchall()
        return storage

    monkeypatch.setattr(sqlite, "_storage", kept_open)
    open_file(tmp_path / "study.db")
    alone = shutil.copy(tmp_path / "study.db", tmp_path / "alone.db")
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM studies").fetchone() == (0,)
    for connection in held:
        connection.close()
