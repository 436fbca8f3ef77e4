"""A Ray cluster of two nodes on this machine gives what one process gives."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_members import MEMBERS
from test_side_by_side import SETTINGS, outcome

from spos import UserError
from spos.run import run
from spos.run.ray_workers import RayWorkers
from spos.run.side_by_side import ThisProcess

ray = pytest.importorskip("ray")

FILES = ("search", "finalists", "retrain", "compare", "result")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # The processes of the nodes read it.
        patch.setenv("OMP_NUM_THREADS", "1")
        # As Ray would have it, they wait for all other tests.
        patch.setenv("RAY_worker_niceness", "0")
        try:
            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            made.add_node(num_cpus=1)
            ray.init(address=made.address, log_to_driver=False, logging_level="error")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"no Ray cluster can be started here: {error}")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    run(out, SETTINGS, compare=2, workers=ThisProcess(1))
    return out


class Told:
    """A listener that keeps the messages, and does something when a stage first trains."""

    def __init__(self, acts: dict[str, Callable[[], object]]) -> None:
        self.messages: list[str] = []
        self.acts = acts

    def __getstate__(self) -> dict[str, Any]:
        return {"messages": [], "acts": {}}

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        if stage in self.acts:
            self.acts.pop(stage)()


def check_same(out: Path, alone: Path) -> None:
    for name in FILES:
        one, two = outcome(out, f"{name}.json"), outcome(alone, f"{name}.json")
        if name == "search":
            one, two = {**one, "stages": None}, {**two, "stages": None}
        assert one == two, name


def test_supernets_are_trained_side_by_side(cluster: Any, tmp_path: Path) -> None:
    found = []
    for workers in (ThisProcess(1), RayWorkers()):
        out = tmp_path / str(workers.count)
        run(out, MEMBERS, ("train", "search"), workers=workers)
        workers.close()
        found.append({**outcome(out, "search.json"), "stages": None})
    assert workers.count == 2 and found[0] == found[1]
    kept = [list((tmp_path / "2" / name).glob("step-*")) for name in ("supernet", "supernet-2")]
    assert all(len(paths) == 1 for paths in kept)


def test_a_run_that_loses_a_worker_and_a_node_is_as_in_one_process(
    cluster: Any, alone: Path, tmp_path: Path
) -> None:
    node = cluster.add_node(num_cpus=1)
    workers = RayWorkers()
    assert workers.count == 3
    killed = []

    def kill() -> None:
        killed.append(workers._workers[0].actor)
        ray.kill(killed[0])

    listener = Told(
        {"finalists": kill, "compare": lambda: cluster.remove_node(node, allow_graceful=False)}
    )
    run(tmp_path / "run", SETTINGS, compare=2, workers=workers, listener=listener)
    workers.close()
    assert killed and not listener.acts
    check_same(tmp_path / "run", alone)
    assert any(text.startswith("3 Ray worker(s)") for text in listener.messages)
    assert any("a worker died" in text for text in listener.messages)
    # What the trainings leave behind was brought here.
    kept = list((alone / "retrain").glob("*.safetensors"))
    assert [one.name for one in kept] == [
        one.name for one in (tmp_path / "run" / "retrain").glob("*.safetensors")
    ]


def test_another_version_is_refused_by_name(
    cluster: Any, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spos.run.ray_workers.VERSIONS", {"spos": "9.9", "torch": "0"})
    workers = RayWorkers()
    with pytest.raises(UserError, match=r"^the worker on .* has spos .*; this machine has spos 9"):
        run(tmp_path / "run", SETTINGS, workers=workers)
    workers.close()


def test_more_than_the_cluster_has_is_one_line(cluster: Any) -> None:
    with pytest.raises(UserError, match="--worker-cpus 64 --worker-gpus 0: the cluster has"):
        RayWorkers(cpus=64)


def test_ray_does_not_replace_what_a_signal_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # Without the clusters of this machine.
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda *_, **__: signal.signal(signal.SIGTERM, print))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})
    before = signal.getsignal(signal.SIGTERM)
    RayWorkers()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("named", ["RAY_ADDRESS", "ray_current_cluster"])
def test_a_cluster_that_is_gone_is_one_line_at_once(
    named: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"{host}:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", address if named == "RAY_ADDRESS" else "")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    # Ray would try for minutes.
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was asked"))
    with pytest.raises(UserError, match=f"at {re.escape(address)}, which .*{named} names"):
        RayWorkers()


def test_a_cluster_that_asks_for_a_token_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(*_: Any, **__: Any) -> None:
        raise ray.exceptions.RayError("no authentication token was found")

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", asks)
    with pytest.raises(UserError, match=r"no authentication token was found.*RAY_AUTH_MODE=token"):
        RayWorkers()


def test_a_worker_without_a_core_is_one_line() -> None:
    with pytest.raises(UserError, match="--worker-cpus 0: must be above 0"):
        RayWorkers(cpus=0)


def test_a_worker_without_memory_is_named(cluster: Any, tmp_path: Path) -> None:
    # Ray ends the workers of this node, as if others had taken its memory.
    poor = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    node = cluster.add_node(num_cpus=4, env_vars=poor)
    workers, listener = RayWorkers(cpus=4), Told({})
    with pytest.raises(UserError, match=r"3 workers died.* running low on memory"):
        run(tmp_path / "run", SETTINGS, workers=workers, listener=listener)
    workers.close()
    cluster.remove_node(node)
    address = node.node_ip_address
    died = (
        "a worker died, its work goes to another (1 worker(s) were killed due to the node running"
    )
    assert any(text.startswith(died) and f"(IP: {address})" in text for text in listener.messages)


class Unreadable:
    """What no worker can read."""

    def __reduce__(self) -> Any:
        return float, ("no number",)


def test_what_fails_before_its_work_begins_is_one_line(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a full disk does, where the files of a training are to be written."""
    begin = RayWorkers._begin

    def fail(self: RayWorkers, context: Any, worker: Any, work: Any, item: Any) -> Any:
        item.item = Unreadable()
        return begin(self, context, worker, work, item)

    monkeypatch.setattr(RayWorkers, "_begin", fail)
    workers = RayWorkers()
    with pytest.raises(UserError, match="a Ray worker failed: ValueError: could not convert str"):
        run(tmp_path / "run", SETTINGS, workers=workers)
    workers.close()


SCRIPT = """
import sys
from pathlib import Path
from spos.run import run
from spos.run.ray_workers import RayWorkers
from test_side_by_side import SETTINGS

if __name__ == "__main__":
    workers = RayWorkers(sys.argv[1])
    run(Path(sys.argv[2]), SETTINGS, compare=2, workers=workers)
    workers.close()
"""


def test_a_run_whose_driver_was_killed_goes_on(cluster: Any, alone: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "script.py", tmp_path / "run"
    script.write_text(SCRIPT)
    paths = f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(
        [sys.executable, str(script), cluster.address, str(out)],
        env={**os.environ, "PYTHONPATH": paths},
    )
    while not list(out.glob("short-*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not (out / "compare.json").exists()
    workers = RayWorkers()
    run(out, SETTINGS, compare=2, workers=workers)
    workers.close()
    check_same(out, alone)
