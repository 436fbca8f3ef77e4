"""The model card: what a network is, where it comes from, and how to use it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spos.cost.cost import format_cost
from spos.report.headline import headline
from spos.report.measure import Measure, percent
from spos.report.result import Result
from spos.report.template import environment
from spos.report.verdict import verdict

Facts = Mapping[str, Any]

#: The folders of an absolute path in a data source, up to its last part.
_FOLDERS = re.compile(r"(?:^|(?<=[:=]))~?/(?:[^/?&]*/)*(?=[^/?&])")

LISTED_CLASSES = 20
"""Classes that are listed; of more, the first."""


def model_card(facts: Facts, result: Result | None, name: str) -> str:
    """A model card in Markdown."""
    result = result and _to_publish(result)
    template = environment("export").get_template("card.md.j2")
    return template.render(
        facts,
        name=name,
        result=result,
        headline=headline(result) if result else "",
        listed=LISTED_CLASSES,
        verdict=verdict(result) if result else None,
        measure=result.metric if result else Measure(),
        one_shot=_one_shot(facts, result),
        file_lines=file_lines(facts),
        plain=_plain,
    )


def file_lines(facts: Facts) -> Sequence[str]:
    """Findings about the file, one line each."""
    check, latency = facts["check"], facts["latency"]
    folded = "batch norms folded into convolutions" if facts["folded"] else "batch norms kept"
    opset = f", opset {facts['opset']}" if facts["opset"] else ""
    lines = [
        f"{facts['format']}{opset}, {facts['bytes']:,} bytes, {folded}",
        f"compared with the trained network on {check['images']:,} of the {check['of']:,} test "
        "images of the run",
    ]
    if "model_bits" in facts["costs"]:
        lines.insert(
            1,
            "weights and activations of few bits are computed and kept as float32: the file is no "
            "smaller and no faster than that of a network in full precision",
        )
    if check["agreeing"] is not None:
        lines[-1] += f": same class on {check['agreeing']:,} of {check['images']:,}"
        right = percent(check["correct"] / check["images"])
        lines.append(f"top-1 of the file on these images: {right}")
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
    times = (latency["median_us"], *latency["quartiles_us"])
    median, first, third = (format_cost("latency", time * 1000) for time in times)
    lines.append(
        f"latency {median} for one image on one thread (median of {latency['calls']} calls, "
        f"quartiles {first} and {third}; {latency['engine']}, {latency['machine']})"
    )
    if "latency" in facts["costs"]:
        predicted = format_cost("latency", facts["costs"]["latency"])
        lines.append(f"latency by the run's table: {predicted}")
    return lines


def _one_shot(facts: Facts, result: Result | None) -> tuple[str, str] | None:
    """What the one-shot score of the network is called, and the score, where it has one."""
    if result is None:
        return None
    if facts["stage"] == "retrain":
        return result.show_one_shot(result.winner) if result.winner else None
    networks = result.comparison.networks if result.comparison else ()
    scores = {one.architecture: one.score for one in networks}
    score = scores.get(facts["metadata"]["architecture"])
    return None if score is None else (result.one_shot.noun, result.one_shot.show(score))


def _to_publish(result: Result) -> Result:
    """The result without the folders of absolute paths to its data.

    Cards are published, and such folders may name the user or a client.
    """
    source = result.data.source
    folders = sorted(set(_FOLDERS.findall(source)) - {"/", "~/"}, key=len, reverse=True)

    def shorten(note: str) -> str:
        for folder in folders:
            note = note.replace(folder, "")
        return note

    notes = tuple(map(shorten, result.data.notes))
    return replace(result, data=replace(result.data, source=_FOLDERS.sub("", source), notes=notes))


def _plain(text: str) -> str:
    """A text of the user's in which Markdown finds nothing to interpret."""
    special = "\\`*_{}[]<>#|"
    return " ".join("".join(f"\\{c}" if c in special else c for c in text).split())
