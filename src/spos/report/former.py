"""Upgrades files of runs made before formats had versions.

In them a candidate holds its costs beside its other fields, and a score is called
``one_shot_top1`` or ``test_top1`` whatever the metric was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spos.cost.cost import primary_cost

_CANDIDATE = ("architecture", "one_shot_top1", "iteration", "origin")
_WINNER = ("names", "stages", "notation")
_BUDGET = ("maximum", "evaluated", "candidates", "test_top1", "exhausted")
_LABELS = {
    "evolution": "Evolution",
    "random": "Random search",
    "nsga2": "NSGA-II",
    "fbnet": "FBNet",
    "darts": "DARTS",
    "proxylessnas": "ProxylessNAS",
}
#: How far the first runs let the cost of a random network be from the winner's.
_NEAR = 0.05
_DIFFERENTIABLE = ("fbnet", "darts", "proxylessnas")


def upgrade_candidates(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Candidates in today's form; the position follows from the order within an iteration."""
    places: dict[int, int] = {}
    upgraded = []
    for row in rows:
        position = places.get(row["iteration"], 0)
        places[row["iteration"]] = position + 1
        upgraded.append(_candidate(row, position))
    return upgraded


def upgrade_winner(row: Mapping[str, Any]) -> dict[str, Any]:
    """The winner in today's form."""
    stages = [
        {
            "name": stage["name"],
            "choices": stage.get("choices", {}),
            "costs": _rest(stage, ("name", "choices")),
        }
        for stage in row["stages"]
    ]
    rest = {name: value for name, value in row.items() if name not in _WINNER}
    return {
        **_candidate(rest, 0),
        "names": row["names"],
        "stages": stages,
        "notation": row.get("notation"),
    }


def upgrade_search(plain: dict[str, Any]) -> dict[str, Any]:
    """``search.json`` in today's form."""
    candidates = upgrade_candidates(plain["candidates"])
    positions = {one["architecture"]: one["position"] for one in candidates}

    def placed(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [_candidate(row, positions.get(row["architecture"], 0)) for row in rows]

    budgets = [
        {
            **budget,
            "winner": upgrade_winner(budget["winner"]),
            "top": placed(budget["top"]),
        }
        for budget in plain.get("budgets", ())
    ]
    return {
        **plain,
        "winner": upgrade_winner(plain["winner"]),
        "top": placed(plain["top"]),
        "candidates": candidates,
        "front": placed(plain.get("front", ())),
        "budgets": budgets,
    }


def upgrade_retrain(plain: dict[str, Any]) -> dict[str, Any]:
    """The outcome of a retraining in today's form."""
    rest = {name: value for name, value in plain.items() if name != "test_top1"}
    return {**rest, "test_score": plain["test_top1"]}


def upgrade_comparison(plain: dict[str, Any]) -> dict[str, Any]:
    """``compare.json``, or the comparison of a result, in today's form."""
    fields = ("name", "architecture", "within", "one_shot_top1", "test_top1")
    networks = [
        {
            "name": network["name"],
            "architecture": network["architecture"],
            "within": network.get("within", _NEAR),
            "score": network["one_shot_top1"],
            "test_score": network["test_top1"],
            "costs": _rest(network, fields),
        }
        for network in plain["networks"]
    ]
    rest = {name: value for name, value in plain.items() if name != "found_test_top1"}
    asked = plain.get("asked", len(networks))
    found = plain["found_test_top1"]
    return {**rest, "asked": asked, "networks": networks, "found_test_score": found}


def upgrade_result(plain: dict[str, Any]) -> dict[str, Any]:
    """``result.json`` in today's form."""
    search = plain.get("search")
    if search:
        algorithm = search["algorithm"]
        method = algorithm if algorithm in _DIFFERENTIABLE else ""
        search = {**search, "label": _LABELS.get(algorithm, algorithm), "method": method}
    data = {"outputs": len(plain["data"]["classes"]), **plain["data"]}
    network, retrained = plain.get("network"), plain.get("retrain")
    bounds, searched = plain["constraint"], search or {}
    return {
        **plain,
        "metric": plain.get("metric") or {"name": "top-1", "share": True},
        "primary_cost": primary_cost(
            bounds["maximum"],
            bounds["minimum"],
            searched.get("pareto", ()),
            searched.get("charged"),
        ),
        "data": data,
        "search": search,
        "winner": plain.get("winner") and upgrade_winner(plain["winner"]),
        "network": network and {"name": network["name"], "costs": _rest(network, ("name",))},
        "retrain": retrained
        and {"test_score": retrained["test_top1"], "steps": retrained["steps"]},
        "top": upgrade_candidates(plain.get("top", ())),
        "front": upgrade_candidates(plain.get("front", ())),
        "budgets": [_budget(row) for row in plain.get("budgets", ())],
        "comparison": plain.get("comparison") and upgrade_comparison(plain["comparison"]),
    }


def _budget(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "maximum": row["maximum"],
        "winner": _candidate({k: v for k, v in row.items() if k not in _BUDGET}, 0),
        "evaluated": row["evaluated"],
        "candidates": row["candidates"],
        "test_score": row["test_top1"],
    }


def _candidate(row: Mapping[str, Any], position: int) -> dict[str, Any]:
    return {
        "architecture": row["architecture"],
        "iteration": row["iteration"],
        "position": position,
        "origin": row["origin"],
        "score": row["one_shot_top1"],
        "costs": _rest(row, _CANDIDATE),
    }


def _rest(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
