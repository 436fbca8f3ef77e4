"""Several supernets, whose scores of a candidate are averaged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_side_by_side import SETTINGS, outcome

from spos import Architecture, UserError
from spos._util.listener import Silent
from spos._util.randomness import generator
from spos.run import run
from spos.run.config import make_config
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.local_workers import LocalWorkers
from spos.run.network import load_checkpoint
from spos.run.scoring import Scorer
from spos.run.serving import needed_files
from spos.run.side_by_side import ThisProcess, Workers

MEMBERS: dict[str, Any] = {
    **SETTINGS,
    "supernet": {**SETTINGS["supernet"], "members": 2},
    "finalists": {"count": 0},
}


def opened(out: Path, members: int = 2) -> Context:
    directory = RunDirectory(out)
    config, fixed = directory.resolve_config({}, ())
    config = replace(config, supernet=replace(config.supernet, members=members))
    return Context(config, fixed, directory, Silent(), accelerator="cpu")


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("step-*")
    return load_file(path)


def same(one: Path, two: Path) -> bool:
    first, second = tensors(one), tensors(two)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def scores(context: Context, architectures: list[Architecture]) -> dict[Architecture, float]:
    return dict(Scorer(context, load_checkpoint(context)[0])(architectures))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One run in one process, and the same in two."""
    folder = tmp_path_factory.mktemp("members")
    workers: list[Workers] = [ThisProcess(1), LocalWorkers(2, 1)]
    for one in workers:
        run(folder / str(one.count), MEMBERS, ("train", "search"), workers=one)
        one.close()
    return [folder / "1", folder / "2"]


def test_each_is_trained_from_a_seed_of_its_own(runs: list[Path]) -> None:
    for name in ("supernet", "supernet-2"):
        assert same(runs[0] / name, runs[1] / name)
    first, second = (tensors(runs[0] / name) for name in ("supernet", "supernet-2"))
    kernels = [key for key in first if key.endswith("weight") and first[key].ndim == 4]
    assert kernels and not any(torch.equal(first[key], second[key]) for key in kernels)


def test_the_search_does_not_depend_on_the_number_of_processes(runs: list[Path]) -> None:
    one, two = ({**outcome(out, "search.json"), "stages": None} for out in runs)
    assert one == two


def test_the_report_says_how_many_there_are(runs: list[Path]) -> None:
    page = " ".join((runs[0] / "report.html").read_text().split())
    assert "2 supernets, 10 steps each" in page
    assert "with the weights of 2 supernets, each of which was trained once" in page


def test_a_score_is_the_mean_of_those_in_each(runs: list[Path], tmp_path: Path) -> None:
    context = opened(runs[0])
    space, random = context.supernet().space, generator(0, "members")
    chosen = [space.sample(random) for _ in range(3)]
    alone = []
    for folder in ("supernet", "supernet-2"):
        out = tmp_path / folder
        shutil.copytree(runs[0], out)
        shutil.rmtree(out / "supernet")
        shutil.copytree(runs[0] / folder, out / "supernet")
        alone.append(scores(opened(out, 1), chosen))
    together = scores(context, chosen)
    assert alone[0] != alone[1]
    for one in chosen:
        assert together[one] == pytest.approx((alone[0][one] + alone[1][one]) / 2, rel=1e-12)


def test_a_training_that_was_killed_goes_on(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "killed"
    shutil.copytree(runs[0], out)
    (out / "train.json").unlink()
    shutil.rmtree(out / "supernet-2")
    run(out, MEMBERS, ("train",))
    assert same(out / "supernet-2", runs[0] / "supernet-2")


def test_all_are_reused(runs: list[Path], tmp_path: Path) -> None:
    more = {"search": {**SETTINGS["search"], "iterations": 3}}
    out = tmp_path / "again"
    run(out, more, ("search",), reuse=runs[0])
    known = {one["architecture"]: one["score"] for one in outcome(runs[0], "search.json")["top"]}
    found = {one["architecture"]: one["score"] for one in outcome(out, "search.json")["candidates"]}
    assert {name: found[name] for name in known} == known
    assert {"supernet", "supernet-2"} <= {path.name for path in out.iterdir()}
    with pytest.raises(UserError, match=r"supernet\.members"):
        run(tmp_path / "one", {"supernet": {"members": 1}}, ("search",), reuse=runs[0])
    broken = tmp_path / "broken"
    shutil.copytree(runs[0], broken)
    shutil.rmtree(broken / "supernet-2")
    with pytest.raises(UserError, match="supernet-2 is not whole"):
        run(tmp_path / "two", more, ("search",), reuse=broken)
    with pytest.raises(UserError, match="supernet-2: its checkpoint is at step 0"):
        run(broken, {**MEMBERS, **more}, ("search",))


def test_workers_of_other_machines_get_all(runs: list[Path]) -> None:
    folders = {Path(name).parent.name for name in needed_files(opened(runs[0]))}
    assert {"supernet", "supernet-2"} <= folders


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"racing": 0.8}, r"supernet\.members 2 and search\.racing"),
        ({"algorithm": "fbnet"}, r"supernet\.members 2 and --algorithm fbnet"),
    ],
)
def test_what_needs_one_supernet_is_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_config({**MEMBERS, "search": search})
