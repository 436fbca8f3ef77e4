"""Upgrades files of runs made before formats had versions.

In them a candidate holds its costs beside its other fields, and a score is called
``one_shot_top1`` or ``test_top1`` whatever the metric was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from spos.cost.cost import primary_cost

Row = Mapping[str, Any]

_CANDIDATE = ("architecture", "score", "iteration", "origin", "position")
_BUDGET = ("maximum", "evaluated", "candidates", "test_score", "exhausted")
_NETWORK = ("name", "architecture", "within", "score", "test_score")
_SCORES = {
    "one_shot_top1": "score",
    "test_top1": "test_score",
    "found_test_top1": "found_test_score",
}
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


def upgrade_candidates(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Candidates in today's form; the position follows from the order within an iteration."""
    places: Counter[int] = Counter()
    upgraded = []
    for row in rows:
        upgraded.append(_candidate(row, places[row["iteration"]]))
        places[row["iteration"]] += 1
    return upgraded


def upgrade_winner(row: Row) -> dict[str, Any]:
    """The winner in today's form."""
    own = ("names", "stages", "notation")
    stages = [{"choices": {}, **_costed(stage, "name", "choices")} for stage in row["stages"]]
    winner = _candidate({name: value for name, value in row.items() if name not in own})
    return {**winner, "notation": row.get("notation"), "names": row["names"], "stages": stages}


def upgrade_search(plain: dict[str, Any]) -> dict[str, Any]:
    """``search.json`` in today's form."""
    candidates = upgrade_candidates(plain["candidates"])
    positions = {one["architecture"]: one["position"] for one in candidates}

    def placed(rows: Iterable[Row]) -> list[dict[str, Any]]:
        return [_candidate(row, positions.get(row["architecture"], 0)) for row in rows]

    def found(row: Row) -> dict[str, Any]:
        return {**row, "winner": upgrade_winner(row["winner"]), "top": placed(row["top"])}

    return {
        **found(plain),
        "candidates": candidates,
        "front": placed(plain.get("front", ())),
        "budgets": [found(budget) for budget in plain.get("budgets", ())],
    }


def upgrade_retrain(plain: dict[str, Any]) -> dict[str, Any]:
    """The outcome of a retraining in today's form."""
    return _renamed(plain)


def upgrade_comparison(plain: dict[str, Any]) -> dict[str, Any]:
    """``compare.json``, or the comparison of a result, in today's form."""
    networks = [{"within": _NEAR, **_costed(row, *_NETWORK)} for row in plain["networks"]]
    return {"asked": len(networks), **_renamed(plain), "networks": networks}


def upgrade_result(plain: dict[str, Any]) -> dict[str, Any]:
    """``result.json`` in today's form."""
    search, bounds = plain.get("search") or {}, plain["constraint"]
    charged = search.get("charged")
    network, retrained, compared = map(plain.get, ("network", "retrain", "comparison"))
    if search:
        algorithm = search["algorithm"]
        method = algorithm if algorithm in _DIFFERENTIABLE else ""
        search = {**search, "label": _LABELS.get(algorithm, algorithm), "method": method}
    return {
        **plain,
        "metric": plain.get("metric") or {"name": "top-1", "share": True},
        "primary_cost": primary_cost(
            bounds["maximum"], bounds["minimum"], search.get("pareto", ()), charged
        ),
        "data": {"outputs": len(plain["data"]["classes"]), **plain["data"]},
        "search": search or None,
        "winner": plain.get("winner") and upgrade_winner(plain["winner"]),
        "network": network and _costed(network, "name"),
        "retrain": retrained and upgrade_retrain(retrained),
        "top": upgrade_candidates(plain.get("top", ())),
        "front": upgrade_candidates(plain.get("front", ())),
        "budgets": [_budget(row) for row in plain.get("budgets", ())],
        "comparison": compared and upgrade_comparison(compared),
    }


def _budget(row: Row) -> dict[str, Any]:
    budget = _costed(row, *_BUDGET, *_CANDIDATE)
    return {**budget, "winner": {"position": 0, **budget}}


def _candidate(row: Row, position: int = 0) -> dict[str, Any]:
    return {"position": position, **_costed(row, *_CANDIDATE)}


def _costed(row: Row, *names: str) -> dict[str, Any]:
    """A row whose fields are the named ones, and all others as its costs."""
    renamed = _renamed(row)
    costs = {name: value for name, value in renamed.items() if name not in names}
    return {name: renamed[name] for name in names if name in renamed} | {"costs": costs}


def _renamed(row: Row) -> dict[str, Any]:
    return {_SCORES.get(name, name): value for name, value in row.items()}
