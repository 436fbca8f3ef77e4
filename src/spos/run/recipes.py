"""Recipes of publications: settings by name, which replace the defaults of a preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos._util.errors import UserError, nearest

RECIPES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # Guo et al., ECCV 2020, Sections 3.2, 3.3 and 4: uniform single paths; accuracy as the fitness.
    "paper": {
        "supernet": {"method": "uniform", "paths": 1},
        "search": {
            "fitness": "metric",
            "population": 50,
            "iterations": 20,
            "parents": 10,
            "mutation": 0.1,
        },
        "finalists": {"count": 0},
    }
}


def find_recipe(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Look up the settings of a recipe, by section.

    Raises:
        UserError: the recipe does not exist.

    Example:
        >>> find_recipe("paper")["supernet"]["method"]
        'uniform'
    """
    if name not in RECIPES:
        raise UserError(f"--recipe {name}: {nearest(name, RECIPES)}")
    return RECIPES[name]
