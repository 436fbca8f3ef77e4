"""The benchmark of scores that need no training, on digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spos import Architecture
from spos.run.config import read_layout
from spos.spaces import family


@pytest.fixture
def sample(tmp_path: Path) -> list[str]:
    """Options of a sample of four networks; the last is the best, and has the least loss."""
    space = family("mobile").build(read_layout("mobile", "tiny", []), classes=10).space
    networks = [",".join([str(first), *["0"] * (len(space) - 1)]) for first in range(4)]
    rows = [f'"{one}",0,{1000 + number},9,{50 + number}' for number, one in enumerate(networks)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["arch,seed,flops,params,test_top1", *rows]) + "\n")
    scores = {one: [1.0 - 0.1 * number, 0.5, -number] for number, one in enumerate(networks)}
    (tmp_path / "a.json").write_text(json.dumps({"scores": scores}))
    options = ["mobile", "--preset", "tiny", "--table", str(table), "--data", "digits"]
    return [*options, "--images", "8", "--out", str(tmp_path / "out"), "--scores"]


def tables(out: Path) -> list[list[dict[str, str]]]:
    return list(json.loads((out / "summary.json").read_text())["tables"].values())


@pytest.mark.filterwarnings("ignore:All-NaN slice")
@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_each_score_is_a_ranking_alone_and_beside_the_loss(
    sample: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ranking
    import training_free

    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    training_free.main([*sample, str(tmp_path / "a.json")])
    (rows_found,) = tables(tmp_path / "out")
    taus = {row["ranking"]: row["tau, all"] for row in rows_found}
    assert taus["a: loss"].startswith("1.000") and taus["a: z-score"].startswith("-1.000")
    assert {"NASWOT", "patterns", "SynFlow", "a: loss, 0.5 NASWOT"} <= taus.keys()
    assert "a: z-score, 1 patterns" in taus
    assert all(taus.values())


def test_a_network_without_a_path_tells_no_images_apart() -> None:
    from training_free import Untrained

    supernet = family("nasbench201").build(read_layout("nasbench201", "tiny", []), classes=10)
    score = Untrained(supernet, torch.randn(8, *supernet.input_shape)).jacobian_covariance
    none, convolutions = (Architecture([option] * len(supernet.space)) for option in (0, 3))
    assert score(none) < score(convolutions)


def test_two_supernets_rank_by_the_mean_of_their_losses(sample: list[str], tmp_path: Path) -> None:
    import members

    # Of four networks, one supernet has the first two and the other the last two in a wrong order.
    first = json.loads((tmp_path / "a.json").read_text())["scores"]
    names = list(first)
    for name, losses in (("b", [0.9, 1.0, 0.5, 0.0]), ("c", [2.0, 0.9, 0.1, 0.5])):
        scores = {one: [loss, 0.5] for one, loss in zip(names, losses, strict=True)}
        (tmp_path / f"{name}.json").write_text(json.dumps({"scores": scores}))
    members.main([*sample, *(str(tmp_path / f"{name}.json") for name in "bc")])
    alone, together = tables(tmp_path / "out")[0]
    assert (alone["supernets"], alone["subsets"]) == (1, 2)
    assert alone["tau, all"] == "0.667 (0.667 to 0.667)"
    assert together["tau, all"] == "1.000" and together["subsets"] == 1
    assert together["true accuracy of the best of the band"] == "53.00"
