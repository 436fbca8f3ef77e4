"""A search whose candidates race, killed or not; in two processes: `test_side_by_side`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from spos import Task, UserError
from spos._util.files import read_json
from spos.run import run
from spos.run.config import make_config
from spos.run.directory import RunDirectory
from spos.run.finalists import choose_finalists
from spos.run.outcome import SearchOutcome
from spos.run.scoring import Scorer
from spos.run.side_by_side import ThisProcess

SETTINGS: dict[str, Any] = {
    "space": {"name": "mobile", "preset": "tiny"},
    "layout": {"image_size": 8, "channels": [8, 16], "depths": [1, 2], "strides": [1, 2]},
    "data": {"source": "digits", "validation": 400},
    "supernet": {"steps": 15, "warmup_steps": 0},
    "search": {"population": 10, "iterations": 2, "parents": 2, "racing": 0.8},
    "run": {"calibration": 64, "evaluation_batch": 64},
}
WEIGHED = {**SETTINGS, "search": {**SETTINGS["search"], "naswot_weight": 0.5}}
BY_METRIC = {**SETTINGS, "search": {**SETTINGS["search"], "fitness": "metric"}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained supernet; not to be written to."""
    out = tmp_path_factory.mktemp("trained") / "run"
    plain = {name: part for name, part in SETTINGS.items() if name != "search"}
    run(out, plain, ("train",))
    return out


def searched(trained: Path, out: Path, settings: Any) -> Any:
    if not out.exists():
        shutil.copytree(trained, out)
    run(out, settings, ("search",), workers=ThisProcess(1))
    found = read_json(out / "search.json")
    found.pop("seconds")
    # Whatever was found, in whatever order the pieces ended.
    found.pop("stages")
    found.pop("digest", None)
    return found


def trials(out: Path) -> set[tuple[Any, ...]]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{out / 'study.db'}")
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    return {
        (
            trial.user_attrs["architecture"],
            trial.state,
            trial.value,
            trial.user_attrs.get("dropped_after"),
        )
        for trial in study.trials
    }


@pytest.mark.parametrize("settings", [WEIGHED, BY_METRIC], ids=["loss", "metric"])
def test_a_race_is_the_same_after_a_kill(
    trained: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = searched(trained, tmp_path / "one", settings)
    dropped = [found for found in one["candidates"] if found["dropped_after"]]
    assert dropped
    # After 1/4 or 1/2 of 400 images, in batches of 64: those of 1/8 are too few.
    assert {found["dropped_after"] for found in dropped} <= {128, 256}
    assert not any(found["dropped_after"] for found in one["top"])
    known = trials(tmp_path / "one")
    assert {state for _, state, _, _ in known} == {TrialState.COMPLETE, TrialState.PRUNED}
    race = Scorer.race
    with monkeypatch.context() as patch:

        def killed(self: Scorer, architectures: Any, rival: Any) -> Any:
            for number, found in enumerate(race(self, architectures, rival)):
                yield found
                if number == 4 and rival is not None:
                    raise KeyboardInterrupt

        patch.setattr(Scorer, "race", killed)
        with pytest.raises(KeyboardInterrupt):
            searched(trained, tmp_path / "killed", settings)
    assert 10 < len(trials(tmp_path / "killed")) < 20
    assert searched(trained, tmp_path / "killed", settings) == one
    assert trials(tmp_path / "killed") == known


def test_who_is_not_dropped_has_the_score_of_all_images_and_may_be_a_finalist(
    trained: Path, tmp_path: Path
) -> None:
    race = searched(trained, tmp_path / "race", SETTINGS)
    outcome = RunDirectory(tmp_path / "race").outcome(SearchOutcome)
    assert outcome is not None
    chosen = choose_finalists(outcome, 20, distinct=False)
    kept = {one.architecture for one in outcome.candidates if one.dropped_after is None}
    assert (
        {one.architecture for one in chosen}
        == kept
        != {one.architecture for one in outcome.candidates}
    )
    plain = {**SETTINGS, "search": {**SETTINGS["search"], "racing": 0.0}}
    full = searched(trained, tmp_path / "plain", plain)
    assert not any(found["dropped_after"] for found in full["candidates"])
    scores = {found["architecture"]: found["score"] for found in full["candidates"]}
    compared = [
        (found["score"], scores[found["architecture"]])
        for found in race["candidates"]
        if found["architecture"] in scores and not found["dropped_after"]
    ]
    assert len(compared) >= 10
    # In another order of the images.
    assert all(ours == pytest.approx(theirs, rel=1e-5) for ours, theirs in compared)


def batch_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(outputs, targets)


def test_what_cannot_race_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^search\.racing 0\.8: candidates race by the scores of"):
        run(tmp_path / "own", SETTINGS, ("train",), task=Task(loss=batch_loss))
    assert not (tmp_path / "own").exists()
    theta = {"search": {"algorithm": "fbnet", "racing": 0.8}}
    with pytest.raises(UserError, match=r"^search\.racing 0\.8: fbnet has no populations"):
        make_config(theta)
    front = {"search": {"pareto": ["flops"], "racing": 0.8}}
    with pytest.raises(UserError, match=r"^search\.racing 0\.8 and search\.pareto flops"):
        make_config(front)
