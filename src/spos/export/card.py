"""The model card: what a network is, where it comes from, and how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spos.cost.units import format_cost
from spos.report import words
from spos.report.measure import measure

Facts = Mapping[str, Any]

LISTED_CLASSES = 20
"""Classes that are listed; of more, the first."""
_COSTS = {"flops": "multiply-adds", "params": "parameters", "latency": "latency by the run's table"}


def model_card(facts: Facts, result: Facts, name: str) -> str:
    """A model card in Markdown.

    Args:
        facts (Mapping): facts of the export (:func:`spos.export.export_run`).
        result (Mapping): content of the run's ``result.json``; what is missing is left out.
        name (str): name of the file.
    """
    environment = Environment(
        loader=PackageLoader("spos", "export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        plain=_plain,
        cell=lambda text: text.replace("|", r"\|"),
        numbers=lambda values: ", ".join(f"{value:.4g}" for value in values),
        score=measure(result).show,
        versions=lambda made: ", ".join(f"{name} {number}" for name, number in made.items()),
    )
    retrained, space = facts["stage"] == "retrain", result.get("space") or {}
    found = result.get("winner") if retrained else _compared(facts, result)
    verdict = words.verdict(result)
    made = {"spos": result.get("spos"), **(result.get("versions") or {})}
    return environment.get_template("card.md.j2").render(
        facts,
        name=name,
        listed=LISTED_CLASSES,
        retrained=retrained,
        summary=_summary(facts, result),
        space={"preset": space.get("preset")},
        size=words.size(space["size"]) if space.get("size") else "",
        costs=[
            (_COSTS.get(cost, words.cost_words(cost)), f"{format_cost(cost, value)} ({value:,})")
            for cost, value in facts["costs"].items()
        ],
        limits=words.limits(result.get("constraint")),
        data=result.get("data"),
        sampling_error=words.sampling_error(result) if retrained else "",
        one_shot=(found or {}).get("one_shot_top1"),
        verdict=verdict.words if verdict else "",
        searched=bool(result.get("winner")),
        search=result.get("search"),
        seeds=result.get("seeds"),
        trained_with={name: number for name, number in made.items() if number},
        file_lines=file_lines(facts),
    )


def file_lines(facts: Facts) -> Sequence[str]:
    """Findings about the file, one line each.

    Args:
        facts (Mapping): facts of the export (:func:`spos.export.export_run`).
    """
    check, latency = facts["check"], facts["latency"]
    folded = "batch norms folded into convolutions" if facts["folded"] else "batch norms kept"
    opset = f", opset {facts['opset']}" if facts["opset"] else ""
    lines = [f"{facts['format']}{opset}, {facts['bytes']:,} bytes, {folded}"]
    compared = (
        f"compared with the trained network on {check['images']:,} of the {check['of']:,} test "
        "images of the run"
    )
    if check["agreeing"] is not None:
        share = f"{check['agreeing']:,} of {check['images']:,}"
        compared = f"{compared}: same class on {share}"
    lines.append(compared)
    if check["agreeing"] is not None:
        lines.append(f"top-1 of the file on these images: {check['correct'] / check['images']:.1%}")
        if check["ties"]:
            lines.append(
                f"on the other {check['ties']} two classes are tied, or a value lies on the "
                "boundary of two quantisation levels: rounding decides"
            )
    lines.append(
        f"largest difference of outputs {check['largest_difference']:.2g} (outputs up to "
        f"{check['largest_output']:.3g}; float32 rounding explains {check['tolerance']:.2g})"
    )
    if check["beyond_tolerance"]:
        lines.append(
            f"on {check['beyond_tolerance']} images a value on the boundary of two quantisation "
            "levels was rounded to the other level"
        )
    median, first, third = (
        format_cost("latency", time * 1000)
        for time in (latency["median_us"], *latency["quartiles_us"])
    )
    lines.append(
        f"latency {median} for one image on one thread (median of {latency['calls']} calls, "
        f"quartiles {first} and {third}; {latency['engine']}, {latency['machine']})"
    )
    if "latency" in facts["costs"]:
        predicted = format_cost("latency", facts["costs"]["latency"])
        lines.append(f"latency by the run's table: {predicted}")
    return lines


def _summary(facts: Facts, result: Facts) -> str:
    if facts["stage"] != "retrain":
        return f"A random network of the run to compare others with ({facts['stage']})."
    if result.get("winner") or result.get("network"):
        return words.headline(result)
    return "The retrained network of a run."


def _compared(facts: Facts, result: Facts) -> Facts:
    networks = (result.get("comparison") or {}).get("networks") or []
    wanted = facts["metadata"]["architecture"]
    return next((row for row in networks if row.get("architecture") == wanted), {})


def _plain(text: str) -> str:
    """A text of the user's in which Markdown finds nothing to interpret."""
    special = "\\`*_{}[]<>#|"
    return " ".join("".join(f"\\{c}" if c in special else c for c in text).split())
