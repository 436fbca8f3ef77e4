"""The report of a run: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spos._util.files import write_atomically
from spos.cost.cost import find_cost
from spos.report import words
from spos.report.architectures import (
    budgets_table,
    comparison_table,
    finalists_table,
    front_table,
)
from spos.report.attachments import Attachments
from spos.report.budgets import budgets_figure
from spos.report.candidates import candidate_table, plotted
from spos.report.chart import Chart
from spos.report.comparison import comparison_figure
from spos.report.curves import iterations_figure, training_figures
from spos.report.diagnosis import Diagnosis
from spos.report.doctor import seeds_figure
from spos.report.facts import run_facts
from spos.report.network import draw_network, option_colours
from spos.report.result import Result, Winner
from spos.report.scatter import search_figure
from spos.report.sections import make_sections
from spos.report.stages import CandidateStages
from spos.report.template import fill_template
from spos.report.theta import choice_figures, entropy_figure
from spos.report.trust import finalists_figure, trust_figure
from spos.search.candidate import Candidate

Metrics = Sequence[Mapping[str, Any]]
NOTHING = Attachments()


def render(
    result: Result,
    candidates: Sequence[Candidate],
    metrics: Metrics,
    stages: CandidateStages | None = None,
    diagnosis: Diagnosis | None = None,
    attachments: Attachments = NOTHING,
) -> str:
    """The page of a run, finished or not; the same input gives the same page."""
    winner, compared, judged = result.winner, result.comparison, words.verdict(result)
    choices, front = result.space.choices, result.search.pareto if result.search else ()
    table = candidate_table(result, candidates, stages) if winner and candidates else None
    return fill_template(
        "page.html.j2",
        result=result,
        headline=words.headline(result),
        origin=(result.space.name, result.space.preset, result.data.source),
        lead=" ".join(filter(None, (_lead(result, candidates), judged.short if judged else ""))),
        figures=_key_figures(result),
        table=table,
        last=max((one.iteration for one in candidates), default=0),
        search=_search(result, winner, candidates, table.headings()) if winner and table else [],
        search_note=_search_note(result, candidates),
        flops_note=words.FLOPS_NOTE,
        iterations=iterations_figure(result.one_shot, candidates),
        entropy=entropy_figure(choices, metrics),
        choices=choice_figures(choices, metrics),
        colours=option_colours(choices),
        drawing=draw_network(winner.stages, choices) if winner else None,
        budgets=budgets_table(result) if result.budgets else None,
        budgets_figure=budgets_figure(result),
        front=front_table(result) if result.front else None,
        front_costs=" and ".join(find_cost(cost).label for cost in front),
        finalists=finalists_table(result) if result.finalists else None,
        verdict=judged,
        beginning=words.beginning(result),
        sampling_error=words.sampling_error(result),
        comparison=comparison_table(result, winner, compared) if winner and compared else None,
        comparison_figure=comparison_figure(compared, result.metric, judged.words)
        if compared and judged
        else None,
        trust=[one for one in (trust_figure(result), finalists_figure(result)) if one],
        seeds=seeds_figure(diagnosis) if diagnosis else None,
        diagnosis=diagnosis,
        trainings=_trainings(result, metrics),
        facts=run_facts(result),
        cost_label=find_cost(result.primary_cost).label,
        **make_sections(result, candidates, metrics, attachments),
    )


def write_report(
    path: Path,
    result: Result,
    candidates: Sequence[Candidate],
    metrics: Metrics,
    stages: CandidateStages | None = None,
    diagnosis: Diagnosis | None = None,
    attachments: Attachments = NOTHING,
) -> None:
    """Write the page of a run atomically.

    Args:
        path (Path): file to write; its folder must exist.
        result (Result): result of the run.
        candidates (Sequence[Candidate]): all candidates of the search.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.
        stages (CandidateStages | None): stages of the candidates, to draw them with their costs.
        diagnosis (Diagnosis | None): outcome of a check of the space in the same directory.
        attachments (Attachments): what else belongs to the run.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    page = render(result, candidates, metrics, stages, diagnosis, attachments)
    write_atomically(path, page)


def _learned(result: Result) -> bool:
    """Whether weights and choice were trained together."""
    return bool(result.search and result.search.method)


def _lead(result: Result, candidates: Sequence[Candidate]) -> str:
    search = result.search
    if search is None:
        return ""
    size = words.size(result.space.size)
    if search.method:
        count = len(candidates) or search.evaluated
        return (
            f"{search.label} trained the weights and the choice among {size} architectures "
            f"together; {count:,} {'was' if count == 1 else 'were'} scored at the end."
        )
    (count, known), budgets = words.evaluations(search), len(result.budgets)
    method = f" by {result.train.label}" if result.train and result.train.label else ""
    purpose = f"for {budgets} budgets " if budgets > 1 else ""
    text = (
        f"{search.label} {'compared' if known else 'scored'} {count:,} of {size} architectures "
        f"{purpose}with the weights of one supernet, which was trained once{method}."
    )
    if known:
        text += f" Of them, {known:,} had been scored before, and {search.evaluated:,} were new."
    if search.exhausted:
        text += " No other architecture is within the limits: the search ended early."
    return text


def _key_figures(result: Result) -> list[tuple[str, str]]:
    metric, winner = result.metric, result.winner
    figures = []
    if result.test_score is not None:
        figures.append((f"test {metric.noun}", metric.show(result.test_score)))
    if winner:
        noun, score = result.show_one_shot(winner)
        figures.append((f"one-shot {noun}", score))
        figures += [
            (cost.label, cost.format(winner.costs[cost.name]))
            for cost in map(find_cost, words.shown_costs(result))
        ]
    if result.seconds:
        figures.append(("wall time", words.duration(sum(result.seconds.values()))))
    return figures


def _search(
    result: Result, winner: Winner, candidates: Sequence[Candidate], headings: Mapping[str, str]
) -> list[tuple[str, Chart]]:
    """The candidates over each cost that the search is about, with the name of the cost."""
    # One candidate is not a picture of a search that trained weights and choice together.
    if len(candidates) <= _learned(result):
        return []
    front = result.search.pareto if result.search else ()
    return [
        (find_cost(cost).label, search_figure(result, winner, candidates, cost, headings))
        for cost in dict.fromkeys((result.primary_cost, *front))
    ]


def _search_note(result: Result, candidates: Sequence[Candidate]) -> str:
    count, within = len(plotted(candidates, result.top)), words.limits(result.constraint)
    note = f"{count:,} of {len(candidates):,} candidates are shown. "
    allowed = f"The search allowed {within}." if within else "The search had no limit on cost."
    return (note if count < len(candidates) else "") + allowed


def _trainings(result: Result, metrics: Metrics) -> list[tuple[str, str, list[Chart]]]:
    """Title, note and charts of each training."""
    note = "Every step trains random paths: these are the curves of many architectures."
    if _learned(result):
        note = "The weights of all architectures, mixed or sampled as the algorithm does."
    trainings = (
        ("Supernet", note, "train"),
        # Before formats had versions, a training of weights and choice was recorded as this.
        ("Supernet", note, "search"),
        (f"Retraining of the network found, {words.beginning(result)}", "", "retrain"),
    )
    return [
        (title, said, drawn)
        for title, said, stage in trainings
        if (drawn := training_figures(metrics, stage))
    ]
