"""Settings of the search and of the retraining, which code reads after hours of training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from commands import FEW
from settings_cases import DEFAULTS, assignment

#: Sections that are free once the supernet is trained.
LATER = ("search", "constraint", "finalists", "network", "retrain")
#: Values that settings of a type may have, of which some code has not thought.
EXTREME: dict[type, tuple[str, ...]] = {
    bool: ("true", "false"),
    int: ("0", "1", "2", "3", "5", "7", "1000000", "4294967296", "1000000000000000000"),
    float: ("0", "1e-300", "1e-9", "0.01", "0.5", "0.999", "1", "3", "1e6", "1e18", "1e37"),
    tuple: ("[]", "[flops]", "[flops, params]"),
}
#: Values of settings that are one of some words.
WORDS = {
    "algorithm": ("evolution", "random", "tpe", "nsga2"),
    "fitness": ("auto", "loss", "metric", "zscore"),
    "schedule": ("linear", "cosine", "constant"),
    "augment": ("none", "crop", "flip", "rich"),
    "weights": ("scratch", "supernet", "file"),
    "maximum": ("{flops: 1M}", "{flops: 100K}", "{params: 8K}", "{memory: 1K}", "{flops: 0}"),
    "minimum": ("{flops: 1}", "{flops: 90K, params: 1}", "{params: 1M}"),
    "budgets": ("{flops: [110K, 120K]}", "{params: [1K]}", "{flops: [1e300]}"),
}
#: Options of the later stages, each with some values.
OPTIONS = {
    "--compare": ("0", "1", "3", "100000"),
    "--finalists": ("1", "2", "3", "100000"),
    "--max-flops": ("1", "120K", "130K", "1e15"),
    "--min-params": ("1", "8K", "1e15"),
    "--pareto": ("flops", "flops,params"),
}


def later_stages(random: Random, material: Path) -> list[str]:
    """A run with a trained supernet, gone on with some other settings of the later stages."""
    shutil.copytree(material / "trained", "out")
    given = [random.choice(("run", "run", "search")), *FEW, "--out", "out"]
    for _ in range(random.choice((1, 1, 2, 3))):
        given += ["--set", _assignment(random)]
    for flag, values in OPTIONS.items():
        if random.random() < 0.08 and (given[0] == "run" or flag not in ("--compare",)):
            given += [flag, random.choice(values)]
    return given


def _assignment(random: Random) -> str:
    if random.random() < 0.1:
        return assignment(random)
    section = random.choices(LATER, (5, 2, 2, 1, 4))[0]
    key = random.choice([*DEFAULTS[section]])
    default = DEFAULTS[section][key]
    # Those that are None by default are numbers.
    allowed = EXTREME.get(int if default is None else type(default), ("", "a", "null"))
    if random.random() < 0.1:
        allowed = EXTREME[float]
    return f"{section}.{key}={random.choice(WORDS.get(key, allowed))}"


KINDS: dict[str, Callable[[Random, Path], list[str]]] = {"later stages": later_stages}
