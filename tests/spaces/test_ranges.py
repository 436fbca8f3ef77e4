"""Ranges of costs that were counted beforehand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spos.cost import CostModel, CostTable
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, _ranges, family
from spos.spaces._ranges import build_preset, cost_range, fingerprint


@pytest.mark.parametrize("name", SPACES.built_in)
def test_the_range_of_every_preset_is_known(name: str) -> None:
    member = family(name)
    built = {preset: build_preset(member, preset) for preset in member.presets}
    unknown = [p for p, one in built.items() if fingerprint(member, one) not in _ranges._known()]
    assert not unknown, "python -m spos.spaces._ranges counts them anew"
    # Of one preset that it is right as well; the last one is the smallest.
    *_, last = built.values()
    assert cost_range(member, last) == member.costs(last).range()


def test_the_range_of_a_space_that_was_changed_is_counted() -> None:
    member = family("mobile")
    narrower = replace(member.preset("tiny"), channels=(8, 16, 24))
    # Not the layout of the preset any more, under the same name.
    changed = replace(member, presets={"tiny": narrower})
    supernet = build_preset(changed, "tiny")
    assert cost_range(changed, supernet) == CostTable(supernet).range()
    assert cost_range(changed, supernet) != cost_range(member, build_preset(member, "tiny"))

    def others(supernet: Supernet, *, eager: bool = True) -> CostModel:
        raise LookupError("counted")

    with pytest.raises(LookupError, match="counted"):
        cost_range(replace(member, costs=others), build_preset(member, "tiny"))


def test_nothing_is_counted_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    member = family("plain")
    supernet = build_preset(member, "cifar")
    monkeypatch.setattr(CostTable, "__init__", None)
    assert cost_range(member, supernet)["strides"] == (0, 20)


@pytest.mark.parametrize("setting", ["stride", "padding", "groups"])
def test_what_a_layer_computes_is_part_of_the_fingerprint(setting: str) -> None:
    member = family("mobile")
    supernet = build_preset(member, "tiny")
    before = fingerprint(member, supernet)
    layer = supernet.get_submodule("model.stem.0")
    assert getattr(layer, setting)
    setattr(layer, setting, 7 if setting == "groups" else (7, 7))
    assert fingerprint(member, supernet) != before
