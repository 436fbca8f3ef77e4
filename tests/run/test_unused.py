"""What a user set and a run does not use is said."""

from __future__ import annotations

from typing import Any

import pytest

from spos import UserError
from spos.run.config import make_config
from spos.run.unused import describe_unused

RANDOM, DARTS = {"algorithm": "random"}, {"algorithm": "darts"}
JOINT = "with differentiable.form joint, which has no images and no cost for theta"


def unused(given: dict[str, Any], *, compared: bool = True) -> list[str]:
    return describe_unused(make_config(given), given, compared=compared)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"search": {**RANDOM, "mutation": 0.5, "crossover_children": 2}},
            "search.mutation 0.5, search.crossover_children 2: without effect with --algorithm "
            "random",
        ),
        (
            {"search": {"algorithm": "tpe", "mutation": 0.5}},
            "search.mutation 0.5: without effect with --algorithm tpe",
        ),
        (
            {"search": {**DARTS, "population": 4}},
            "search.population 4: without effect with --algorithm darts",
        ),
        (
            {"differentiable": {"beta": 0.9}},
            "differentiable.beta 0.9: without effect with --algorithm evolution, which trains no "
            "option probabilities",
        ),
        (
            {"search": DARTS, "differentiable": {"temperature": 3}},
            "differentiable.temperature 3: without effect with --algorithm darts",
        ),
        (
            {"search": DARTS, "differentiable": {"form": "joint", "alpha": 3}},
            f"differentiable.alpha 3: without effect {JOINT}",
        ),
        (
            {"search": DARTS, "finalists": {"count": 3, "share": 0.5}},
            "finalists.count 3, finalists.share 0.5: without effect with differentiable.derive "
            "argmax, which finds one network; give sample",
        ),
        (
            {"finalists": {"share": 0.5}},
            "finalists.share 0.5: without effect without two --finalists or more",
        ),
        (
            {"network": {"name": "mobilenet_v2"}, "search": {"population": 4}},
            "search.population 4: without effect with --network mobilenet_v2, which is trained "
            "alone",
        ),
    ],
)
def test_a_setting_without_effect_is_said(given: dict[str, Any], told: str):
    assert unused(given) == [told]


def test_a_share_of_the_comparison_needs_one():
    given = {"network": {"compare_share": 0.5}}
    assert unused(given) == []
    assert unused(given, compared=False) == [
        "network.compare_share 0.5: without effect without --compare"
    ]


def test_a_loss_of_ones_own_has_its_own_smoothing():
    given = {"supernet": {"label_smoothing": 0.2}}
    assert unused(given) == []
    assert describe_unused(make_config(given), given, compared=True, own_loss=True) == [
        "supernet.label_smoothing 0.2: without effect with a loss of your own"
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"search": {"mutation": 0.5}, "finalists": {"count": 2, "share": 0.5}},
        {"search": {**RANDOM, "mutation": 0.1, "population": 4}},
        {"search": {"algorithm": "fbnet"}, "differentiable": {"temperature": 3, "beta": 0.9}},
        {
            "search": DARTS,
            "differentiable": {"derive": "sample", "samples": 3},
            "finalists": {"count": 2},
        },
    ],
)
def test_nothing_is_said_of_what_has_an_effect_or_is_the_default(given: dict[str, Any]):
    assert unused(given) == []


def test_nothing_is_said_of_settings_of_a_run_that_is_reused():
    config = make_config({"search": {**RANDOM, "mutation": 0.5}})
    assert describe_unused(config, {"search": RANDOM}, compared=True) == []


def test_the_width_of_a_published_network_needs_one():
    with pytest.raises(UserError, match=r"network\.width 0\.5: .* --network gives none"):
        make_config({"network": {"width": 0.5}})
    assert make_config({"network": {"width": 0.5, "name": "mobilenet_v2"}}).network.width == 0.5
