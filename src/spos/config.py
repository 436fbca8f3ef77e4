"""The configuration of a run: one section per stage, written once and never changed after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spos.cost import Constraint
from spos.errors import UserError, nearest
from spos.recipe import Recipe
from spos.recipes import Plan, plan_for
from spos.search import SearchSettings
from spos.settings import as_plain, replace_settings
from spos.spaces import family

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from and how they are split.

    Args:
        source: such as ``digits`` or ``folder:flowers``.
        validation: images split off the training images for the search: a number, or a fraction.
        test: images split off where the source has no test images of its own.
        on_broken: ``fail`` or ``skip``.
        stream: ``auto``, ``always`` or ``never``: decode in worker processes while training.
        workers: worker processes of a streamed source.
    """

    source: str = "digits"
    validation: int | float = 0.1
    test: int | float = 0.1
    on_broken: str = "fail"
    stream: str = "auto"
    workers: int = 0


@dataclass(frozen=True)
class RunSettings:
    """What holds for every stage.

    Args:
        seed: of everything random.
        precision: of Lightning Fabric: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        channels_last: lay images out with channels last, which is faster on most devices.
        evaluation_batch: images a batch in evaluation, and in batch-norm recalibration.
        calibration: training images for the recalibration of batch norm; whole batches are used.
        compare: random networks of the winner's multiply-adds to retrain for comparison.
    """

    seed: int = 0
    precision: str = "32-true"
    channels_last: bool = True
    evaluation_batch: int = 256
    calibration: int = 20000
    compare: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(f"unknown precision '{self.precision}': {nearest(self.precision, PRECISIONS)}")
        for name, least in (("seed", 0), ("evaluation_batch", 2), ("calibration", 2), ("compare", 0)):
            if getattr(self, name) < least:
                raise UserError(f"run.{name} {getattr(self, name)}: must be at least {least}")


@dataclass(frozen=True)
class ConstraintSettings:
    """The bounds of a search, and where its evaluations are kept.

    Args:
        maximum: the largest value allowed of each cost.
        minimum: the least value allowed of each cost.
        storage: an Optuna storage URL; the run directory's own SQLite file without it.
    """

    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    storage: str = ""


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
        constraint: the bounds of the search.
        retrain: the training of the winner.
    """

    space: str
    preset: str
    layout: Any
    data: DataSettings
    run: RunSettings
    supernet: Recipe
    search: SearchSettings
    constraint: ConstraintSettings
    retrain: Recipe

    @property
    def bounds(self) -> Constraint:
        """The constraint of the search."""
        return Constraint(maximum=self.constraint.maximum, minimum=self.constraint.minimum)

    def as_plain(self) -> dict[str, Any]:
        """The configuration as nested values that YAML holds."""
        sections: dict[str, Any] = {"space": {"name": self.space, "preset": self.preset}}
        for name in SECTIONS[1:]:
            sections[name] = as_plain(getattr(self, name))
        return sections


SECTIONS = ("space", "layout", "data", "run", "supernet", "search", "constraint", "retrain")
#: The sections that each stage of a run depends on; they are fixed when it begins.
STAGE_SECTIONS = {
    "train": ("space", "layout", "data", "run", "supernet"),
    "search": ("search", "constraint"),
    "retrain": ("retrain",),
}


def make_config(values: Mapping[str, Any]) -> Config:
    """Build a configuration from the sections given; the preset decides the rest.

    Args:
        values: nested mappings, as :meth:`Config.as_plain` gives them; any part may be missing.

    Raises:
        UserError: a section, a setting, or its value is not valid.

    Example:
        >>> config = make_config({"space": {"preset": "tiny"}, "supernet": {"steps": 50}})
        >>> config.supernet.steps, config.search.population
        (50, 50)
    """
    for name in values:
        if name not in SECTIONS:
            raise UserError(f"unknown section '{name}': {nearest(name, SECTIONS)}")
        if not isinstance(values[name], Mapping):
            raise UserError(f"section '{name}' is not a mapping of settings")
    names = dict(values.get("space", {}))
    space, preset = names.pop("name", "shufflenetv2"), names.pop("preset", "tiny")
    if names:
        raise UserError(f"unknown setting 'space.{next(iter(names))}': allowed: name, preset")
    spaces = family(space)
    plan: Plan = plan_for(preset)

    def section(name: str, default: Any) -> Any:
        return replace_settings(default, values.get(name, {}), name)

    layout = spaces.preset(preset)
    layout_values = dict(values.get("layout", {}))
    width = layout_values.pop("width", None)
    if width is not None:
        layout = layout.scaled(width)
    return Config(
        space=space,
        preset=preset,
        layout=replace_settings(layout, layout_values, "layout"),
        data=section("data", DataSettings(source=plan.data)),
        run=section("run", RunSettings(calibration=plan.calibration)),
        supernet=section("supernet", plan.supernet),
        search=section("search", SearchSettings()),
        constraint=section("constraint", ConstraintSettings()),
        retrain=section("retrain", plan.retrain),
    )


def first_difference(
    stored: Mapping[str, Any], given: Mapping[str, Any], sections: tuple[str, ...]
) -> str | None:
    """Say in what two configurations differ, in the settings that are stored.

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
            if there != here:
                return f"{name}.{key} is {there} there and {here} here"
    return None


