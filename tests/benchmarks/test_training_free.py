"""The benchmark of scores that need no training, on digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spos import Architecture
from spos.run.config import read_layout
from spos.spaces import family


@pytest.mark.filterwarnings("ignore:All-NaN slice")
@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_each_score_is_a_ranking_alone_and_beside_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ranking
    import training_free

    monkeypatch.setattr(ranking, "RESAMPLES", 20)

    space = family("mobile").build(read_layout("mobile", "tiny", []), classes=10).space
    networks = [",".join([str(first), *["0"] * (len(space) - 1)]) for first in range(4)]
    rows = [f'"{one}",0,{1000 + number},9,{50 + number}' for number, one in enumerate(networks)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["arch,seed,flops,params,test_top1", *rows]) + "\n")
    scores = {one: [1.0 - 0.1 * number, 0.5] for number, one in enumerate(networks)}
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"scores": scores}))
    training_free.main(
        ["mobile", "--preset", "tiny", "--table", str(table), "--data", "digits", "--images", "8"]
        + ["--scores", str(file), "--out", str(tmp_path / "out")]
    )
    record = json.loads((tmp_path / "out" / "summary.json").read_text())
    (rows_found,) = record["tables"].values()
    taus = {row["ranking"]: row["tau, all"] for row in rows_found}
    assert taus["a: loss"].startswith("1.000")
    assert {"NASWOT", "SynFlow", "a: loss, 0.5 NASWOT"} <= taus.keys()
    assert all(taus.values())


def test_a_network_without_a_path_tells_no_images_apart() -> None:
    from training_free import Untrained

    supernet = family("nasbench201").build(read_layout("nasbench201", "tiny", []), classes=10)
    score = Untrained(supernet, torch.randn(8, *supernet.input_shape)).jacobian_covariance
    none, convolutions = (Architecture([option] * len(supernet.space)) for option in (0, 3))
    assert score(none) < score(convolutions)
