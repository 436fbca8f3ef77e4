"""The report of a run: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spos._util.files import write_atomically
from spos.report.at_work import collect_at_work
from spos.report.attachments import Attachments, CandidateStages
from spos.report.candidates import candidate_table
from spos.report.curves import (
    Metrics,
    choice_figures,
    entropy_figure,
    iterations_figure,
    training_figures,
    validation_note,
)
from spos.report.diagnosis import Diagnosis, seeds_figure
from spos.report.headline import headline
from spos.report.known import known_table, known_words
from spos.report.learned import collect_shares, effects_table
from spos.report.network import network_blocks, option_colours
from spos.report.resources import collect_resources
from spos.report.result import Result
from spos.report.scatter import budgets_figure, search_figure
from spos.report.table import budgets_table, comparison_table, finalists_table, front_table
from spos.report.template import fill_template
from spos.report.trust import comparison_figure, finalists_figure, trust_figure
from spos.report.verdict import NEARLY, drawn_at, trained_for, uncompared, verdict
from spos.search.candidate import Candidate

NOTHING = Attachments()


def render(
    result: Result,
    candidates: Sequence[Candidate],
    metrics: Metrics,
    stages: CandidateStages | None = None,
    diagnosis: Diagnosis | None = None,
    attachments: Attachments = NOTHING,
) -> str:
    """The page of a run, finished or not; the same input gives the same page.

    Args:
        result (Result): result of the run.
        candidates (Sequence[Candidate]): all candidates of the search.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.
        stages (CandidateStages | None): stages of the candidates, to draw them with their costs.
        diagnosis (Diagnosis | None): outcome of a check of the space in the same directory.
        attachments (Attachments): what else belongs to the run.

    Returns:
        HTML that needs no other file.
    """
    winner, choices = result.winner, result.space.choices
    front, method = (result.search.pareto, result.search.method) if result.search else ((), "")
    table = candidate_table(result, candidates, stages) if winner and candidates else None
    # One candidate is not a picture of a search that trained weights and choice together.
    plots = {
        cost: search_figure(result, winner, candidates, cost, table.headings())
        for cost in (result.primary_cost, *front)
        if winner and table and len(candidates) > bool(method)
    }
    # A search that trains the choice shows the probabilities of theta instead.
    sampled = result.search and not method
    return fill_template(
        "page.html.j2",
        result=result,
        headline=headline(result),
        candidates=candidates,
        table=table,
        plots=plots,
        iterations=iterations_figure(result.one_shot, candidates),
        entropy=entropy_figure(choices, metrics),
        choices=[*choice_figures(choices, metrics)],
        colours=option_colours(choices),
        shares=collect_shares(result, candidates) if sampled else None,
        effects=effects_table(result, candidates) if sampled else None,
        blocks=network_blocks(winner.stages) if winner else [],
        budgets=budgets_table(result),
        budgets_figure=budgets_figure(result),
        front=front_table(result),
        finalists=finalists_table(result),
        verdict=verdict(result),
        uncompared=uncompared(result),
        known_table=known_table(result),
        known_words=known_words(result),
        comparison=comparison_table(result),
        trained_for=trained_for(result),
        drawn_at=drawn_at(result),
        nearly=NEARLY,
        comparison_figure=comparison_figure(result),
        trust=[one for one in (trust_figure(result), finalists_figure(result)) if one],
        seeds=seeds_figure(diagnosis) if diagnosis else None,
        diagnosis=diagnosis,
        at_work=collect_at_work(attachments.predictions),
        attachments=attachments,
        # Before formats had versions, a training of weights and choice was recorded as a search.
        trainings={
            at: [*training_figures(metrics, at, result.metric)]
            for at in ("train", "search", "retrain")
        },
        validated=validation_note(metrics),
        resources=collect_resources(result, metrics),
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
    """Write the page of a run atomically; the other arguments are those of :func:`render`.

    Args:
        path (Path): file to write; its folder must exist.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    page = render(result, candidates, metrics, stages, diagnosis, attachments)
    write_atomically(path, page)
