"""The model card: what a network is, where it comes from, and how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spos.cost.cost import find_cost, format_cost
from spos.report import words
from spos.report.measure import Measure
from spos.report.result import ComparedNetwork, Result

Facts = Mapping[str, Any]

LISTED_CLASSES = 20
"""Classes that are listed; of more, the first."""


def model_card(facts: Facts, result: Result | None, name: str) -> str:
    """A model card in Markdown."""
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
        score=(result.metric if result else Measure()).show,
        versions=lambda made: ", ".join(f"{name} {number}" for name, number in made.items()),
    )
    retrained = facts["stage"] == "retrain"
    verdict = words.verdict(result) if result else None
    made = {"spos": result.spos, **result.versions} if result else {}
    return environment.get_template("card.md.j2").render(
        facts,
        name=name,
        listed=LISTED_CLASSES,
        retrained=retrained,
        summary=_summary(facts, result),
        space={"preset": result.space.preset if result else ""},
        size=words.size(result.space.size) if result else "",
        costs=[
            (find_cost(cost).title, find_cost(cost).exact(value))
            for cost, value in facts["costs"].items()
        ],
        limits=words.limits(result.constraint) if result else "",
        data=result and result.data,
        sampling_error=words.sampling_error(result) if retrained and result else "",
        one_shot=_one_shot(facts, result),
        verdict=verdict.words if verdict else "",
        beginning=words.beginning(result),
        searched=bool(result and result.winner),
        search=result and result.search,
        seeds=result and result.seeds,
        trained_with=made,
        file_lines=file_lines(facts),
    )


def file_lines(facts: Facts) -> Sequence[str]:
    """Findings about the file, one line each."""
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


def _summary(facts: Facts, result: Result | None) -> str:
    if facts["stage"] != "retrain":
        return f"A random network of the run to compare others with ({facts['stage']})."
    if result and (result.winner or result.network):
        return words.headline(result)
    return "The retrained network of a run."


def _one_shot(facts: Facts, result: Result | None) -> tuple[str, str] | None:
    """What the one-shot score of the network is called, and the score, where it has one."""
    if result is None:
        return None
    if facts["stage"] == "retrain":
        return result.show_one_shot(result.winner) if result.winner else None
    networks: tuple[ComparedNetwork, ...] = result.comparison.networks if result.comparison else ()
    wanted = facts["metadata"]["architecture"]
    scores = (one.score for one in networks if one.architecture == wanted)
    measure = result.one_shot
    return next(((measure.noun, measure.show(score)) for score in scores), None)


def _plain(text: str) -> str:
    """A text of the user's in which Markdown finds nothing to interpret."""
    special = "\\`*_{}[]<>#|"
    return " ".join("".join(f"\\{c}" if c in special else c for c in text).split())
