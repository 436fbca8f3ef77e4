"""The model card: what a network is, where it is from, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos.cost.cost import find_cost, format_cost
from spos.export.snippet import snippet
from spos.report import words
from spos.report.measure import measure

Facts = Mapping[str, Any]
#: Classes that are listed; of more, the first.
LISTED = 20


def model_card(facts: Facts, result: Facts, name: str) -> str:
    """A model card in Markdown.

    Args:
        facts: of the export.
        result: what ``result.json`` of the run holds; what it lacks is left out.
        name: of the file.
    """
    parts = [
        f"# {name}",
        _summary(facts, result),
        _section("Network", _rows(_network(facts, result))),
        _section("Data", _lines(_data(facts, result))),
        _section("Accuracy", _lines(_accuracy(facts, result))),
        _section("How it was found", _lines(_origin(facts, result))),
        _section("The file", _lines(file_lines(facts))),
        _section("Input", _lines(_input(facts))),
        _section("Use", snippet(facts, name)),
        _section("Limits", _lines(_limits(facts))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def file_lines(facts: Facts) -> list[str]:
    """What was found out about the file, each one line.

    Args:
        facts: of the export.
    """
    check, latency = facts["check"], facts["latency"]
    folded = "batch norms kept"
    if facts["folded"]:
        folded = "batch norms folded into plain convolutions before them"
    opset = f", opset {facts['opset']}" if facts["opset"] else ""
    images = f"{check['images']:,} of the {check['of']:,} test images of the run"
    difference = (
        f"largest difference of outputs {check['largest_difference']:.2g} (outputs up to "
        f"{check['largest_output']:.3g}; rounding in float32 explains {check['tolerance']:.2g})"
    )
    lines = [f"{facts['format']}{opset}, {facts['bytes']:,} bytes, {folded}"]
    if check["agreeing"] is None:
        lines.append(f"compared with the trained network on {images}: {difference}")
    else:
        share = f"{check['agreeing']:,} of {check['images']:,}"
        lines.append(f"compared with the trained network on {images}: same class on {share}")
        lines.append(f"top-1 of the file on these images: {check['correct'] / check['images']:.1%}")
        if check["ties"]:
            lines.append(
                f"on the other {check['ties']} two classes are level, or a value lies on the "
                "boundary of two quantisation levels: rounding decides there"
            )
        lines.append(difference)
    if check["beyond_tolerance"]:
        lines.append(
            f"on {check['beyond_tolerance']} images a value on the boundary of two quantisation "
            "levels fell to the other side"
        )
    first, third = (format_cost("latency", time * 1000) for time in latency["quartiles_us"])
    median = format_cost("latency", latency["median_us"] * 1000)
    lines.append(
        f"latency {median} for one image on one thread (median of {latency['calls']} calls, "
        f"quartiles {first} and {third}; {latency['engine']}, {latency['machine']})"
    )
    if "latency" in facts["costs"]:
        predicted = format_cost("latency", facts["costs"]["latency"])
        lines.append(f"the latency table of the run says {predicted}")
    return lines


def _summary(facts: Facts, result: Facts) -> str:
    if facts["stage"] == "retrain" and (result.get("winner") or result.get("network")):
        return words.headline(result)
    return f"The network of the training {facts['stage']}, a random one to compare others with."


def _network(facts: Facts, result: Facts) -> list[tuple[str, str]]:
    metadata, space = facts["metadata"], result.get("space") or {}
    preset = f", preset {space['preset']}" if space.get("preset") else ""
    size = f", {words.size(space['size'])} networks" if space.get("size") else ""
    limit = words.limits(result.get("constraint"))
    rows = [
        ("architecture", f"`{metadata['architecture']}`"),
        ("space", f"{metadata['space']}{preset}{size}"),
    ]
    for name, value in facts["costs"].items():
        cost = find_cost(name)
        rows.append((cost.title, cost.exact(value)))
    if limit:
        rows.append(("limit of the search", limit))
    return rows


def _data(facts: Facts, result: Facts) -> list[str]:
    data, classes = result.get("data") or {}, facts["metadata"]["classes"]
    lines = []
    if data:
        lines.append(f"source: `{data['source']}`")
        lines.append(
            f"images: {data['train']:,} for training and {data['validation']:,} for the "
            "comparisons of the search, on both of which this network was trained; "
            f"{facts['test']['images']:,} test images, read once, after training"
        )
        lines += [*map(_plain, data["notes"])]
        if data["skipped"]:
            lines.append(f"{len(data['skipped'])} broken files were left out")
    if classes:
        more = f" and {len(classes) - LISTED} more" if len(classes) > LISTED else ""
        named = ", ".join(_plain(name) for name in classes[:LISTED])
        lines.append(f"{len(classes)} classes: {named}{more}")
    else:
        lines.append(f"{facts['metadata']['outputs']} values for an image, no classes")
    return lines


def _accuracy(facts: Facts, result: Facts) -> list[str]:
    by, test = measure(result), facts["test"]
    winner = (
        (result.get("winner") or {}) if facts["stage"] == "retrain" else _compared(facts, result)
    )
    lines = [f"test {test['metric']}: {by.show(test['score'])} on {test['images']:,} images"]
    if facts["stage"] == "retrain":
        error = words.sampling_error(result)
        lines += [error] if error else []
    if winner.get("one_shot_top1") is not None:
        lines.append(
            f"one-shot {test['metric']}, with the weights of the supernet on the validation "
            f"images: {by.show(winner['one_shot_top1'])}"
        )
    if facts["stage"] != "retrain":
        return lines
    judged = words.verdict(result)
    if judged is not None:
        lines.append(judged.words)
    elif result.get("winner"):
        lines.append(
            "not compared with random networks of the same cost: how much of the accuracy is the "
            "search's is unknown"
        )
    return lines


def _compared(facts: Facts, result: Facts) -> Facts:
    networks = (result.get("comparison") or {}).get("networks") or []
    wanted = facts["metadata"]["architecture"]
    found: Facts = next((row for row in networks if row.get("architecture") == wanted), {})
    return found


def _origin(facts: Facts, result: Facts) -> list[str]:
    search, seeds = result.get("search"), result.get("seeds") or {}
    lines = []
    if search and facts["stage"] == "retrain":
        lines.append(
            f"single-path one-shot search: {search['algorithm']}, {search['evaluated']:,} networks "
            "evaluated with the weights of one supernet; the best was trained from scratch"
        )
    elif facts["stage"] == "retrain":
        lines.append("given by name and trained from scratch: no search chose it")
    else:
        lines.append("drawn at random under the limit of the search, and trained from scratch")
    if seeds:
        lines.append(", ".join(f"seed of the {name}: {seed}" for name, seed in seeds.items()))
    trained = {"spos": result.get("spos"), **(result.get("versions") or {})}
    made = ", ".join(f"{name} {version}" for name, version in trained.items() if version)
    if made:
        lines.append(f"run: {made}")
    exported = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines.append(f"file: spos {facts['metadata']['spos']}, {exported}")
    return lines


def _input(facts: Facts) -> list[str]:
    metadata = facts["metadata"]
    side, channels = metadata["image_size"], metadata["channels"]
    colours = "red, green, blue" if channels == 3 else "grey"
    resized = metadata["resized_side"]
    cut = f"the shorter side to {resized} pixels, bicubic with antialiasing, then the middle"
    return [
        f"`images`: uint8 [N, {channels}, {side}, {side}], any N, {colours}, 0 to 255",
        "the network normalises them itself, by mean "
        f"{_numbers(metadata['mean'])} and deviation {_numbers(metadata['std'])} on the scale 0 "
        "to 1: do not normalise before",
        f"an image of another size: {cut} {side}x{side}; rotated as its EXIF says, transparency "
        "laid on white" + ("" if channels == 3 else ", colour turned grey by ITU-R 601"),
        f"`outputs`: float32 [N, {metadata['outputs']}]"
        + (", of which a softmax makes probabilities" if metadata["classes"] else ", the values"),
    ]


def _limits(facts: Facts) -> list[str]:
    metadata = facts["metadata"]
    lines = [
        "the accuracy holds for images like the test images; on others nothing was measured",
    ]
    if metadata["classes"]:
        lines += [
            "every image gets one of the classes, also one that shows none of them",
            "probabilities are not calibrated",
        ]
    if metadata["loss"] != "cross-entropy":
        lines.append(f"trained with a loss of its own: {_plain(metadata['loss'])}")
    return lines


def _numbers(values: list[float] | tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _plain(text: str) -> str:
    """A text of the user's, in which Markdown finds nothing to interpret."""
    special = "\\`*_{}[]<>#|"
    return " ".join("".join(f"\\{c}" if c in special else c for c in text).split())


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _lines(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _rows(rows: list[tuple[str, str]]) -> str:
    table = [f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows]
    return "\n".join(["| | |", "| --- | --- |", *table])
