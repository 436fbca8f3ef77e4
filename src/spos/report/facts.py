"""Everything else that describes a run: data, settings, times, environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spos.report import words
from spos.report.result import DataFacts, Result

#: Classes, skipped files and notes that are listed; of more, the first.
LISTED = 40

Facts = list[tuple[str, str]]


def run_facts(result: Result) -> list[tuple[str, Facts]]:
    """Everything else that describes the run, in groups of a name and a value."""
    groups = [
        ("Data", _data_facts(result.data)),
        ("Search", _search_facts(result)),
        ("Environment", _environment(result)),
    ]
    return [(title, facts) for title, facts in groups if facts]


def wall_times(seconds: Mapping[str, float]) -> Facts:
    """The wall time of each stage of a run, and of all of them.

    Example:
        >>> wall_times({"train": 90, "search": 12})
        [('Supernet training', '1 min 30 s'), ('Search', '12.0 s'), ('Total', '1 min 42 s')]
    """
    facts = [(words.RUN_STAGES[stage], words.duration(spent)) for stage, spent in seconds.items()]
    total = [("Total", words.duration(sum(seconds.values())))]
    return facts + (total if len(facts) > 1 else [])


def _data_facts(data: DataFacts) -> Facts:
    facts = [("source", data.source)]
    parts = (("train", data.train), ("validation", data.validation), ("test", data.test))
    facts += [(f"{part} images", f"{count:,}") for part, count in parts if count is not None]
    colours = {1: "grey", 3: "colour"}.get(data.channels, f"{data.channels} channels")
    facts.append(("image size", f"{data.image_size} × {data.image_size} {colours}"))
    for label, names in (("classes", data.classes), ("skipped files", data.skipped)):
        if names:
            facts.append((label, f"{len(names):,}: {_listed(names, ', ')}"))
    return facts + ([("notes", _listed(data.notes, "; "))] if data.notes else [])


def _listed(names: Sequence[str], separator: str) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return separator.join(names[:LISTED]) + more


def _search_facts(result: Result) -> Facts:
    space, search = result.space, result.search
    facts = [
        ("space", f"{space.name} {space.preset}"),
        ("choices", f"{len(space.choices):,}"),
        ("architectures", words.size(space.size)),
        ("limit", words.limits(result.constraint) or "none"),
    ]
    if search:
        compared, known = words.evaluations(search)
        facts.append(("algorithm", search.algorithm))
        facts += [
            (name, f"{count:,}")
            for name, count in (
                ("population", search.population),
                ("iterations", search.iterations),
                ("parents", search.parents),
                ("candidates", compared if known else None),
                ("scored before", known or None),
                ("scored for this search", search.evaluated),
            )
            if count is not None
        ]
    return facts + ([("retraining steps", f"{result.retrain.steps:,}")] if result.retrain else [])


def _environment(result: Result) -> Facts:
    return [
        ("spos", result.spos),
        *result.versions.items(),
        ("device", result.device),
        *((f"seed of the {section}", str(seed)) for section, seed in result.seeds.items()),
    ]
