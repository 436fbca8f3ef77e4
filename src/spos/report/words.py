"""Numbers and results in plain words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from spos.cost.cost import find_cost, format_cost
from spos.report.facts import RUN_STAGES, ConstraintFacts, SearchFacts
from spos.report.result import Result

#: What a table says below its columns.
FLOPS_NOTE = "FLOPs are multiply-adds"


def counted(number: int, what: str = "") -> str:
    """A number, and what it counts.

    Example:
        >>> counted(1, "step"), counted(2000, "step"), counted(2, "process"), counted(2000)
        ('1 step', '2,000 steps', '2 processes', '2,000')
    """
    plural = "es" if what.endswith("s") else "s"
    return f"{number:,} {what}{'' if number == 1 else plural}" if what else f"{number:,}"


def memory(size: int) -> str:
    """A number of bytes; a dash for none.

    Example:
        >>> memory(0), memory(52_428_800), memory(1_288_490_189)
        ('–', '50 MiB', '1.2 GiB')
    """
    if not size:
        return "–"
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> duration(33.14), duration(754), duration(7500), duration(200000)
        ('33.1 s', '12 min 34 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for larger, smaller, names in ((86400, 3600, "d h"), (3600, 60, "h min"), (60, 1, "min s")):
        if whole >= larger:
            first, second = names.split()
            return f"{whole // larger} {first} {whole % larger // smaller} {second}"
    return f"{whole} s"


def stage_name(stage: str, reused: Collection[str] = ()) -> str:
    """What a stage is called, and whether another run did it."""
    return f"{RUN_STAGES[stage]}{' (reused)' if stage in reused else ''}"


def stage_times(
    seconds: Mapping[str, float], reused: Collection[str] = ()
) -> list[tuple[str, str]]:
    """The time of each stage of a run, and of all that are not reused.

    Example:
        >>> stage_times({"train": 90, "search": 12})
        [('Supernet training', '1 min 30 s'), ('Search', '12.0 s'), ('Total', '1 min 42 s')]
    """
    times = [(stage_name(stage, reused), duration(spent)) for stage, spent in seconds.items()]
    total = sum(spent for stage, spent in seconds.items() if stage not in reused)
    return times + [("Total", duration(total))] * (len(times) > 1)


def size(text: str) -> str:
    """The size of a search space, however large.

    Example:
        >>> size("16777216"), size("1099511627776")
        ('16,777,216', '1.10 × 10¹²')
    """
    if len(text) <= 10:
        return f"{int(text):,}"
    power = str(len(text) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{int(text[:4]) / 1000:.2f} × 10{power}"


def shown_costs(result: Result) -> list[str]:
    """The costs that have a column in every table, multiply-adds and parameters first."""
    network = result.winner or result.network
    known = network.costs if network else {}
    bounds, front = result.constraint, result.search.pareto if result.search else ()
    wanted = ["flops", "params", result.primary_cost, *front, *bounds.maximum, *bounds.minimum]
    if not result.winner:
        wanted += known
    return [name for name in dict.fromkeys(wanted) if name in known]


def limits(constraint: ConstraintFacts) -> str:
    """The bounds of the search; empty where there are none.

    Example:
        >>> limits(ConstraintFacts(maximum={"flops": 400000}))
        'at most 400.0K multiply-adds'
        >>> limits(ConstraintFacts(maximum={"latency": 8e6, "params": 3e4, "flops": 1e6}))
        'at most 8ms of latency, 30.00K parameters and 1.000M multiply-adds'
    """
    parts = []
    for words, bounds in (("at most", constraint.maximum), ("at least", constraint.minimum)):
        costs = [f"{format_cost(cost, n)} {find_cost(cost).noun}" for cost, n in bounds.items()]
        if costs:
            listed = " and ".join(filter(None, (", ".join(costs[:-1]), costs[-1])))
            parts.append(f"{words} {listed}")
    return ", and ".join(parts)


def explained_limits(constraint: ConstraintFacts) -> str:
    """The bounds of the search, with why a plan chose one; empty where there are none.

    Example:
        >>> reason = "at most 400.0K multiply-adds (below your 60.00M): what the time allows"
        >>> explained_limits(ConstraintFacts(maximum={"flops": 4e5}, reason=reason)) == reason
        True
    """
    bounds, reason = limits(constraint), constraint.reason
    # A reason names the bound that it is for.
    return bounds if not reason else reason if reason.startswith(bounds) else f"{bounds}; {reason}"


def evaluations(search: SearchFacts) -> tuple[int, int]:
    """How many candidates a search compared, and how many of them were scored before it.

    Example:
        >>> facts = SearchFacts("evolution", "Evolution", 12, exhausted=False, candidates=24)
        >>> evaluations(facts)
        (24, 12)
    """
    compared = search.evaluated if search.candidates is None else search.candidates
    return compared, compared - search.evaluated


def beginning(result: Result | None) -> str:
    """Say from which weights the trainings of networks began."""
    weights = result.retrain.weights if result and result.retrain else "scratch"
    known = {"supernet": "from the weights of the supernet", "file": "from weights of a file"}
    return known.get(weights, "from scratch")


def sampling_error(result: Result) -> str:
    """What the number of test images does to the accuracy; empty where that is unknown."""
    images, share = result.data.test, result.test_score
    error = result.metric.standard_error(share, images)
    if not images or share is None or error is None:
        return ""
    return (
        f"Measured on {images:,} test images, {result.metric.show(share)} has a standard error of "
        f"about {result.metric.difference(error)}."
    )


def score_terms(result: Result) -> list[str]:
    """Explain what the scores of candidates are called."""
    if not result.winner:
        return []
    told = ["One-shot scores use the weights of the supernet, before the network's own training."]
    if "z-score" in result.one_shot.name:
        what = "the output for the class of an image, in standard deviations above the mean"
        told.append(f"The z-score is {what} of the outputs for it.")
    if "NASWOT" in result.one_shot.name:
        told.append("NASWOT adds to them how well the untrained network tells images apart.")
    if "patterns" in result.one_shot.name:
        told.append(
            "Patterns add how many different responses to images the untrained network has."
        )
    return told


#: Names of blocks that say what they are: the width of the kernel, and of the block.
_NAMES = (r"k(?P<kernel>\d)_e(?P<wider>\d)", r"mb(?P<wider>\d)_k(?P<kernel>\d)")


def explain_block(result: Result) -> str:
    """Say what the name of a block means; empty where names follow no known pattern.

    The block is one of the network found, so that its name is in sight.
    """
    for option in result.winner.names.values() if result.winner else ():
        for pattern in _NAMES:
            if found := re.fullmatch(pattern, option):
                kernel, wider = found["kernel"], found["wider"]
                return (
                    f"{option} is a block with kernels of {kernel}x{kernel} pixels, which has "
                    f"{wider} times as many channels inside as at its ends."
                )
    return ""


def how_to_read(result: Result) -> list[str]:
    """Explain what the tables of a result call one-shot and an architecture."""
    choices = result.space.choices
    if not result.winner or not choices:
        return []
    options = choices[0].options
    example = ",".join(map(str, result.winner.architecture[:4]))
    example += ",..." if len(choices) > 4 else ""
    # Results of former versions may have no names.
    known = [result.winner.names.get(one.name, "") for one in choices[:4]]
    meant = f"{len(choices)} choices, counted from 0"
    if all(known):
        meant += f"; here {', '.join(known)}{' and so on' * (len(choices) > 4)}"
    if all(choice.options == options for choice in choices):
        named = ", ".join(f"{number} {name}" for number, name in enumerate(options))
        meant = f"{len(choices)} layers ({named})"
    return [
        " ".join(score_terms(result)),
        f"Architecture {example}: one option for each of {meant}. {explain_block(result)}".strip(),
    ]
