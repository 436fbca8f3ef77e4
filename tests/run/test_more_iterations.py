"""A finished search is continued in its directory with more iterations."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from spos import UserError
from spos._util.files import read_json
from spos._util.records import to_plain
from spos.run import run

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "layout": {"layers": 3, "filters": [4, 8]},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "constraint": {"maximum": {"flops": 80_000}},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 2, "parents": 2},
    "retrain": RECIPE,
}
MORE = {"search": {"iterations": 4}}
SEARCH = ("train", "search")


class Count:
    """A listener that counts evaluations, and interrupts after some."""

    def __init__(self, at: int = -1) -> None:
        self.heard, self.at = 0, at

    def message(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        self.heard += stage == "search"
        if self.heard == self.at:
            raise KeyboardInterrupt


def found(out: Path) -> dict[str, Any]:
    search: dict[str, Any] = read_json(out / "search.json")
    del search["seconds"]
    return search


def iterations(out: Path) -> int:
    return int(yaml.safe_load((out / "config.yaml").read_text())["search"]["iterations"])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("more") / "run"
    run(out, GIVEN, SEARCH)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a search of as many iterations finds from the start."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(out, {**GIVEN, "search": {**GIVEN["search"], "iterations": 4}}, SEARCH)
    return found(out)


@pytest.fixture
def out(searched: Path, tmp_path: Path) -> Path:
    shutil.copytree(searched, tmp_path / "run")
    return tmp_path / "run"


def test_only_the_further_iterations_are_paid(out: Path, whole: dict[str, Any]) -> None:
    heard = Count()
    result = run(out, MORE, ("search",), listener=heard)
    assert heard.heard == 8
    assert found(out) == whole
    assert (result.search.iterations, result.search.evaluated) == (4, 16)
    assert iterations(out) == 4
    again = Count()
    run(out, MORE, ("search",), listener=again)
    assert again.heard == 0


@pytest.mark.parametrize("command", [MORE, {}])
def test_an_interrupted_continuation_resumes(
    out: Path, whole: dict[str, Any], command: dict[str, Any]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(out, MORE, ("search",), listener=Count(3))
    assert not (out / "search.json").exists()
    heard = Count()
    run(out, command, ("search",), listener=heard)
    assert heard.heard == 5
    assert found(out) == whole


def test_a_kill_before_the_settings_are_written_leaves_the_shorter_search(
    out: Path, whole: dict[str, Any]
) -> None:
    before = found(out)
    (out / "search.json").unlink()
    heard = Count()
    run(out, {}, ("search",), listener=heard)
    assert (found(out), heard.heard) == (before, 0)
    (out / "search.json").unlink()
    run(out, MORE, ("search",))
    assert found(out) == whole


def test_fewer_iterations_are_another_configuration(out: Path) -> None:
    before = (out / "search.json").read_bytes()
    with pytest.raises(UserError, match=r"search\.iterations is 2 there and 1 here"):
        run(out, {"search": {"iterations": 1}}, ("search",))
    with pytest.raises(UserError, match=r"search\.population is 4 there and 5 here"):
        run(out, {"search": {"iterations": 4, "population": 5}}, ("search",))
    # Only a search is continued: without one, its outcome stays as it was.
    with pytest.raises(UserError, match=r"search\.iterations is 2 there and 4 here"):
        run(out, MORE, ("retrain",))
    assert (out / "search.json").read_bytes() == before
    assert iterations(out) == 2


def test_what_is_retrained_already_is_not_searched_on(out: Path, whole: dict[str, Any]) -> None:
    run(out, {}, ("retrain",))
    before = (out / "search.json").read_bytes()
    with pytest.raises(UserError, match=r"search\.iterations is 2 there and 4 here"):
        run(out, MORE, ("search",))
    assert (out / "search.json").read_bytes() == before
    # The way that is left: another directory, which pays for the further iterations alone.
    heard, given = Count(), {**GIVEN, "search": {**GIVEN["search"], **MORE["search"]}}
    run(out.parent / "next", given, ("search",), listener=heard, reuse=out)
    assert heard.heard == 8
    assert found(out.parent / "next") | {"run": whole["run"]} == whole


def test_a_whole_run_is_continued_as_well(out: Path, whole: dict[str, Any]) -> None:
    result = run(out, MORE)
    assert found(out) == whole
    assert to_plain(replace(result.winner, notation=None)) == whole["winner"]
    assert 0 <= result.retrain.test_score <= 1
