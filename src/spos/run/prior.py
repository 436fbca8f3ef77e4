"""The option probabilities that a training learned, for the algorithms that use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spos.cost import CostModel
from spos.nn.supernet import Supernet
from spos.run.config import Config, find_required_method
from spos.run.costs import find_charged_cost
from spos.run.differentiable import choose_cost_unit
from spos.search import Prior
from spos.training.theta import Theta


def read_prior(
    config: Config, supernet: Supernet, tensors: Mapping[str, Tensor], table: CostModel
) -> tuple[Prior | None, dict[str, Any]]:
    """Read the option probabilities that a training learned in addition to the weights.

    Returns:
        The prior of the search algorithm, and the fields of the search outcome that describe it;
        None and an empty dictionary if the algorithm needs no prior.

    Raises:
        UserError: the algorithm needs probabilities and the checkpoint contains none.
    """
    if find_required_method(config.search.algorithm) is None:
        return None, {}
    settings = config.differentiable
    theta = Theta(
        supernet, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    theta.load(tensors)
    columns = theta.probabilities()
    told: dict[str, Any] = {
        "probabilities": {
            choice.name: dict(zip(choice.options, map(float, column), strict=True))
            for choice, column in zip(supernet.space.choices, columns, strict=True)
        }
    }
    cost = find_charged_cost(config)
    if cost is not None:
        told |= {"cost": cost, "unit": choose_cost_unit(table, settings, cost)}
    samples = settings.samples if settings.derive == "sample" else 1
    shares = tuple(column.double().cpu().numpy() for column in columns)
    return Prior(shares, samples), told
