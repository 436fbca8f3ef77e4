"""What a user set and a run does not use, which is said rather than ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spos._util.settings import show_value
from spos.run.config import Config, make_config
from spos.search import ALGORITHMS
from spos.training.method import METHODS

#: Sections of a search, none of which a network by name has.
_OF_SEARCHES = ("supernet", "search", "differentiable", "finalists")
_TEMPERATURES = ("temperature", "temperature_decay", "temperature_least")


def describe_unused(
    config: Config, given: Mapping[str, Any], *, compared: bool, own_loss: bool = False
) -> list[str]:
    """Describe the settings that differ from the defaults and do nothing, a line for each reason.

    Args:
        config (Config): configuration of the run.
        given (Mapping): settings by section that were given for it; others may be those of a run
            that is reused.
        compared (bool): whether networks are trained to be compared with.
        own_loss (bool): whether the loss is one of the user's own.

    Example:
        >>> given = {"search": {"algorithm": "random", "mutation": 0.5}}
        >>> describe_unused(make_config(given), given, compared=True)
        ['search.mutation 0.5: without effect with --algorithm random']
    """
    plain = config.as_plain()
    usual = make_config({"space": plain["space"]}).as_plain()
    lines, told = [], set()
    for why, names in _unused(config, compared, own_loss):
        found = []
        for name in names:
            section, _, key = name.partition(".")
            keys = (key,) if key else tuple(plain[section])
            for one in keys:
                value = plain[section][one]
                if one in given.get(section, {}) and value != usual[section][one]:
                    found.append((f"{section}.{one}", show_value(value)))
        new = [f"{name} {value}" for name, value in found if name not in told]
        told |= {name for name, _ in found}
        if new:
            lines.append(f"{', '.join(new)}: without effect {why}")
    return lines


def _unused(
    config: Config, compared: bool, own_loss: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield why settings do nothing, and their names: sections as a whole, or single settings."""
    if own_loss:
        smoothing = ("supernet.label_smoothing", "retrain.label_smoothing")
        yield "with a loss of your own", smoothing
    if config.network.name:
        others = ("network.compare_share", "constraint.storage")
        why = f"with --network {config.network.name}, which is trained alone"
        yield why, (*_OF_SEARCHES, *others)
        return
    name, settings = config.search.algorithm, config.differentiable
    algorithm = ALGORITHMS.find(name)
    with_it = f"with --algorithm {name}"
    yield with_it, tuple(f"search.{one}" for one in algorithm.unused)
    if algorithm.method is None:
        yield f"{with_it}, which trains no option probabilities", ("differentiable",)
    else:
        if not getattr(METHODS.find(algorithm.method), "cools", False):
            yield with_it, tuple(f"differentiable.{one}" for one in _TEMPERATURES)
        if settings.form == "joint":
            of_theta = ("theta_images", "alpha", "beta", "unit")
            why = "with differentiable.form joint, which has no images and no cost for theta"
            yield why, tuple(f"differentiable.{one}" for one in of_theta)
        if settings.derive == "argmax":
            why = "with differentiable.derive argmax, which finds one network; give sample"
            yield why, ("differentiable.samples", "finalists")
    if config.finalists.count < 2:
        yield "without two --finalists or more", ("finalists.share",)
    if not compared:
        yield "without --compare", ("network.compare_share",)
