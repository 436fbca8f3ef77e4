"""The training of theta in a run: its preparation, its checks, and what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator, torch_seed
from spos.cost import CostModel
from spos.cost.cost import find_cost
from spos.cost.expected import ExpectedCost
from spos.cost.units import COUNT, TIME
from spos.data import Images, check_batch
from spos.data.split import split_targets
from spos.nn.supernet import Supernet
from spos.run.config import Config
from spos.run.context import Context
from spos.run.costs import find_charged_cost
from spos.run.network import training_loader
from spos.run.recorder import ThetaRecorder
from spos.search import Feasible, Prior
from spos.training.memory import supports_channels_last
from spos.training.method import MakeMethod, method_class
from spos.training.recipe import DifferentiableSettings
from spos.training.theta import Theta, ThetaParts, choice_modules, has_theta

#: Least cost of the cheapest network in the unit of the mean cost; the largest such unit is used.
MINIMUM_UNITS = 10


def prepare_theta_training(context: Context, supernet: Supernet) -> tuple[MakeMethod, Images]:
    """Prepare the training method of a differentiable search.

    Returns:
        The method with everything that theta needs, and the images that the weights learn from.

    Raises:
        UserError: the space, the settings or the images do not suit the algorithm, or no network
            satisfies the constraint.
    """
    config, data = context.config, context.data
    settings, recipe = config.differentiable, config.supernet
    choice_modules(supernet)  # Raises if a choice is not between modules.
    table = context.costs(supernet)
    random = generator(config.run.seed, "reachable")
    Feasible(supernet.space, table, config.bounds).draw(1, random)
    parts = charge_theta(config, table)
    for_weights = for_theta = data.train
    if settings.form != "joint":
        option, share = "differentiable.theta_images", settings.theta_images
        seed, classes = torch_seed(config.run.seed, "theta split"), data.classes or ()
        labels = data.train.labels
        rest, part = split_targets(labels, share, seed, option=option, classes=classes)
        try:
            check_batch(recipe.batch_size, len(part))
        except UserError as error:
            raise UserError(f"{option} {share}: {error}") from None
        for_weights, for_theta = data.train.subset(rest), data.train.subset(part)
    seed, steps = torch_seed(config.run.seed, "theta images"), recipe.steps
    last = config.run.channels_last and supports_channels_last(supernet, context.fabric.device)
    theta_steps = settings.theta_steps(steps, steps)
    batches = training_loader(context, for_theta, recipe, seed, last, theta_steps)
    parts = replace(
        parts,
        epoch=max(1, len(for_weights) // recipe.batch_size),
        batches=batches,
        autocast=context.fabric.autocast,
        record=ThetaRecorder(context.directory),
    )
    return partial(context.method, parts=parts), for_weights


def charge_theta(config: Config, table: CostModel) -> ThetaParts:
    """Make the settings and the cost of the training of theta, still without images.

    Raises:
        UserError: the settings of the cost contradict each other, or the costs of the space.
    """
    settings, cost = config.differentiable, find_charged_cost(config)
    if cost is None:
        return ThetaParts(settings)
    unit, limit = choose_cost_unit(table, settings, cost), 0.0
    if settings.charge != "all":
        if cost not in config.bounds.maximum:
            raise UserError(
                f"differentiable.charge {settings.charge}: the run has no limit on {cost}; give "
                f"--max {cost}=N, or the charge all"
            )
        limit = config.bounds.maximum[cost]
    return ThetaParts(settings, expected=ExpectedCost(table, cost), unit=unit, limit=limit)


def choose_cost_unit(table: CostModel, settings: DifferentiableSettings, cost: str) -> float:
    """Choose the unit of the mean cost in the loss of theta.

    Raises:
        UserError: the cost does not exist, or its logarithm in the unit is not above 0.
    """
    if cost not in table.names:
        ExpectedCost(table, cost)  # Raises with the names of the costs.
    least = table.range()[cost][0]
    units = (1e3, 1.0) if find_cost(cost).unit is TIME else (1e6, 1e3, 1.0)
    unit = settings.unit or next((u for u in units if least >= MINIMUM_UNITS * u), 1.0)
    if least <= unit:
        raise UserError(
            f"differentiable.unit {COUNT.format(unit)}: the cheapest network has "
            f"{cost} {COUNT.format(least)}, and the logarithm of its cost must be "
            f"above 0; nearest valid: {COUNT.format(max(least * 0.9, 1e-9))}"
        )
    return unit


def check_training_method(context: Context) -> None:
    """Check that the settings suit the training method, before anything is written.

    Raises:
        UserError: the method does not exist, the run directory contains a supernet trained without
            theta, or a setting does not suit the method.
    """
    config = context.config
    algorithm = config.search.algorithm
    if config.required_method is None:
        if getattr(method_class(context.method), "trains_theta", False):
            name = config.supernet.method
            raise UserError(
                f"supernet.method {name} trains theta for the search algorithm of the same name; "
                f"give --algorithm {name}, or a method that trains single paths"
            )
        return
    stored = context.directory.checkpoints("supernet").load()
    if stored is not None and not has_theta(stored.tensors):
        raise UserError(
            f"{context.directory.path} has a supernet trained by single paths: --algorithm "
            f"{algorithm} trains its own, give another --out"
        )
    if context.devices > 1:
        flag = "--num-nodes" if context.nodes else "--devices"
        given = "" if context.nodes else f" {context.devices}"
        raise UserError(
            f"{flag}{given}: --algorithm {algorithm} trains in one process, give {flag} 1 (spos "
            "retrain takes more)"
        )
    check_theta_settings(config)


def check_theta_settings(config: Config) -> None:
    """Check that the settings of a run suit its differentiable search.

    Raises:
        UserError: one of them does not.
    """
    algorithm = config.search.algorithm
    if config.run.precision == "16-mixed":
        raise UserError(
            f"run.precision 16-mixed: not for --algorithm {algorithm}, the gradients of theta are "
            "too small for it; allowed: 32-true, bf16-mixed"
        )
    if config.search.pareto:
        raise UserError(
            f"search.pareto {','.join(config.search.pareto)}: --algorithm {algorithm} finds one "
            "network, not a front; allowed with it are the algorithms nsga2 and random"
        )
    if config.constraint.storage:
        raise UserError(
            f"--storage {config.constraint.storage}: --algorithm {algorithm} stores no "
            "evaluations; leave it out"
        )


def read_prior(
    config: Config, supernet: Supernet, tensors: Mapping[str, Tensor], table: CostModel
) -> tuple[Prior | None, dict[str, Any]]:
    """Read the option probabilities that a training learned in addition to the weights.

    Returns:
        The prior of the search algorithm, and the fields of the search outcome that describe it;
        None and an empty dictionary if the algorithm needs no prior.

    Raises:
        UserError: the algorithm needs probabilities and the checkpoint contains none.
    """
    if config.required_method is None:
        return None, {}
    settings = config.differentiable
    theta = Theta(supernet, settings)
    theta.load(tensors)
    columns = theta.probabilities()
    told: dict[str, Any] = {
        "probabilities": {
            choice.name: dict(zip(choice.options, map(float, column), strict=True))
            for choice, column in zip(supernet.space.choices, columns, strict=True)
        }
    }
    cost = find_charged_cost(config)
    if cost is not None:
        told |= {"cost": cost, "unit": choose_cost_unit(table, settings, cost)}
    samples = settings.samples if settings.derive == "sample" else 1
    return Prior(tuple(column.double().cpu().numpy() for column in columns), samples), told
