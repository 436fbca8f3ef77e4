"""Configuration of a run: sections of settings, each frozen once a stage depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from spos._util.errors import UserError, check_kind, nearest
from spos._util.records import to_plain
from spos._util.settings import parse_assignments, replace_settings
from spos.cost import Constraint
from spos.data import POLICIES
from spos.data.own_augmentation import is_own, name_augmentation
from spos.run.settings import (
    ConstraintSettings,
    DataSettings,
    FinalistSettings,
    NetworkSettings,
    RunSettings,
    read_constraint,
)
from spos.search import ALGORITHMS, SearchSettings
from spos.search.settings import FRONT_ALGORITHM
from spos.spaces import family
from spos.training.recipe import DifferentiableSettings, Recipe, SupernetRecipe

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


@dataclass(frozen=True)
class Config:
    """Everything that determines the result of a run: a section of settings a field.

    ``layout`` is a dataclass of its own per space; ``network`` is trained instead of the winner.
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
    finalists: FinalistSettings
    retrain: Recipe

    @property
    def bounds(self) -> Constraint:
        """Constraint of the search; with several budgets, that of the largest."""
        return self.constraint.constraints[-1]

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs that the search bounds, minimises or charges."""
        charged = self.differentiable.cost if self.required_method else ""
        names = (*self.bounds.maximum, *self.bounds.minimum, *self.search.pareto, charged)
        return tuple(dict.fromkeys(filter(None, names)))

    @property
    def required_method(self) -> str | None:
        """The training method that the search algorithm requires; None for any of single paths."""
        return ALGORITHMS.find(self.search.algorithm).method

    @property
    def candidates(self) -> int:
        """Number of candidates that the searches for all budgets score at most."""
        settings, search = self.differentiable, self.search
        if self.required_method:
            return settings.samples if settings.derive == "sample" else 1
        return search.population * search.iterations * len(self.constraint.constraints)

    def frozen(self, sections: Iterable[str]) -> tuple[str, ...]:
        """Sections that a stage depends on: with theta, its own as well."""
        whole = tuple(sections)
        return whole + THETA_SECTIONS if "supernet" in whole and self.required_method else whole

    def as_plain(self) -> dict[str, Any]:
        """The configuration as nested dictionaries of plain values."""
        sections = {name: to_plain(getattr(self, name)) for name in SECTIONS[1:]}
        return {"space": {"name": self.space, "preset": self.preset}, **sections}


SECTIONS = ("space", *[field.name for field in fields(Config)][2:])
#: The sections that each stage of a run depends on; they are frozen when it starts.
STAGE_SECTIONS = {"train": SECTIONS[:5], "search": SECTIONS[:8], "retrain": SECTIONS}
#: Further sections that the training of theta depends on, for its images and its cost.
THETA_SECTIONS = ("differentiable", "constraint")
#: Settings of a recipe that are numbers of steps at its beginning; those of a preset are at most
#: one in so many of the steps that a user gives.
BEGINNINGS, LONGEST_BEGINNING = ("warmup_steps", "widening_steps"), 5
#: Settings that do not affect the result; a run may be resumed with other values.
#: A file of weights is known by its digest, wherever it is.
SETTINGS_WITHOUT_EFFECT = (
    *("data.workers", "run.save_every", "constraint.latency_device"),
    *("supernet.init", "network.init"),
)


def make_config(values: Mapping[str, Any]) -> Config:
    """Build a configuration from the given settings and the defaults of the preset.

    Args:
        values (Mapping): settings by section, as :meth:`Config.as_plain` returns them; any part may
            be missing.

    Raises:
        UserError: a section, a setting or its value is not valid.

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
    layout, usual = family(space).preset(preset), family(space).defaults_of(preset)
    values["layout"] = _channels(layout, values.get("layout", {}))
    values["constraint"] = read_constraint(values.get("constraint", {}))
    run = replace_settings(RunSettings(calibration=usual.calibration), values.get("run", {}), "run")
    defaults = {
        "layout": layout,
        "data": DataSettings(source=usual.data, validation=usual.validation),
        "run": run,
        "supernet": _shortened(usual.supernet, values, "supernet"),
        "search": SearchSettings(seed=run.seed),
        "differentiable": DifferentiableSettings(),
        "constraint": ConstraintSettings(),
        "network": NetworkSettings(),
        "finalists": FinalistSettings(),
        "retrain": _shortened(usual.retrain, values, "retrain"),
    }
    sections: dict[str, Any] = {
        name: replace_settings(default, values.get(name, {}), name)
        for name, default in defaults.items()
    }
    for name in ("supernet", "retrain"):
        augment = sections[name].augment
        if is_own(augment):
            sections[name] = replace(sections[name], augment=name_augmentation(augment))
        elif augment not in POLICIES:
            raise UserError(
                f"unknown {name}.augment '{augment}': {nearest(augment, POLICIES)}, or MODULE:NAME "
                "of a function"
            )
    recipe, algorithm = sections["supernet"], ALGORITHMS.find(sections["search"].algorithm)
    if algorithm.method not in (None, recipe.method):
        if "method" in values.get("supernet", {}):
            raise UserError(
                f"supernet.method {recipe.method}: --algorithm {sections['search'].algorithm} "
                f"needs a supernet trained by the method {algorithm.method}; leave out the "
                "setting, or the recipe that has it, and give another run directory"
            )
        sections["supernet"] = replace(recipe, method=algorithm.method)
    config = Config(space=space, preset=preset, **sections)
    _ = config.constraint.constraints  # Raises if a minimum is above its maximum.
    if config.constraint.budgets and not algorithm.serves_budgets:
        able = " and ".join(name for name in ALGORITHMS if ALGORITHMS[name].serves_budgets)
        raise UserError(
            f"constraint.budgets with the algorithm {config.search.algorithm}: allowed with "
            f"several budgets are {able}"
        )
    algorithm.check(config.search)
    if config.constraint.budgets and config.search.pareto:
        raise UserError("constraint.budgets and search.pareto: give one of them, not both")
    members, racing = config.supernet.members, config.search.racing
    if members > 1 and (racing or algorithm.method):
        other = "search.racing" if racing else f"--algorithm {config.search.algorithm}"
        raise UserError(f"supernet.members {members} and {other}: give one of them, not both")
    if config.finalists.count > 1 and config.constraint.budgets:
        raise UserError("constraint.budgets and finalists.count: give one of them, not both")
    return config


def _shortened(recipe: AnyRecipe, values: Mapping[str, Any], section: str) -> AnyRecipe:
    """Shorten what comes at the beginning of a preset's recipe to fit the steps that are given."""
    given = values.get(section, {})
    if "steps" not in given:
        return recipe
    none: dict[str, Any] = {name: 0 for name in BEGINNINGS if hasattr(recipe, name)}
    steps = replace_settings(replace(recipe, **none), {"steps": given["steps"]}, section).steps
    fitting = {
        name: min(getattr(recipe, name), steps // LONGEST_BEGINNING)
        for name in none
        if name not in given
    }
    return replace(recipe, **{**none, **fitting, "steps": steps})


def merge_sections(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge stored and given settings; where both have a setting, the given one counts.

    Example:
        >>> merge_sections({"run": {"seed": 1, "precision": "32-true"}}, {"run": {"seed": 2}})
        {'run': {'seed': 2, 'precision': '32-true'}}
    """
    stored, given = check_sections(stored), check_sections(given)
    if "width" in given.get("layout", {}):
        # A width is stored as the numbers of channels that result from it.
        space = {"name": "shufflenetv2", "preset": "tiny"}
        space |= stored.get("space", {}) | given.get("space", {})
        layout = family(str(space["name"])).preset(str(space["preset"]))
        given = {**given, "layout": _channels(layout, given["layout"])}
    return {name: stored.get(name, {}) | given.get(name, {}) for name in {**stored, **given}}


def check_sections(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Check the sections of a configuration, and copy them to plain dictionaries.

    Raises:
        UserError: a section is unknown, or is not a mapping of settings.
    """
    check_kind(values, Mapping, "settings", "a mapping of sections to settings")
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
        # A search for a front has an algorithm of its own by default.
        sections["search"].setdefault("algorithm", FRONT_ALGORITHM)
    return sections


def read_layout(space: str, preset: str, assignments: Iterable[str]) -> Any:
    """Read the layout of a preset with some settings replaced.

    Raises:
        UserError: the space, the preset or a setting does not exist.
    """
    values = check_sections(parse_assignments(assignments))
    if set(values) - {"layout"}:
        raise UserError(f"--set {next(iter(values))}: allowed here is layout.KEY=VALUE")
    return replace_settings(family(space).preset(preset), values.get("layout", {}), "layout")


def _channels(layout: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Replace the width among the settings of a layout by the resulting channels."""
    if "width" not in values or hasattr(layout, "width"):
        return values
    rest = {name: value for name, value in values.items() if name != "width"}
    if "channels" in rest:
        raise UserError("layout.width and layout.channels: give one of them, not both")
    if not hasattr(layout, "scaled"):
        raise UserError("layout.width: this space has no width multiplier")
    return {**rest, "channels": layout.scaled(values["width"]).channels}


def find_difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Describe the first stored setting that affects the result and differs from the given one.

    A setting that is not stored did not exist yet when the run was started.

    Returns:
        The difference in words; None if there is none.

    Example:
        >>> find_difference({"run": {"seed": 0}}, {"run": {"seed": 1}})
        'run.seed is 0 there and 1 here'
    """
    for name in SECTIONS:
        for key, there in stored.get(name, {}).items():
            here = given[name].get(key)
            if there != here and f"{name}.{key}" not in SETTINGS_WITHOUT_EFFECT:
                if (name, key) == ("layout", "model"):
                    return (
                        "the model differs, in its modules, the code that it uses or its tensors "
                        "(call torch.manual_seed before it draws any at random)"
                    )
                return f"{name}.{key} is {there} there and {here} here"
    return None
