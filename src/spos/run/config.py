"""The configuration of a run: one section per stage, written once and never changed after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spos._util.errors import UserError, nearest
from spos._util.settings import as_plain, replace_settings
from spos.cost import Constraint
from spos.data import POLICIES
from spos.run.constraint_settings import ConstraintSettings, read_constraint
from spos.run.settings import DataSettings, NetworkSettings, RunSettings
from spos.search import ALGORITHMS, SearchSettings
from spos.search.settings import FRONT_ALGORITHM
from spos.spaces import family
from spos.training.differentiable import DifferentiableSettings
from spos.training.recipe import Recipe, SupernetRecipe


@dataclass(frozen=True)
class Config:
    """Everything that decides the result of a run.

    Args:
        space: the name of the search space.
        preset: of the space.
        layout: the macro-architecture of the space.
        data: the images.
        run: what holds for every stage.
        supernet: the training of the supernet.
        search: the search.
        differentiable: the training of theta, and the network that follows from it.
        constraint: the bounds of the search.
        network: what is trained instead of the winner.
        retrain: the training of the winner.
    """

    space: str
    preset: str
    layout: Any
    data: DataSettings
    run: RunSettings
    supernet: SupernetRecipe
    search: SearchSettings
    differentiable: DifferentiableSettings
    constraint: ConstraintSettings
    network: NetworkSettings
    retrain: Recipe

    @property
    def bounds(self) -> Constraint:
        """The constraint of the search; of searches for many budgets, that of the largest."""
        return self.constraint.constraints[-1]

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs that the search is about: those that it bounds, minimises or charges."""
        bounds = self.bounds
        charged = []
        if required_method(self.search.algorithm) and self.differentiable.cost:
            charged = [self.differentiable.cost]
        return tuple(
            dict.fromkeys((*bounds.maximum, *bounds.minimum, *self.search.pareto, *charged))
        )

    def as_plain(self) -> dict[str, Any]:
        """The configuration as nested values that YAML holds."""
        sections: dict[str, Any] = {"space": {"name": self.space, "preset": self.preset}}
        for name in SECTIONS[1:]:
            sections[name] = as_plain(getattr(self, name))
        return sections


SECTIONS = (
    "space",
    "layout",
    "data",
    "run",
    "supernet",
    "search",
    "differentiable",
    "constraint",
    "network",
    "retrain",
)
#: The sections that each stage of a run depends on; they are fixed when it begins.
STAGE_SECTIONS = {"train": SECTIONS[:5], "search": SECTIONS[:8], "retrain": SECTIONS}
#: What the training of theta depends on as well: it learns from images of its own and from a cost.
THETA_SECTIONS = ("differentiable", "constraint")
#: Settings that the result does not depend on: a run may go on with others.
FREE = ("data.workers", "run.save_every", "constraint.latency_device")


def required_method(algorithm: str) -> str | None:
    """The training method that a search algorithm needs its supernet trained by.

    Args:
        algorithm (str): of the search.

    Returns:
        Its name; None where the algorithm searches a supernet of any single-path method.

    Example:
        >>> required_method("fbnet"), required_method("evolution")
        ('fbnet', None)
    """
    return ALGORITHMS.find(algorithm).method


def fixed_sections(sections: Iterable[str], config: Config) -> tuple[str, ...]:
    """The sections that a stage depends on, given those that it always does."""
    trains_theta = "supernet" in (given := tuple(sections)) and required_method(
        config.search.algorithm
    )
    return (*given, *THETA_SECTIONS) if trains_theta else given


def make_config(values: Mapping[str, Any]) -> Config:
    """Build a configuration from the sections given; the preset decides the rest.

    Args:
        values: nested mappings, as :meth:`Config.as_plain` gives them; any part may be missing.

    Raises:
        UserError: a section, a setting, or its value is not valid.

    Example:
        >>> config = make_config({"space": {"preset": "tiny"}, "supernet": {"steps": 60}})
        >>> config.supernet.steps, config.search.population
        (60, 50)
    """
    values = check_sections(values)
    names = {name: str(value) for name, value in values.get("space", {}).items()}
    space, preset = names.pop("name", "shufflenetv2"), names.pop("preset", "tiny")
    if names:
        raise UserError(f"unknown setting 'space.{next(iter(names))}': allowed: name, preset")
    layout = family(space).preset(preset)
    plan = family(space).plan(preset)

    def section(name: str, default: Any) -> Any:
        try:
            return replace_settings(default, values.get(name, {}), name)
        except UserError as error:
            raise UserError(str(error) if name in str(error) else f"{name}: {error}") from None

    search = section("search", SearchSettings())
    supernet = section("supernet", plan.supernet)
    config = Config(
        space=space,
        preset=preset,
        layout=replace_settings(layout, _channels(layout, values.get("layout", {})), "layout"),
        data=section("data", DataSettings(source=plan.data, validation=plan.validation)),
        run=section("run", RunSettings(calibration=plan.calibration)),
        supernet=_with_method(supernet, search.algorithm, "method" in values.get("supernet", {})),
        search=search,
        differentiable=section("differentiable", DifferentiableSettings()),
        constraint=replace_settings(
            ConstraintSettings(), read_constraint(values.get("constraint", {})), "constraint"
        ),
        network=section("network", NetworkSettings()),
        retrain=section("retrain", plan.retrain),
    )
    _ = config.constraint.constraints  # Refuses a minimum above its maximum.
    algorithm = ALGORITHMS.find(config.search.algorithm)
    if config.constraint.budgets and not algorithm.serves_budgets:
        able = " and ".join(name for name in ALGORITHMS if ALGORITHMS[name].serves_budgets)
        raise UserError(
            f"constraint.budgets with the algorithm {config.search.algorithm}: allowed with many "
            f"budgets are {able}"
        )
    algorithm.check(config.search)
    if config.constraint.budgets and config.search.pareto:
        raise UserError("constraint.budgets and search.pareto: give one of them, not both")
    for name in ("supernet", "retrain"):
        augment = getattr(config, name).augment
        if augment not in POLICIES:
            raise UserError(f"unknown {name}.augment '{augment}': {nearest(augment, POLICIES)}")
    return config


def _with_method(recipe: SupernetRecipe, algorithm: str, given: bool) -> SupernetRecipe:
    """The recipe of a supernet with the method that the search algorithm needs."""
    needed = required_method(algorithm)
    if needed is None or needed == recipe.method:
        return recipe
    if given:
        raise UserError(
            f"supernet.method {recipe.method}: --algorithm {algorithm} searches a supernet trained "
            f"by the method {needed}; leave the setting out, and give a run directory of its own"
        )
    return replace(recipe, method=needed)


def merge_sections(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are stored, and settings given beside or instead of them.

    Example:
        >>> merge_sections({"run": {"seed": 1, "precision": "32-true"}}, {"run": {"seed": 2}})
        {'run': {'seed': 2, 'precision': '32-true'}}
    """
    stored, given = check_sections(stored), check_sections(given)
    if "width" in given.get("layout", {}):
        # What is stored of a width is the channels that it led to.
        space = {"name": "shufflenetv2", "preset": "tiny"}
        space |= stored.get("space", {}) | given.get("space", {})
        layout = family(str(space["name"])).preset(str(space["preset"]))
        given = {**given, "layout": _channels(layout, given["layout"])}
    return {name: stored.get(name, {}) | given.get(name, {}) for name in {**stored, **given}}


def check_sections(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sections of a configuration, as plain dictionaries.

    Raises:
        UserError: one is unknown, or no mapping of settings.
    """
    for name, section in values.items():
        if name not in SECTIONS:
            raise UserError(f"unknown section '{name}': {nearest(str(name), SECTIONS)}")
        if not isinstance(section, Mapping):
            raise UserError(f"section '{name}' is not a mapping of settings")
    sections = {
        name: {str(key): value for key, value in section.items()}
        for name, section in values.items()
    }
    if sections.get("search", {}).get("pareto"):
        # Whoever asks for a front need not say how it is searched for.
        sections["search"].setdefault("algorithm", FRONT_ALGORITHM)
    return sections


def _channels(layout: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a layout, with a width turned into the channels that it leads to."""
    if "width" not in values:
        return values
    rest = {name: value for name, value in values.items() if name != "width"}
    if "channels" in rest:
        raise UserError("layout.width and layout.channels: give one of them, not both")
    if not hasattr(layout, "scaled"):
        raise UserError("layout.width: the widths of this space are not scaled together")
    return {**rest, "channels": layout.scaled(values["width"]).channels}


def first_difference(
    stored: Mapping[str, Any], given: Mapping[str, Any], sections: tuple[str, ...]
) -> str | None:
    """Say in what two configurations differ, in the settings that are stored and decide a result.

    A setting that the stored one lacks is one that did not exist when it was stored.

    Example:
        >>> first_difference({"run": {"seed": 0}}, {"run": {"seed": 1}}, ("run",))
        'run.seed is 0 there and 1 here'
    """
    for name in sections:
        if name not in stored:
            continue
        for key in stored[name]:
            there, here = stored[name].get(key), given[name].get(key)
            if there != here and f"{name}.{key}" not in FREE:
                return f"{name}.{key} is {there} there and {here} here"
    return None
