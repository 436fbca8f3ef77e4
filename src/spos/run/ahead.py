"""What is checked before a run begins, so that no stage fails after hours of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import fx, nn

from spos._util.errors import UserError
from spos.cost.cost import format_cost
from spos.cost.outputs import check_outputs, check_repeats
from spos.data import check_batch
from spos.data.augmentation import check_policy
from spos.data.own_augmentation import apply_own, find_augmentation, is_own
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.run.context import Context
from spos.run.differentiable import check_training_method
from spos.run.initial import check_beginning
from spos.run.network import (
    UNTRAINED,
    build_run_network,
    make_untrained,
    read_train_outcome,
)
from spos.run.outcome import RetrainOutcome
from spos.search import open_storage
from spos.spaces import SPACES


def check_ahead(context: Context, stages: tuple[str, ...]) -> None:
    """Check before the first stage what a later one would reject only after hours.

    Args:
        context (Context): the run.
        stages (tuple[str, ...]): its stages, of which some are not finished.

    Raises:
        UserError: a setting, the images or something of the user's own does not suit a stage.
    """
    config = context.config
    if context.workers.count > 1:
        context.check_picklable()
    if "train" in stages and read_train_outcome(context) is None:
        check_training_method(context)
        own = config.space not in SPACES.built_in
        if context.task.loss is None and context.data.classes:
            with torch.device("meta"):
                supernet = context.supernet()
            check_outputs(supernet, len(context.data.classes), everywhere=own)
        if own:
            check_repeats(context.supernet())
        if config.supernet.init:
            _ = context.data  # Its pixels are not to be on the meta device.
            with torch.device("meta"):
                models: list[nn.Module] = [context.supernet()]
            check_beginning(context, models, "supernet")
    if "search" in stages and config.constraint.storage:
        open_storage(config.constraint.storage)
    if {"train", "search"} <= {*stages}:
        for name in context.fitness.added:
            if name in UNTRAINED:
                make_untrained(context, name).check()
    for section, stage in (("supernet", "train"), ("retrain", "retrain")):
        if stage in stages and not context.directory.is_finished(stage):
            augment, device = getattr(config, section).augment, context.fabric.device
            if is_own(augment):
                # Not after hours: a function may return something else than an image.
                image = context.data.train.pixels([0]).to(device)
                apply_own(find_augmentation(augment), image, config.run.seed, 0, 0)
            else:
                check_policy(augment)  # Its package may be missing.
    if "retrain" in stages:
        data = context.data
        held_out = len(data.validation) * config.network.hold_out
        images = len(data.train) + len(data.validation) - held_out
        try:
            check_batch(config.retrain.batch_size, images, world_size=context.devices)
        except UserError as error:
            raise UserError(f"retrain: {error}") from None
        begins = (
            config.network.weights == "file" and context.directory.outcome(RetrainOutcome) is None
        )
        if config.network.name or (config.space in SPACES.built_in and not begins):
            return
        # Networks of a user's model may not be graphs: those of one option everywhere are traced.
        with torch.device("meta"):
            supernet = context.supernet()
            counts = supernet.space.option_counts
            networks = [
                supernet.subnet(min(option, count - 1) for count in counts)
                for option in range(max(counts))
            ]
        context.notes += [
            f"the model's forward never runs the OneOf '{path}'; it is still searched, and its "
            "parameters are counted"
            for path in unreached_choices(supernet, networks)
        ]
        if begins:
            check_beginning(context, list[nn.Module](networks), "network")


def unreached_choices(supernet: Supernet, networks: Iterable[fx.GraphModule]) -> list[str]:
    """List the places of choices that networks do not run, such as layers that were forgotten.

    Args:
        supernet (Supernet): supernet of a model.
        networks (Iterable[fx.GraphModule]): networks of it that have all options between them.

    Returns:
        Paths in the model of the choices that are not inside of an option.

    Example:
        >>> class Forgetful(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.used, self.forgotten = (
        ...             OneOf({"on": nn.Linear(2, 2), "off": nn.Identity()}) for _ in range(2)
        ...         )
        ...
        ...     def forward(self, x):
        ...         return self.used(x)
        >>> supernet = Supernet(Forgetful(), (2,))
        >>> unreached_choices(supernet, [supernet.subnet([0, 0]), supernet.subnet([1, 1])])
        ['forgotten']
    """
    reached = {
        path
        for network in networks
        for node in network.graph.nodes
        for path in node.meta.get("nn_module_stack", ())
    }
    outer = list[str]()
    for path, module in supernet.model.named_modules():
        inside = any(path.startswith(f"{one}.") for one in outer)
        # The whole model runs, whatever it is.
        if path and type(module) is OneOf and not inside:
            outer.append(path)
    return [path for path in outer if path not in reached]


def check_network(
    context: Context, stages: tuple[str, ...], compare: int, compare_with: Sequence[str]
) -> None:
    """Check that a network by name is not trained in the directory of a search.

    Its score would be mistaken for the winner's.

    Args:
        context (Context): the run, whose configuration names the network.
        stages (tuple[str, ...]): stages that were asked for.
        compare (int): number of random networks to compare with.
        compare_with (Sequence[str]): names of known networks to compare with.

    Raises:
        UserError: it is, or the network is not alone, or does not suit the images.
    """
    path, name = context.directory.path, context.config.network.name
    searched = any(map(context.directory.is_finished, ("train", "search")))
    if stages != ("retrain",) or searched:
        where = f"{path} contains a search: give another --out" if searched else "use spos retrain"
        raise UserError(f"--network {name}: a network by name is trained alone; {where}")
    if compare:
        raise UserError(
            f"--network {name} and --compare {compare}: random networks are compared only with the "
            "winner of a search; give one of the two, not both"
        )
    if compare_with:
        raise UserError(
            f"--network {name} and --compare-with {compare_with[0]}: known networks are compared "
            "only with the winner of a search; train each with --network, in a directory of its own"
        )
    done = context.directory.outcome(RetrainOutcome)
    if done is not None and done.architecture != name:
        raise UserError(
            f"{path} contains the training of {done.architecture}, not of {name}: give "
            "another --out"
        )
    _ = context.data  # Its pixels are not to be on the meta device.
    with torch.device("meta"):
        network, costs = build_run_network(context, name)
    for cost, bound, sign in () if done else context.config.bounds.bounds:
        if sign * costs[cost] > sign * bound:
            context.notes.append(
                f"{name} is trained although it has {cost} {format_cost(cost, costs[cost])}, "
                f"{'above the max' if sign > 0 else 'below the min'} of {format_cost(cost, bound)}"
            )
    if context.config.network.weights == "file" and done is None:
        check_beginning(context, [network], "network")
