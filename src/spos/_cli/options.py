"""Options of the command line that are settings of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from spos._cli.kinds import ALGORITHM, SPACE, TEXT, one_of
from spos._util.errors import UserError
from spos._util.text import printable, redact
from spos.cost.cost import COSTS, find_cost

Command = TypeVar("Command", bound=Callable[..., Any])


def number_or_fraction(text: str) -> int | float:
    """Read the size of a split.

    Raises:
        ValueError: the text is neither.
    """
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise ValueError(f"'{text}' is neither a number of images nor a fraction") from None


#: Options that set one setting: option, setting, type, help.
_ALIASES: tuple[tuple[str, str, Callable[[str], Any] | click.ParamType[Any], str], ...] = (
    ("--space", "space.name", SPACE, "Search space; spos spaces lists them."),
    ("--preset", "space.preset", str, "Preset of the space, such as cifar, small or tiny."),
    ("--width", "layout.width", float, "Factor for the channels of the preset's stages."),
    ("--channels", "layout.channels", str, "Channels of each stage, such as 64,160,320,640."),
    ("--depths", "layout.depths", str, "Choice blocks of each stage, such as 4,4,8,4."),
    ("--image-size", "layout.image_size", int, "Side of the images in pixels."),
    (
        "--data",
        "data.source",
        str,
        "Images: digits (the default), digits:cluttered, folder:PATH (or a .zip), "
        "fashion-mnist[:PATH], cifar10:PATH, cifar100:PATH, hf:PATH, torchvision:NAME:PATH or "
        "webdataset:SHARDS.",
    ),
    (
        "--validation",
        "data.validation",
        number_or_fraction,
        "Images to split off for the search: a number or a fraction.",
    ),
    (
        "--test",
        "data.test",
        number_or_fraction,
        "Images to split off for the test, where the source has no test images: a number or a "
        "fraction.",
    ),
    (
        "--stream",
        "data.stream",
        one_of("auto", "always", "never"),
        "Decode images during training: auto (the default), always or never.",
    ),
    (
        "--on-broken",
        "data.on_broken",
        one_of("fail", "skip"),
        "What to do with a broken image: fail (the default) or skip.",
    ),
    ("--data-workers", "data.workers", int, "Processes that decode streamed images."),
    ("--seed", "run.seed", int, "Seed of everything random; by default 0."),
    (
        "--precision",
        "run.precision",
        one_of("32-true", "bf16-mixed", "16-mixed"),
        "Precision: 32-true (the default), bf16-mixed or 16-mixed.",
    ),
    ("--init", "supernet.init", TEXT, "File of weights that the supernet begins from."),
    ("--supernet-steps", "supernet.steps", int, "Steps of the supernet's training."),
    ("--retrain-steps", "retrain.steps", int, "Steps of the winner's training."),
    (
        "--finalists",
        "finalists.count",
        int,
        "Best candidates to train for a short while, to retrain the best of them.",
    ),
    (
        "--retrain-from",
        "network.weights",
        str,
        "Weights that the winner's training begins from: scratch, supernet, or a file.",
    ),
    ("--network", "network.name", str, "Published network to train instead of a winner."),
    (
        "--algorithm",
        "search.algorithm",
        ALGORITHM,
        "Search algorithm: evolution (the default), random, tpe, nsga2, fbnet, darts or "
        "proxylessnas.",
    ),
    ("--population", "search.population", int, "Candidates of an iteration."),
    ("--iterations", "search.iterations", int, "Iterations of the search."),
    ("--pareto", "search.pareto", str, "Costs to minimise as well, for a front."),
    (
        "--latency-table",
        "constraint.latency_table",
        TEXT,
        "Latency table that spos latency measured on the device.",
    ),
    (
        "--latency-device",
        "constraint.latency_device",
        str,
        "Device of the table, if it is not this one.",
    ),
    ("--storage", "constraint.storage", str, "Optuna storage URL of the evaluations."),
)
#: Options that bound a cost: side of the constraint, cost, help.
BOUNDS = {
    f"{flag}_{name}": (side, name, f"{words} N {find_cost(name).help}.")
    for flag, side, words in (("max", "maximum", "At most"), ("min", "minimum", "At least"))
    for name in COSTS.built_in
}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def combine_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine options into one decorator."""

    return lambda command: reduce(lambda made, add: add(made), reversed(options), command)


setting_options = combine_options(
    *(
        click.option(flag, type=kind, help=text, metavar="VALUE")
        for flag, _, kind, text in _ALIASES
    ),
    *(
        click.option(_flag(name), name, help=text, metavar="N")
        for name, (_, _, text) in BOUNDS.items()
    ),
    click.option(
        "--max", "at_most", multiple=True, metavar="COST=N", help="Upper bound of any cost."
    ),
    click.option(
        "--min", "at_least", multiple=True, metavar="COST=N", help="Lower bound of any cost."
    ),
    click.option(
        "--budgets", metavar="COST=N,N", help="One search for each upper bound of a cost."
    ),
    click.option(
        "--recipe",
        type=one_of("paper"),
        metavar="NAME",
        help="Settings of a publication: paper, for those of SPOS.",
    ),
    click.option(
        "--config", "config_file", type=TEXT, metavar="FILE", help="YAML file of settings."
    ),
    click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of the run."
    ),
)

logger_option = click.option(
    "--logger",
    "loggers",
    type=one_of("csv", "mlflow", "wandb"),
    multiple=True,
    metavar="NAME",
    help="Program that shows the curves, beside TensorBoard: csv, mlflow or wandb; several times "
    "for several.",
)


def read_settings(options: dict[str, Any]) -> dict[str, Any]:
    """The settings that the options give: of the recipe, the file, --set and named options.

    Args:
        options (dict[str, Any]): values by name; those that are settings are removed.

    Returns:
        Sections of settings by name; of a setting given twice, the later one.

    Raises:
        UserError: the file or a value cannot be read.
    """
    from spos._util.settings import parse_assignments
    from spos.run.config import check_sections
    from spos.run.recipes import find_recipe
    from spos.run.settings import parse_budgets, read_bound

    recipe = options.pop("recipe")
    published = {} if recipe is None else find_recipe(recipe)
    path = options.pop("config_file")
    file = {} if path is None else _read(path)
    assigned = parse_assignments(options.pop("assignments"))
    named: dict[str, dict[str, Any]] = {}
    for flag, setting, _, _ in _ALIASES:
        value = options.pop(flag[2:].replace("-", "_"))
        if value is not None:
            section, _, key = setting.partition(".")
            named.setdefault(section, {})[key] = value
    bounds = [
        (side, cost, options.pop(name), _flag(name)) for name, (side, cost, _) in BOUNDS.items()
    ]
    for flag, name, side in (("--max", "at_most", "maximum"), ("--min", "at_least", "minimum")):
        for text in options.pop(name):
            cost, equals, value = text.partition("=")
            if not equals or not cost:
                raise UserError(f"{flag} {text}: write COST=N, such as {flag} flops=330M")
            bounds.append((side, cost, value, f"{flag} {cost}"))
    for side, cost, value, flag in bounds:
        if value is not None:
            known = named.setdefault("constraint", {}).setdefault(side, {})
            if cost in known:
                raise UserError(f"{flag}={value}: the limit of {cost} is given twice")
            known[cost] = read_bound(cost, value, flag)
    budgets = options.pop("budgets")
    if budgets is not None:
        named.setdefault("constraint", {})["budgets"] = parse_budgets(budgets)
    # Before they are merged, where a section would replace what is none.
    for section, settings in check_sections(assigned).items():
        for key, value in settings.items():
            counts = named.get(section, {}).get(key, value)
            if _overruled(value, counts):
                line = f"{section}.{key} is {counts}, by its own option, and not {value}, by --set"
                click.echo(f"spos: {redact(printable(line))}", err=True)
    return _merge(_merge(_merge(published, file), assigned), named)


def _overruled(value: Any, counts: Any) -> bool:
    """Whether a setting by --set is not what counts; bounds of several costs are merged."""
    if isinstance(value, Mapping) and isinstance(counts, Mapping):
        return any(_overruled(one, counts.get(name, one)) for name, one in value.items())
    return bool(counts != value)


def _read(path: str) -> Mapping[str, Any]:
    from spos._util.files import read_text
    from spos._util.plain_yaml import parse_yaml
    from spos.run.config import check_sections

    try:
        content = parse_yaml(read_text(Path(path))) or {}
        if not isinstance(content, Mapping):
            raise UserError("is not a mapping of sections")
        check_sections(content)
        return content
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"--config {path}: {error}") from error


def _merge(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weak)
    for name, value in strong.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged
