"""Counters of the user's own, and descriptors of costs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from torch import nn

from spos import CostTable, OneOf, Supernet, UserError
from spos.cost import Cost
from spos.cost.count import cost_counter


def number_alone(network: nn.Module, value: Any) -> Any:
    return 3


def failing(network: nn.Module, value: Any) -> Any:
    raise RuntimeError("no layer\nof this kind")


@pytest.mark.parametrize(
    ("counter", "says"),
    [
        (number_alone, "TypeError: cannot unpack"),
        (failing, "RuntimeError: no layer of this kind"),
        (lambda network: (1, None), "TypeError: .*takes 1 positional argument"),
    ],
)
def test_a_counter_that_fails_is_told_by_the_name_of_its_cost(counter: Any, says: str):
    supernet = Supernet(OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()}), (2,))
    line = rf"the counter of the cost layers failed \({says}.*\); it must return a whole number and"
    with pytest.raises(UserError, match=line) as raised:
        CostTable(supernet, counter=cost_counter(Cost("layers", counter=counter)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"aggregation": "max"}, "aggregation 'max' of the cost layers: allowed: sum, peak"),
        ({"counter": 3}, "the counter of the cost layers is 3: must be a function"),
    ],
)
def test_a_cost_that_could_not_be_counted_is_refused(given: dict[str, Any], says: str):
    with pytest.raises(UserError, match=re.escape(says)):
        Cost("layers", **given)
