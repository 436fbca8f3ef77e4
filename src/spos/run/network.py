"""The networks of a run: its trained supernet, and stand-alone ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spos._util.errors import UserError, nearest
from spos._util.randomness import generator, torch_seed
from spos.cost.count import count_costs
from spos.data import Images, StreamedImages, evaluation_batches, training_batches
from spos.nn.supernet import Supernet
from spos.run.context import Context
from spos.run.outcome import TrainOutcome
from spos.search.activations import Untrained
from spos.search.naswot import Naswot
from spos.search.patterns import Patterns
from spos.search.recalibration import Loader, recalibrate
from spos.spaces import family, is_name
from spos.spaces.zoo import NETWORKS, build_network
from spos.training.checkpoint import load_model
from spos.training.method import Batches
from spos.training.recipe import Recipe

#: Training images that scores of untrained networks are about, as in the papers within a factor of
#: two.
UNTRAINED_IMAGES = 64
#: Scores of untrained networks, by the names of their weights.
UNTRAINED: dict[str, type[Untrained]] = {"naswot": Naswot, "patterns": Patterns}
#: Bytes of streamed images that are decoded once for all evaluations.
HELD = 512 << 20


def read_train_outcome(context: Context) -> TrainOutcome | None:
    """Read the outcome of the supernet's training; None while it is not finished."""
    outcome = context.directory.outcome(TrainOutcome)
    method = context.config.required_method
    if outcome is None and method and context.directory.is_finished("search"):
        # In runs of early versions the search trained theta itself and left no outcome of its own.
        outcome = TrainOutcome(seconds=0.0, steps=context.config.supernet.steps, method=method)
    return outcome


def load_checkpoint(context: Context, member: int = 0) -> tuple[Supernet, dict[str, Tensor]]:
    """Load a trained supernet of a run and the tensors of its checkpoint.

    Args:
        context (Context): the run.
        member (int): number of the supernet, below ``supernet.members``.

    Returns:
        The supernet on the device of the run, and the tensors of the last checkpoint by name.

    Raises:
        UserError: the supernet is not trained, its checkpoint is damaged, or it was trained on
            another number of classes.
    """
    path, steps = context.directory.path, context.config.supernet.steps
    outcome = read_train_outcome(context)
    if outcome is None:
        raise UserError(f"{path} has no trained supernet: run spos train first")
    data = context.data
    if outcome.classes not in (None, data.outputs):
        raise UserError(
            f"the supernet of {path} was trained on {outcome.classes} classes, {data.source} has "
            f"{data.outputs}: give the images that it was trained on"
        )
    folder = context.config.supernet.folders[member]
    loaded = context.directory.checkpoints(folder).load()
    if loaded is None or loaded.step < steps:
        there = 0 if loaded is None else loaded.step
        damaged = "; ".join(loaded.damaged) if loaded else ""
        which = f"{folder}: " if member else ""
        raise UserError(
            f"{path} no longer has a trained supernet: {which}its checkpoint is at step {there} of "
            f"{steps}"
            f"{damaged and f' ({damaged})'}; restore the checkpoint, or delete train.json and run "
            "spos train to train the rest again"
        )
    supernet = context.supernet()
    load_model(supernet, loaded.tensors)
    if context.config.run.channels_last:
        supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return supernet.to(context.fabric.device), loaded.tensors


def load_further(context: Context) -> list[Supernet]:
    """Load the trained supernets of a run other than the first."""
    members = context.config.supernet.members
    return [load_checkpoint(context, member)[0] for member in range(1, members)]


def make_untrained(context: Context, name: str) -> Untrained:
    """Make a score of untrained networks, on training images.

    Args:
        context (Context): the run.
        name (str): name of the score in :data:`UNTRAINED`.
    """
    train = context.data.train
    order = generator(context.config.run.seed, name).permutation(len(train))
    images = train.subset(sorted(order[:UNTRAINED_IMAGES].tolist()))
    inputs, _ = next(iter(loader(context, images)()))
    return UNTRAINED[name](context.supernet(name).to(context.fabric.device), inputs)


def loader(context: Context, images: Images) -> Loader:
    """Make a loader of evaluation batches on the device of a run."""
    device, size = context.fabric.device, context.config.run.evaluation_batch
    if isinstance(images, StreamedImages) and images.nbytes <= HELD:
        # Every candidate is evaluated on the same few.
        images = images.in_memory()
    images = images.to(device)
    return lambda: context.in_memory_format(
        evaluation_batches(context.data, images, batch_size=size, device=device)
    )


def racing_loader(context: Context) -> Loader:
    """Make a loader of the validation images in random order, for candidates that race.

    Any of them that come first are then like the others, in whatever order the source has them.
    """
    images = context.data.validation
    order = generator(context.config.run.seed, "racing").permutation(len(images))
    return loader(context, images.subset(order.tolist()))


def training_loader(
    context: Context, images: Images, recipe: Recipe, seed: int, channels_last: bool, steps: int = 0
) -> Batches:
    """Make a function from a step of a training to the batches from this step on.

    Args:
        context (Context): the run.
        images (Images): images to train on.
        recipe (Recipe): batch size, augmentation and steps.
        seed (int): seed of the batches.
        channels_last (bool): memory format.
        steps (int): step to stop before; 0 for the steps of the recipe.
    """
    fabric = context.fabric
    images = images.to(fabric.device)
    return lambda start: context.in_memory_format(
        training_batches(
            context.data,
            images,
            batch_size=recipe.batch_size,
            seed=seed,
            start=start,
            steps=steps or recipe.steps,
            augment=recipe.augment,
            device=fabric.device,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        ),
        channels_last,
    )


def calibration_loader(context: Context) -> Loader:
    """Make a loader of the training images for the recalibration of batch norm."""
    settings, train = context.config.run, context.data.train
    count = min(settings.calibration, len(train))
    # The mean over batches is the mean over images only where all batches are full.
    whole = max(count - count % settings.evaluation_batch, min(count, settings.evaluation_batch))
    # In this order: in that of a folder, a batch would be of one class or two, and the variance
    # between classes would be left out.
    chosen = generator(settings.seed, "calibration").permutation(len(train))[:whole]
    return loader(context, train.subset(chosen.tolist()))


def build_run_network(
    context: Context, text: str, seed: int | None = None, weights: str = "scratch"
) -> tuple[nn.Module, dict[str, int]]:
    """Build a stand-alone network, and count its costs.

    Args:
        context (Context): the run.
        text (str): architecture of the space, or the name of a published network.
        seed (int | None): seed of fresh weights; None for the seed of the run.
        weights (str): ``supernet`` for the weights of the supernet, with the statistics of batch
            norm recalibrated; otherwise they are fresh.

    Returns:
        The network, and its costs by name.

    Raises:
        UserError: the network does not exist, has one width, or is not part of the supernet that
            its weights are to come from.
    """
    seed, data = context.config.run.seed if seed is None else seed, context.data
    width = context.config.network.width
    member, preset = family(context.config.space), context.config.preset
    own = text in member.networks and member.networks[text][0] == preset
    # An architecture of the run's own space is built with the layout of the run.
    if own or text not in NETWORKS:
        inherits = weights == "supernet"
        supernet = load_checkpoint(context)[0] if inherits else context.supernet("retrain", seed)
        if is_name(text) and text not in member.networks:
            known = nearest(text, dict.fromkeys((*NETWORKS, *member.networks)))
            raise UserError(f"unknown network '{text}': {known}")
        architecture = member.parse(supernet.space, preset, text)
        if width != 1:
            raise UserError(
                f"network.width {width}: '{text}' is a network of the space "
                f"{context.config.space}, whose width is layout.width"
            )
        # Counted on the supernet, because bit operations cannot be counted on a traced graph.
        costs = context.costs(supernet, eager=False).cost(architecture)
        network: nn.Module = supernet.subnet(architecture)
        if inherits:
            with context.fabric.autocast():
                recalibrate(network, calibration_loader(context))
        return network, costs
    if weights == "supernet":
        raise UserError(
            f"network.weights {weights}: '{text}' is not a network of the supernet; give scratch"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "weights", "retrain"))
        channels, size, classes = data.channels, data.image_size, data.outputs
        network = build_network(
            text, classes=classes, image_channels=channels, image_size=size, width=width
        )
    return network, count_costs(network, (channels, size, size), context.config.costs)
