"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spos.files import write_atomically
from spos.report import words
from spos.report.chart import LEVELS
from spos.report.curves import progress_figure, training_figures
from spos.report.dots import comparison_figure
from spos.report.measure import measure
from spos.report.network import COLOURS, Drawing, draw
from spos.report.scatter import search_figure, shown

#: Every wide chart is drawn twice: text that is legible in one is not in the other.
WIDE, NARROW = 860, 380
#: Names of classes and skipped files that are listed in full.
LISTED = 40

Row = Mapping[str, Any]


def render(result: Row, candidates: Sequence[Row], metrics: Sequence[Row]) -> str:
    """The page of a run, finished or not; the same input gives the same page.

    Args:
        result: what ``result.json`` holds.
        candidates: of the search, each with architecture, accuracy and costs.
        metrics: the lines of ``metrics.jsonl``.

    Example:
        >>> "no network yet" in render({"spos": "0.1.0"}, [], [])
        True
    """
    environment = Environment(
        loader=PackageLoader("spos", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=measure(result).show, quantity=words.quantity)
    environment.globals.update(cost=words.cost)
    page = environment.get_template("page.html.j2").render(
        **_context(result, candidates, metrics),
        levels=[_ramp(number / (LEVELS - 1)) for number in range(LEVELS)],
        hues=[250, 150, 75, 330, 200, 20, 110, 290][:COLOURS],
    )
    # File names that are no valid text become class names; the page must be writable all the same.
    return page.encode("utf-8", "replace").decode("utf-8")


def write_report(
    path: Path, result: Row, candidates: Sequence[Row], metrics: Sequence[Row]
) -> None:
    """Write the page of a run, whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        result: what ``result.json`` holds.
        candidates: of the search.
        metrics: the lines of ``metrics.jsonl``.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    write_atomically(path, render(result, candidates, metrics))


def _context(result: Row, candidates: Sequence[Row], metrics: Sequence[Row]) -> dict[str, Any]:
    judged = words.verdict(result)
    winner = result.get("winner")
    return {
        "headline": words.headline(result),
        "version": result.get("spos", ""),
        "origin": [
            part
            for part in (
                (result.get("space") or {}).get("name"),
                (result.get("space") or {}).get("preset"),
                (result.get("data") or {}).get("source"),
            )
            if part
        ],
        "lead": " ".join(filter(None, (_lead(result, candidates), judged.short if judged else ""))),
        "figures": _key_figures(result),
        "search": _both(search_figure, result, candidates) if winner else [],
        "search_note": _search_note(result, candidates),
        "measure": measure(result),
        "progress": _both(progress_figure, result, candidates),
        "winner": winner,
        "drawing": _drawing(result) if winner else None,
        "top": result.get("top") or [],
        "others": [(cost, words.cost_label(cost)) for cost in words.other_costs(result)],
        "comparison": result.get("comparison"),
        "networks": _networks(result),
        "verdict": judged,
        "sampling_error": words.sampling_error(result),
        "comparison_figure": _both(comparison_figure, result["comparison"], judged)
        if judged
        else [],
        "curves": [
            (title, note, drawn)
            for title, note, stage in (
                (
                    "Supernet",
                    "Every step trains random paths: these are the curves of many networks.",
                    "train",
                ),
                ("Retraining of the network found, from scratch", "", "retrain"),
            )
            if (drawn := training_figures(metrics, stage))
        ],
        "facts": _facts(result),
    }


def _both(figure: Any, *arguments: Any) -> list[Markup]:
    drawn = [figure(*arguments, width) for width in (WIDE, NARROW)]
    return [svg for svg in drawn if svg is not None]


def _lead(result: Row, candidates: Sequence[Row]) -> str:
    space, search = result.get("space") or {}, result.get("search")
    if not search:
        return ""
    count = len(candidates) or search.get("evaluated") or 0
    population = f" of {words.size(str(space['size']))}" if space.get("size") else ""
    how = {"evolution": "An evolutionary search", "random": "A random search"}
    text = (
        f"{how.get(search.get('algorithm', ''), 'A search')} scored {count:,}{population} networks "
        "with the weights of one supernet, which was trained once."
    )
    if search.get("exhausted"):
        text += " No other network satisfies the limits: the search ended early."
    return text


def _key_figures(result: Row) -> list[tuple[str, str]]:
    winner, retrained = result.get("winner") or {}, result.get("retrain") or {}
    seconds = result.get("seconds") or {}
    by = measure(result)
    known = [
        (f"test {by.noun}", by.show(retrained.get("test_top1"))),
        (f"one-shot {by.noun}", by.show(winner.get("one_shot_top1"))),
        ("FLOPs", words.quantity(winner.get("flops"))),
        ("parameters", words.quantity(winner.get("params"))),
        *(
            (words.cost_label(cost), words.cost(cost, winner.get(cost)))
            for cost in words.other_costs(result)
        ),
    ]
    known = [(label, value) for label, value in known if value != "–"]
    return known + ([("wall time", words.duration(sum(seconds.values())))] if seconds else [])


def _search_note(result: Row, candidates: Sequence[Row]) -> str:
    count = len(shown(candidates, words.searched_cost(result)))
    note = f"{count:,} of {len(candidates):,} candidates shown. " if count < len(candidates) else ""
    within = words.limits(result.get("constraint"))
    return note + (
        f"The search allowed {within}." if within else "The search had no limit on cost."
    )


def _drawing(result: Row) -> Drawing:
    winner = result["winner"]
    choices = (result.get("space") or {}).get("choices") or []
    options = [option for choice in choices for option in choice["options"]]
    options += (winner.get("names") or {}).values()
    return draw(winner, list(dict.fromkeys(options)))


def _networks(result: Row) -> list[dict[str, Any]]:
    """The rows of the comparison, the best first."""
    comparison, winner = result.get("comparison"), result.get("winner") or {}
    if not comparison:
        return []
    rows = [{**network, "found": False} for network in comparison.get("networks") or []]
    rows.append(
        {
            **winner,
            "name": "found",
            "found": True,
            "test_top1": comparison.get("found_test_top1"),
        }
    )
    # Scores may be negative: a network without one is the last all the same.
    return sorted(
        rows, key=lambda row: math.inf if row.get("test_top1") is None else -row["test_top1"]
    )


def _facts(result: Row) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything else that describes the run, in groups of a name and a value."""
    groups = [
        ("Data", _data_facts(result.get("data") or {})),
        ("Search", _search_facts(result)),
        ("Wall time", _times(result.get("seconds") or {})),
        ("Environment", _environment(result)),
    ]
    return [(title, facts) for title, facts in groups if facts]


def _data_facts(data: Row) -> list[tuple[str, str]]:
    facts = [("source", str(data["source"]))] if data.get("source") else []
    facts += [
        (f"{part} images", f"{data[part]:,}")
        for part in ("train", "validation", "test")
        if data.get(part) is not None
    ]
    if data.get("image_size"):
        colours = {1: "grey", 3: "colour"}.get(data.get("channels", 0), "")
        facts.append(("image size", f"{data['image_size']} × {data['image_size']} {colours}"))
    for name, label in (("classes", "classes"), ("skipped", "skipped files"), ("notes", "notes")):
        if held := data.get(name) or []:
            more = f" and {len(held) - LISTED:,} more" if len(held) > LISTED else ""
            listed = ("; " if name == "notes" else ", ").join(map(str, held[:LISTED])) + more
            facts.append((label, listed if name == "notes" else f"{len(held):,}: {listed}"))
    return facts


def _search_facts(result: Row) -> list[tuple[str, str]]:
    space, search = result.get("space") or {}, result.get("search") or {}
    facts = []
    if space:
        choices = space.get("choices") or []
        facts.append(("space", " ".join(str(space.get(k) or "") for k in ("name", "preset"))))
        facts.append(("choices", f"{len(choices):,}"))
        facts.append(("networks", words.size(str(space.get("size", "")))))
    if result.get("constraint"):
        facts.append(("limit", words.limits(result["constraint"]) or "none"))
    facts += [
        (name, f"{search[name]:,}" if isinstance(search[name], int) else str(search[name]))
        for name in ("algorithm", "population", "iterations", "parents", "evaluated")
        if search.get(name) is not None
    ]
    steps = (result.get("retrain") or {}).get("steps")
    return facts + ([("retraining steps", f"{steps:,}")] if steps is not None else [])


def _times(seconds: Row) -> list[tuple[str, str]]:
    facts = [(words.STAGES.get(k, k), words.duration(v)) for k, v in seconds.items()]
    total = [("Total", words.duration(sum(seconds.values())))]
    return facts + (total if len(facts) > 1 else [])


def _environment(result: Row) -> list[tuple[str, str]]:
    facts = [("spos", str(result["spos"]))] if result.get("spos") else []
    facts += [(str(k), str(v)) for k, v in (result.get("versions") or {}).items()]
    facts += [("device", str(result["device"]))] if result.get("device") else []
    seeds = (result.get("seeds") or {}).items()
    return facts + [(k if k == "seed" else f"seed of the {k}", str(v)) for k, v in seeds]


def _ramp(share: float) -> tuple[str, str]:
    """A colour of the scale, on light and on dark paper: lightness falls, or rises, evenly."""
    light = (0.84 - 0.50 * share, 95 + 190 * share)
    dark = (0.44 + 0.48 * share, 285 - 185 * share)
    first, second = (f"oklch({lightness:.3f} 0.105 {hue:.0f})" for lightness, hue in (light, dark))
    return first, second
