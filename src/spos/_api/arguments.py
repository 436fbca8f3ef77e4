"""The arguments of ``spos.search`` as seconds, bounds, settings and a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from spos._api.found import FoundNetwork
from spos._util.errors import UserError
from spos._util.files import as_path
from spos._util.text import folder_name
from spos.data.own_augmentation import Augmentation, register_augmentation
from spos.run.config import check_sections
from spos.run.planning.duration import parse_duration
from spos.run.settings import read_bound

#: Seconds that no search takes.
LONGEST = 1e15
_PATH = (str, PathLike), "a path that is not empty"
_NUMBER = (Integral,), "a whole number"
#: Arguments that are names of something that there is.
NAMES = ("compare_with", "loggers")
#: Types of the arguments, and what to call them.
KINDS: dict[str, tuple[tuple[Any, ...], str]] = {
    "model": ((nn.Module, str), "a module with choices, the name of a space, or None"),
    "time": ((str, Real), "a duration such as '1h', or seconds"),
    "limits": ((Mapping,), "upper bounds by the names of costs, such as {'params': '1M'}"),
    "settings": ((Mapping,), "settings by section, such as {'search': {'population': 20}}"),
    "workers": ((Integral, str), "a whole number, 'ray', or the address of a Ray cluster"),
    "reuse": ((FoundNetwork, *_PATH[0]), "an earlier search, or its run directory"),
    "callback": ((Callable,), "a function of the stage, the steps done, all steps, and details"),
    "classes": ((Iterable,), "a list of names"),
    **dict.fromkeys(NAMES, ((Sequence,), "a list of names")),
    **dict.fromkeys(("seed", "compare", "threads"), _NUMBER),
    **dict.fromkeys(("out", "init"), _PATH),
}


def check_kinds(**given: Any) -> None:
    """Check the types of arguments.

    Raises:
        UserError: one is of another type than those in :data:`KINDS`.
    """
    for name, value in given.items():
        kinds, allowed = KINDS[name]
        known = isinstance(value, kinds) and not isinstance(value, bool)
        if isinstance(value, str):
            known = str in kinds and value != ""
        elif name in NAMES and known:
            known = all(isinstance(one, str) for one in value)
        # A set has another order in each process.
        known = known and not isinstance(value, (set, frozenset))
        if value is not None and not known:
            raise UserError(f"{name} {value!r:.80}: must be {allowed}")
        # The name of a space and of a cluster are no paths.
        if str in kinds and PathLike in kinds and isinstance(value, (str, PathLike)):
            as_path(value, name)


def read_time(time: str | float | None) -> float | None:
    """A time in seconds; None without one.

    Raises:
        UserError: it is no duration, or out of range.

    Example:
        >>> read_time("2m"), read_time(7.5), read_time(None)
        (120.0, 7.5, None)
    """
    if time is None:
        return None
    seconds = parse_duration(time) if isinstance(time, str) else time
    if not 0 < seconds < LONGEST:
        raise UserError(f"time {time!s:.40}: must be above 0 seconds, and below {LONGEST:g}")
    # JSON holds no numbers of numpy, and those of 16 bits overflow.
    return float(seconds)


def join_bounds(
    limits: Mapping[str, str | float] | None, **maxima: str | float | None
) -> dict[str, str | float]:
    """Upper bounds of costs as they were given, by name.

    Args:
        limits (Mapping | None): bounds by names of costs.
        **maxima: bounds that have an argument of their own, None where not given.

    Raises:
        UserError: a bound is given twice.

    Example:
        >>> join_bounds({"latency": "5ms"}, flops="60M", params=None)
        {'flops': '60M', 'latency': '5ms'}
    """
    for cost, bound in maxima.items():
        if bound is not None and cost in (limits or {}):
            raise UserError(f"limits: {cost} is given as max_{cost} too; give one of them")
    joined = {**maxima, **(limits or {})}
    return {cost: bound for cost, bound in joined.items() if bound is not None}


def make_settings(
    settings: Mapping[str, Any] | None,
    bounds: Mapping[str, str | float],
    seed: int,
    augment: Augmentation | None,
) -> dict[str, Any]:
    """Settings by section, with those that have an argument of their own.

    Raises:
        UserError: a setting or a bound is not valid.

    Example:
        >>> make_settings(None, {"flops": "60M"}, 3, None)
        {'run': {'seed': 3}, 'constraint': {'maximum': {'flops': 60000000.0}}}
    """
    given = check_sections(settings or {})
    if seed:
        put(given, "run.seed", seed, "seed")
    given.setdefault("run", {}).setdefault("seed", seed)
    if augment is not None:
        name = register_augmentation(augment)
        stages = ("supernet", "retrain")
        # One of the stages may have another policy, but then the other one has this function.
        if all("augment" in given.get(stage, {}) for stage in stages):
            raise UserError(
                "settings: supernet.augment and retrain.augment leave no stage for the argument "
                "augment; leave one of the three out"
            )
        for stage in stages:
            given.setdefault(stage, {}).setdefault("augment", name)
    maximum = {cost: read_bound(cost, str(value), f"max_{cost}") for cost, value in bounds.items()}
    if maximum:
        constraint = given.setdefault("constraint", {})
        own = constraint.get("maximum", {})
        if not isinstance(own, Mapping):
            raise UserError(f"constraint.maximum {own!r:.80}: must be bounds by the names of costs")
        for cost in maximum:
            if cost in own:
                raise UserError(
                    f"settings: constraint.maximum.{cost} is given by an argument too; give one "
                    "of them"
                )
        constraint["maximum"] = {**own, **maximum}
    return given


def put(given: dict[str, Any], setting: str, value: str | int, argument: str) -> None:
    """Put an argument in the place of its setting.

    Args:
        given (dict): settings by section; changed.
        setting (str): section and name, such as ``"data.source"``.
        value (str | int): value of the setting.
        argument (str): name of the argument.

    Raises:
        UserError: the settings give another value.

    Example:
        >>> put({"run": {"seed": 1}}, "run.seed", 2, "seed")
        Traceback (most recent call last):
        ...
        spos.UserError: settings: run.seed 1 contradicts the argument seed; give one of them
    """
    section, name = setting.split(".")
    known = given.setdefault(section, {}).setdefault(name, value)
    if known != value:
        raise UserError(
            f"settings: {setting} {known!r:.80} contradicts the argument {argument}; give one of "
            "them"
        )


def folder_of(run: FoundNetwork | str | PathLike[str]) -> Path:
    """The run directory of an earlier search."""
    return run.folder if isinstance(run, FoundNetwork) else Path(run)


def name_folder(
    model: nn.Module | str | None,
    data: Any,
    bounds: Mapping[str, Any],
    seconds: float | None,
    seed: int,
) -> Path:
    """Name a run directory after the model, the images, the bounds, the time and the seed."""
    named = type(model).__name__ if isinstance(model, nn.Module) else model or "search"
    kind = "images" if isinstance(data, (tuple, list)) else type(data).__name__
    parts = [named, data if isinstance(data, str) else kind]
    parts += [
        f"{value if isinstance(value, str) else format(value, '.12g')} {cost}"
        for cost, value in bounds.items()
    ]
    parts += [f"{seconds:g}s"] if seconds else []
    parts += [f"seed {seed}"] if seed else []
    return Path("runs") / folder_name(parts)
