"""The sections of tables and heat maps, each with a template of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spos.report.at_work import collect_at_work
from spos.report.attachments import Attachments
from spos.report.effects import effects_table
from spos.report.learned import collect_shares
from spos.report.resources import collect_resources
from spos.report.result import Result
from spos.report.usage import collect_usage
from spos.search.candidate import Candidate


def make_sections(
    result: Result,
    candidates: Sequence[Candidate],
    metrics: Sequence[Mapping[str, Any]],
    attachments: Attachments,
) -> dict[str, Any]:
    """The values of the templates of the sections, each None where there is nothing to show."""
    # A search that trains the choice shows the probabilities of theta instead.
    sampled = result.search is not None and not result.search.method
    return {
        "shares": collect_shares(result, candidates) if sampled else None,
        "effects": effects_table(result, candidates) if sampled else None,
        "at_work": collect_at_work(result, attachments.predictions),
        "usage": collect_usage(result, attachments.run, attachments.settings),
        "resources": collect_resources(result, metrics, reused=attachments.reused),
    }
