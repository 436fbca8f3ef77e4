"""Everything else that describes a run: data, settings, times, environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos.report import words

#: Names of classes and skipped files that are listed in full.
LISTED = 40

Row = Mapping[str, Any]


def facts(result: Row) -> list[tuple[str, list[tuple[str, str]]]]:
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
