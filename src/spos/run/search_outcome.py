"""The outcome of a search, made from what the search returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna

from spos.cost import Constraint, CostModel
from spos.report.attachments import CandidateStages
from spos.report.result import StageCosts, Winner
from spos.run.config import Config
from spos.run.outcome import BudgetOutcome, SearchOutcome
from spos.search import Candidate, SearchResult, SearchSettings
from spos.search.start import count_evaluations


def make_search_outcome(
    found: Sequence[tuple[Constraint, SearchResult]],
    table: CostModel,
    study: optuna.Study,
    settings: SearchSettings,
    **more: Any,
) -> SearchOutcome:
    """Make the outcome of a search, or of one search for each of several budgets.

    Args:
        found (Sequence): the constraint of each search and its result.
        table (CostModel): costs of the architectures.
        study (optuna.Study): the evaluations.
        settings (SearchSettings): settings of the search.
        **more: further fields of the outcome.
    """
    result = found[-1][1]
    several = len(found) > 1
    paid = [count_evaluations(study, settings, constraint, table) for constraint, _ in found]
    return SearchOutcome(
        winner=make_winner(result.top[0], table),
        top=result.top,
        candidates=result.candidates,
        evaluated=sum(paid) if several else result.evaluated,
        exhausted=result.exhausted,
        front=result.front,
        budgets=tuple(
            BudgetOutcome(
                maximum=dict(constraint.maximum),
                winner=make_winner(each.top[0], table),
                top=each.top,
                evaluated=new,
                candidates=len(each.candidates),
                exhausted=each.exhausted,
            )
            for (constraint, each), new in zip(found, paid, strict=True)
            if several
        ),
        stages=_collect_stages(result.candidates, table),
        **more,
    )


def decisive_settings(config: Config) -> dict[str, dict[str, Any]]:
    """Settings that tell a search from another one of the same supernet.

    Iterations are not among them: a search may go on with more.
    """
    plain = config.as_plain()
    search = {name: value for name, value in plain["search"].items() if name != "iterations"}
    bounds = {name: plain["constraint"][name] for name in ("maximum", "minimum", "budgets")}
    return {"search": search, "constraint": bounds}


def make_winner(best: Candidate, table: CostModel) -> Winner:
    """Make the record of the winner.

    Args:
        best (Candidate): the winner.
        table (CostModel): costs of the architectures.
    """
    names = table.space.names(best.architecture)
    return Winner(**vars(best), names=names, stages=_stages(best, table))


def _stages(one: Candidate, table: CostModel) -> tuple[StageCosts, ...]:
    return tuple(
        StageCosts(stage["name"], stage["choices"], {name: stage[name] for name in table.names})
        for stage in table.stages(one.architecture)
    )


def _collect_stages(candidates: Sequence[Candidate], table: CostModel) -> CandidateStages:
    """The stages of candidates, which share most of them."""
    seen: dict[str, tuple[int, StageCosts]] = {}
    places = {}
    for one in candidates:
        pairs = [seen.setdefault(repr(stage), (len(seen), stage)) for stage in _stages(one, table)]
        places[str(one.architecture)] = ",".join(str(number) for number, _ in pairs)
    return CandidateStages(tuple(stage for _, stage in seen.values()), places)
