"""The stand-alone network that a run trains."""

from __future__ import annotations

import torch
from torch import nn

from spos._util.errors import UserError, nearest
from spos._util.randomness import torch_seed
from spos.cost import count_network
from spos.data import ImageData
from spos.run.context import Context
from spos.run.one_shot import calibration_loader, load_checkpoint
from spos.search.evaluation import recalibrate
from spos.spaces import family, is_name
from spos.spaces.zoo import NETWORKS, build_network


def build_run_network(
    context: Context,
    data: ImageData,
    text: str,
    seed: int | None = None,
    weights: str = "scratch",
) -> tuple[nn.Module, dict[str, int]]:
    """Build a stand-alone network, and count its costs.

    Args:
        context (Context): the run.
        data (ImageData): images of the run.
        text (str): architecture of the space, or the name of a published network.
        seed (int | None): seed of fresh weights; None for the seed of the run.
        weights (str): ``scratch`` for fresh weights, or ``supernet`` for those of the supernet,
            with the statistics of batch norm recalibrated.

    Returns:
        The network, and its costs by name.

    Raises:
        UserError: the network does not exist, has one width, or is not part of the supernet that
            its weights are to come from.
    """
    seed = context.config.run.seed if seed is None else seed
    width = context.config.network.width
    member, preset = family(context.config.space), context.config.preset
    own = text in member.networks and member.networks[text][0] == preset
    # An architecture of the run's own space is built with the layout of the run.
    if own or text not in NETWORKS:
        inherits = weights == "supernet"
        if inherits:
            supernet, _ = load_checkpoint(context)
        else:
            supernet = context.supernet(data, "retrain", seed)
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
                recalibrate(network, calibration_loader(context, data))
        return network, costs
    if weights != "scratch":
        raise UserError(
            f"network.weights {weights}: '{text}' is not a network of the supernet; give scratch"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "weights", "retrain"))
        network = build_network(
            text,
            classes=data.outputs,
            image_channels=data.channels,
            image_size=data.image_size,
            width=width,
        )
    return network, count_network(network, (data.channels, data.image_size, data.image_size))
