"""Processes of several machines: what they refuse, and how long they wait."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Imported by every process otherwise.
import lightning_fabric  # noqa: F401
import pytest

from spos import UserError
from spos._util.interrupt import handle_by, raise_interrupt
from spos.run import fabric, nodes
from spos.run.nodes import Nodes

FORKS = multiprocessing.get_context("fork")
LOST = "another process of the training ended, or does not answer: rerun"


def environment(rank: int, port: int, size: int = 2) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
    }


def together(*acts: Callable[[Nodes], object], versions: Sequence[str] = ("0", "0")) -> list[str]:
    """What is said to each of two processes that act once they have joined."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said: SimpleQueue[tuple[int, str]] = FORKS.SimpleQueue()
    started = [
        FORKS.Process(target=_join, args=(rank, port, act, versions[rank], said))
        for rank, act in enumerate(acts)
    ]
    for one in started:
        one.start()
    told = dict(said.get() for _ in started)
    for one in started:
        one.kill()
    return [told[rank] for rank in range(len(acts))]


def _join(
    rank: int,
    port: int,
    act: Callable[[Nodes], object],
    version: str,
    said: SimpleQueue[tuple[int, str]],
) -> None:
    nodes.VERSIONS = {"spos": version}
    os.environ.update(environment(rank, port))
    fabric.TIMEOUT = timedelta(seconds=1)
    try:
        act(Nodes(2, 1, "cpu"))
        said.put((rank, ""))
    except UserError as error:
        said.put((rank, str(error)))
    # Whoever has been told goes on: it is the other one that must not wait for it.
    multiprocessing.Event().wait()


def test_a_process_that_does_not_answer_is_waited_for_no_longer_than_the_limit() -> None:
    first, second = together(lambda _: None, Nodes.serve)
    assert first == ""
    assert second.startswith(LOST)


class _Sent:
    """A context whose images are others in the process that reads it."""

    def __reduce__(self) -> Any:
        return _read, ()


def _read() -> Any:
    return SimpleNamespace(data=SimpleNamespace(fingerprint=str(os.getpid()), source="folder:x"))


def test_other_images_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "needed_files", lambda *_: {})
    monkeypatch.setattr(nodes, "for_workers", lambda _: _Sent())

    def launch(first: Nodes) -> None:
        first._work = lambda *_: None  # type: ignore[method-assign]
        context: Any = SimpleNamespace(data=SimpleNamespace(fingerprint="a"), fabric=None)
        first.launch(context, print, (), "supernet")

    first, second = together(launch, Nodes.serve)
    assert first == ""
    assert second == (
        "the images of folder:x on this machine are not those of the first one: give all machines "
        "the same"
    )


def test_another_version_is_refused() -> None:
    first, second = together(*[lambda _: None] * 2, versions=("0", "1"))
    assert first == ""
    assert second == "this machine has spos 1; the first one has spos 0"


@pytest.mark.parametrize(
    ("count", "devices", "size", "says"),
    [
        (2, 2, 2, "--num-nodes 2 --devices 2: there are 2 processes, .*; start 2 on each of 2 "),
        (3, 1, 2, "--num-nodes 3 --devices 1: there are 2 processes, .*; start 1 on each of 3 "),
        (
            2,
            1,
            0,
            "--num-nodes 2 --devices 1: start the same command on every machine by torchrun ",
        ),
    ],
)
def test_processes_that_are_not_there_are_named(
    count: int, devices: int, size: int, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment(0, 1, size).items() if size else ():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=says):
        Nodes(count, devices, "cpu")


def _wait_for_others(said: SimpleQueue[str]) -> None:
    os.environ.update(environment(1, 1))
    handle_by(raise_interrupt)
    said.put("begun")
    try:
        Nodes(2, 1, "cpu")
    except KeyboardInterrupt:
        said.put("interrupted")
    # As the command does: what torch waits for in a thread is not to be waited for.
    os._exit(0)


def test_a_process_that_waits_for_others_can_be_interrupted() -> None:
    said: SimpleQueue[str] = FORKS.SimpleQueue()
    waiting = FORKS.Process(target=_wait_for_others, args=(said,))
    waiting.start()
    assert said.get() == "begun"
    # Nothing tells when torch has begun to wait.
    waiting.join(1)
    assert waiting.is_alive()
    waiting.terminate()
    waiting.join(20)
    ended = not waiting.is_alive()
    waiting.kill()
    assert ended and said.get() == "interrupted"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WORLD_SIZE", "", r"\(no WORLD_SIZE\); start the same command on every machine "),
        ("MASTER_PORT", "99999", r"\(port must have value from 0 to 65535 .*\); start "),
    ],
)
def test_an_environment_that_is_none_of_torchrun_is_told_in_one_line(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, usual in environment(0, 1).items():
        monkeypatch.setenv(variable, usual)
    monkeypatch.setenv(name, value)
    if not value:
        monkeypatch.delenv(name)
    with pytest.raises(UserError, match="--num-nodes 2 --devices 1: the environment .*" + says):
        Nodes(2, 1, "cpu")
