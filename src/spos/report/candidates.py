"""The candidates of a search as the page shows them: rows, dots, and the networks they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spos.cost.cost import find_cost
from spos.report.attachments import CandidateStages
from spos.report.facts import ChoiceFacts
from spos.report.measure import Measure
from spos.report.network import Block, network_blocks
from spos.report.result import Result, StageCosts
from spos.report.words import shown_costs
from spos.search.candidate import Candidate

#: Most candidates that are plotted: more cannot be told apart and only make the page heavy.
PLOTTED = 2500
#: Most different blocks that the page carries; with more, only the network found is drawn.
BLOCKS = 600
#: The column of the images that a candidate was scored on, if it was dropped in a race.
DROPPED = "dropped"


@dataclass(frozen=True)
class CandidateColumn:
    """A column of the candidates' table.

    Args:
        name (str): name of its values in a row.
        heading (str): its heading.
        values (Sequence): values to sort by; None where one is unknown.
        cells (Sequence[str]): what is shown; empty where that is the value itself.
        factors (Mapping[str, float]): what a suffix in a filter multiplies a number by.
        sign (int): 1, or -1 where people read the negative of the value.
        text (bool): whether values are words.
        best (str): ``"high"`` if a high value is good, and comes first.
    """

    name: str
    heading: str
    values: Sequence[Any]
    cells: Sequence[str] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    sign: int = 1
    text: bool = False
    best: str = "low"


@dataclass(frozen=True)
class CandidateTable:
    """The candidates of a page, best first.

    Args:
        columns (list[CandidateColumn]): their columns, the architecture last.
        networks (list[list[int]]): the blocks of each candidate, as places in ``blocks``; empty
            where there are too many.
        blocks (list[Block]): each different block once.
    """

    columns: list[CandidateColumn]
    networks: list[list[int]]
    blocks: list[Block]

    def headings(self) -> dict[str, str]:
        """The heading of the field with the text of each column, for tooltips."""
        return {f"{one.name}_text" if one.cells else one.name: one.heading for one in self.columns}


def plotted(candidates: Sequence[Candidate], top: Sequence[Candidate] = ()) -> list[Candidate]:
    """The candidates to plot, later iterations last: all, or an even sample of very many.

    Args:
        candidates (Sequence[Candidate]): all candidates.
        top (Sequence[Candidate]): candidates that are in every sample.
    """
    stride = math.ceil(len(candidates) / PLOTTED) or 1
    sample = [*candidates[::stride]]
    known = {one.architecture for one in sample}
    sample += [one for one in top if one.architecture not in known] if stride > 1 else []
    return sorted(sample, key=lambda candidate: candidate.iteration)


def cost_field(result: Result, cost: str) -> str:
    """The field of a cost in a row; names of costs may hold what Vega reads as a path."""
    return f"cost{shown_costs(result).index(cost)}"


def candidate_table(
    result: Result, candidates: Sequence[Candidate], stages: CandidateStages | None
) -> CandidateTable:
    """The candidates to plot, best first, with their costs and their networks.

    Args:
        result (Result): result of the run.
        candidates (Sequence[Candidate]): all candidates.
        stages (CandidateStages | None): their stages; None where the run does not have them.
    """
    order = sorted(candidates, key=lambda one: one.rank)
    # Of equal architectures the better rank counts.
    ranks = {one.architecture: rank for rank, one in reversed([*enumerate(order, 1)])}
    rows = sorted(plotted(candidates, result.top), key=lambda one: ranks[one.architecture])
    columns = [
        CandidateColumn("rank", "rank", [ranks[one.architecture] for one in rows]),
        _scores("score", result.one_shot, [one.score for one in rows]),
    ]
    after = [one.dropped_after for one in rows]
    if any(after):
        texts = [f"{images:,} images" if images else "all images" for images in after]
        columns.append(CandidateColumn(DROPPED, "scored on", after, texts, best="high"))
    # Only the best ones are scored by the metric as well, at the end of the search.
    scored = {one.architecture: one.metric_score for one in result.top}
    known = [scored.get(one.architecture, one.metric_score) for one in rows]
    if any(score is not None for score in known):
        columns.append(_scores("metric", result.metric, known))
    for cost in map(find_cost, shown_costs(result)):
        values, name = [one.costs[cost.name] for one in rows], cost_field(result, cost.name)
        cells = [cost.format(value) for value in values]
        columns.append(CandidateColumn(name, cost.label, values, cells, cost.unit.factors))
    architectures = [str(one.architecture) for one in rows]
    columns += [
        CandidateColumn("iteration", "iteration", [one.iteration for one in rows]),
        CandidateColumn("origin", "origin", [one.origin for one in rows], text=True),
        CandidateColumn("architecture", "architecture", architectures, text=True),
    ]
    return CandidateTable(columns, *_networks(rows, result.space.choices, stages))


def _scores(name: str, measure: Measure, scores: Sequence[float | None]) -> CandidateColumn:
    heading, cells = f"one-shot {measure.name}", [measure.show(score) for score in scores]
    factors, sign = {"%": 0.01} if measure.share else {}, -1 if measure.negated else 1
    return CandidateColumn(name, heading, scores, cells, factors, sign, best="high")


def _networks(
    rows: Sequence[Candidate], choices: Sequence[ChoiceFacts], stages: CandidateStages | None
) -> tuple[list[list[int]], list[Block]]:
    places: dict[Block, int] = {}
    networks = []
    for one in rows:
        pairs = zip(choices, one.architecture, strict=False)
        # Where the stages are not known, each choice is one without costs.
        named = (StageCosts(ours.name, {ours.name: ours.options[o]}, {}) for ours, o in pairs)
        blocks = network_blocks(stages.of(one.architecture) if stages else [*named])
        networks.append([places.setdefault(block, len(places)) for block in blocks])
        if len(places) > BLOCKS:
            return [], []
    return networks, list(places)
