"""Two processes, one device each, on one machine and on two."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from commands import FEW, SMALL, STEPS, Ended, Started, files_of, result_of, until

from spos.training.checkpoint import Checkpoints

TRAIN = ("train", *SMALL, "--accelerator", "cpu")
LINE = "spos: interrupted; the state is saved, rerun the same command to resume"
LOST = (
    "another process of the training ended, or does not answer: rerun the same command to resume "
    "from the last checkpoint"
)
Start = Callable[..., Started]
Pair = Callable[..., list[Started]]


class Local(NamedTuple):
    """A training of two processes of this machine, stopped at a step and resumed."""

    out: Path
    stopped: Ended
    last: int
    kept: str
    ended: Ended


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    folder = tmp_path_factory.mktemp("local")
    out, command = folder / "run", (*TRAIN, "--devices", "2", "--out", folder / "run")
    run = Started(folder, *command)
    until((out / "supernet").exists, run.process)
    run.signal(signal.SIGINT)
    stopped = run.wait()
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    kept = max(path.name for path in (out / "supernet").iterdir())
    return Local(out, stopped, last, kept, Started(folder, *command).wait())


def test_two_processes_stop_on_request_and_resume(local: Local) -> None:
    assert (local.stopped.status, local.stopped.told) == (130, [LINE])
    assert local.last < STEPS
    assert local.kept == f"step-{local.last:08d}.safetensors"
    assert (local.ended.status, local.ended.told) == (0, [])
    result = json.loads((local.out / "result.json").read_text())
    assert (result["devices"], result["winner"]) == (2, None)
    steps = [json.loads(line)["step"] for line in (local.out / "metrics.jsonl").open()]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS


def test_a_mistake_that_a_process_finds_is_one_line(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    rate = ("--devices", "2", "--set", "supernet.learning_rate=1e30")
    mistake = start(*TRAIN, *rate, "--out", out, fork=True).wait().mistake
    assert mistake.startswith(("the loss became ", "non-finite weights "))


def torchrun(node: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(node),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "GROUP_RANK": str(node),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
    }


def slurm(node: int, port: int) -> dict[str, str]:
    return {
        "SLURM_PROCID": str(node),
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODEID": str(node),
        "SLURM_LOCALID": "0",
        "SLURM_JOB_NAME": "train",
        "SLURM_NODELIST": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def test_processes_of_one_machine_do_not_read_what_a_cluster_says(
    start: Start, tmp_path: Path
) -> None:
    cluster = {**slurm(1, 1), **torchrun(1, 1), "MASTER_ADDR": "a.invalid", "NODE_RANK": "1"}
    for name, variables in (("alone", {}), ("cluster", {**cluster, "SLURM_NTASKS": "4"})):
        command = (*TRAIN, *FEW, "--devices", "2", "--out", tmp_path / name)
        ended = start(*command, variables=variables).wait()
        assert (ended.status, ended.told) == (0, [])
    assert same(weights(tmp_path / "alone"), weights(tmp_path / "cluster"))


def test_processes_that_cannot_be_connected_are_one_line(start: Start, tmp_path: Path) -> None:
    variables = {"GLOO_SOCKET_IFNAME": "none0"}
    command = (*TRAIN, "--devices", "2", "--out", tmp_path / "run")
    mistake = start(*command, variables=variables, fork=True).wait().mistake
    assert mistake.startswith("the processes of the training cannot be connected: ")
    assert mistake.endswith("Unable to find address for: none0")


@pytest.fixture
def pair(start: Start, tmp_path: Path) -> Callable[..., list[Started]]:
    """Start a command on two nodes, of which the second has another run directory."""

    def run(
        *arguments: object, out: Path, by: Callable[..., dict[str, str]] = torchrun
    ) -> list[Started]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        places = (out, tmp_path / "elsewhere" / "run")
        return [
            start(*arguments, "--num-nodes", "2", "--out", place, variables=by(node, port))
            for node, place in enumerate(places)
        ]

    return run


def ends(pair: list[Started]) -> list[Ended]:
    return [one.wait() for one in pair]


def weights(out: Path) -> dict[str, torch.Tensor]:
    loaded = Checkpoints(out / "supernet").load()
    assert loaded is not None
    return loaded.tensors


def written(out: Path) -> int:
    """The step of the last checkpoint; 0 before there is one."""
    return max((int(one.stem[5:]) for one in (out / "supernet").glob("step-*")), default=0)


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_killed_processes_end_both_and_they_resume_to_what_one_machine_trains(
    pair: Pair, local: Local, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for killed, by in enumerate((torchrun, slurm)):
        before = written(out)
        nodes = pair(*TRAIN, out=out, by=by)
        until(lambda seen=before: written(out) > seen + 2, nodes[0].process)
        nodes[killed].kill()
        assert nodes[1 - killed].wait().mistake == LOST
        assert not (out / "train.json").exists()
    resumed = ends(pair(*TRAIN, out=out, by=slurm))
    assert [(one.status, one.told) for one in resumed] == [(0, []), (0, [])]
    assert resumed[1].out == ""
    assert same(weights(out), weights(local.out))
    assert result_of(out) == result_of(local.out)
    assert files_of(tmp_path / "elsewhere") == []


def test_an_interrupt_of_the_second_node_stops_both_and_saves(pair: Pair, tmp_path: Path) -> None:
    out = tmp_path / "run"
    nodes = pair(*TRAIN, out=out)
    until((out / "supernet").exists, nodes[0].process)
    nodes[1].signal(signal.SIGTERM)
    first, second = ends(nodes)
    assert (first.status, second.status) == (130, 130)
    assert first.told == ["spos: interrupted; the state is saved, rerun the same command to resume"]
    assert second.told == ["spos: interrupted"]


def test_a_mistake_that_the_first_node_finds_is_told_by_both(pair: Pair, tmp_path: Path) -> None:
    for one in ends(pair(*TRAIN, "--precision", "33", out=tmp_path / "run")):
        assert one.mistake.startswith("unknown run.precision '33': ")
    assert not (tmp_path / "run").exists()
