"""The benchmark of supernets on a GPU, as a dry run on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spos import OneOf

#: A process takes seconds to start: one of them, with all that a training may have.
VARIANTS = ("macro averaged weights",)


@pytest.mark.parametrize(
    ("method", "variant"),
    [
        ("uniform", "macro uniform"),
        ("sandwich", "macro uniform"),
        ("fair", "macro uniform"),
        ("uniform", "nasbench201 wider"),
    ],
)
def test_a_step_trains_the_options_of_its_method(method: str, variant: str) -> None:
    from gpu_supernet import gradients
    from gpu_variants import VARIANTS, network

    supernet = network(VARIANTS[variant], dry=True).train()
    images, targets = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    loss = gradients(supernet, method, images, targets, 0, 0)
    assert loss.isfinite()
    layers = [layer for layer in supernet.modules() if isinstance(layer, OneOf)]
    # The identity has no weights.
    weights = [[list(option.parameters()) for option in layer.options] for layer in layers]
    weighted = [[bool(option) for option in layer] for layer in weights]
    trained = [
        [any(one.grad is not None for one in option) for option in layer] for layer in weights
    ]
    if method == "fair":
        assert trained == weighted
    else:
        assert all(sum(layer) <= (2 if method == "sandwich" else 1) for layer in trained)
        assert all(layer[-1] for layer in trained) == (method == "sandwich")


def test_all_parts_run_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    import gpu_evaluation
    import gpu_throughput
    from gpu import main

    # One space in the parts that this process measures; the others measure both.
    (name, case), *_ = reversed(gpu_throughput.DRY.items())
    monkeypatch.setattr(gpu_throughput, "DRY", {name: case})
    monkeypatch.setattr(gpu_evaluation, "SPACES", gpu_evaluation.SPACES[:1])
    main(["--dry-run", "--device", "cpu", "--out", str(tmp_path), "--variants", *VARIANTS])
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert not [row for row in rows if "error" in row]
    assert {row["part"] for row in rows} == {
        "tests",
        "throughput",
        "graphs",
        "evaluation",
        "ranking",
    }
    alone = [row for row in rows if row.get("way") == "shared, 2 GiB"]
    assert alone and all(row["largest difference"] == 0 for row in alone)
    trained = {row["variant"]: row for row in rows if row["part"] == "ranking"}
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(trained) == set(VARIANTS) == set(scores)
    for name, row in trained.items():
        assert row["steps"] > 0 and row["networks"] > 0, name
        assert len(scores[name]) >= row["networks"]
    assert "## ranking" in (tmp_path / "summary.md").read_text()
    assert [row["outcome"] for row in rows if row["part"] == "tests"] == [
        "passed",
        "passed",
        "ended",
    ]
    assert set(json.loads((tmp_path / "summary.json").read_text())["tables"]) == {
        "tests",
        "throughput",
        "graphs",
        "evaluation",
        "ranking",
    }
