"""Known networks beside the one found."""

from __future__ import annotations

from spos.cost.cost import find_cost
from spos.report import words
from spos.report.headline import exceeded
from spos.report.result import KnownNetwork, Result
from spos.report.table import ArchitectureTable, column, tested_columns

#: What a cost that cannot be counted is shown as.
UNKNOWN = "–"


def known_table(result: Result) -> ArchitectureTable | None:
    """The network found and the known networks, by their test scores; None without any."""
    winner, found = result.winner, result.test_score
    if winner is None or found is None or not result.known:
        return None
    rows = [
        ("found", str(winner.architecture), winner.costs, found, "within"),
        *(
            ("known", _named(one), one.costs, one.test_score, _limit(result, one))
            for one in result.known
        ),
    ]
    rows.sort(key=lambda row: -row[3])
    kinds, names, costs, scores, within = zip(*rows, strict=True)
    values = tested_columns(result, scores, short=True)
    for cost in map(find_cost, words.shown_costs(result)):
        cells = (cost.format(one[cost.name]) if cost.name in one else UNKNOWN for one in costs)
        values.append(column(cost.label, cells, cost.heading))
    if result.constraint.maximum:
        values.append(column("limit", within, text=True))
    named = column("network", kinds, text=True)
    return ArchitectureTable((named,), tuple(values), names, kinds.index("found"))


def _named(network: KnownNetwork) -> str:
    width = f", width {network.width:g}" if network.name.partition("=")[0].endswith("@fit") else ""
    weights = "" if network.weights == "scratch" else f", from {network.weights}"
    return f"{network.name}{width}{weights}"


def _limit(result: Result, network: KnownNetwork) -> str:
    if exceeded(result, network):
        return "over"
    return "within" if network.costs.keys() >= result.constraint.maximum.keys() else "unknown"


def known_words(result: Result) -> str:
    """Say how the network found compares with known ones; empty without any."""
    found, measure = result.test_score, result.metric
    if found is None or not result.known:
        return ""
    scores = [one.test_score for one in result.known]
    count = words.counted(len(scores), "known network")
    equal = sum(found == score for score in scores)
    text = f"The network found is better than {sum(found > score for score in scores)} of {count}"
    text += f" and equal to {equal}." if equal else "."
    best = max(result.known, key=lambda one: one.test_score)
    difference = measure.difference(abs(found - best.test_score))
    more = "below" if best.test_score < found else "above"
    if best.test_score != found:
        text += f" The best of them, {best.name}, is {difference} {more} it"
        flops, own = best.costs["flops"], result.winner and result.winner.costs["flops"]
        text += f" with {flops / own:.2g} times its multiply-adds." if own else "."
    over = [one.name for one in result.known if exceeded(result, one)]
    if over:
        verb = "exceeds" if len(over) == 1 else "exceed"
        text += f" {', '.join(over)} {verb} the limits of the search."
    if result.retrain and result.retrain.weights == "supernet":
        text += (
            " They began from fresh weights, or those of a file, and the network found from the "
            "weights of the supernet, which in short trainings is an advantage."
        )
    return text
