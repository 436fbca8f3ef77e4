"""Known networks for a comparison: of the zoo, of other libraries, with weights of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spos._util.errors import UserError, is_out_of_memory
from spos._util.files import expand_home
from spos._util.randomness import torch_seed
from spos.cost.count import count_costs, count_network
from spos.cost.part import on_meta
from spos.run.context import Context
from spos.run.known_weights import digest_of, load_weights, match_weights
from spos.spaces.zoo import NETWORKS, build_network
from spos.spaces.zoo._libraries import build_library_network
from spos.training.weights import read_state

#: Width that is the largest one within the limits.
FIT = "fit"
#: Least and largest width, and the step between two, in hundredths.
LEAST, MOST, STEP = 10, 400, 5
#: Costs that a width is fitted to.
FITTED = ("flops", "params")


@dataclass(frozen=True)
class KnownName:
    """How a known network is named: ``[LIBRARY:]NAME[@WIDTH][=FILE]``.

    Args:
        text (str): all of it, as given.
        name (str): name of the network.
        library (str): other library that it is of; empty for the zoo.
        width (str): factor of its channels, or ``fit``; empty for its own.
        file (str): path of its weights; empty for fresh ones.
    """

    text: str
    name: str
    library: str = ""
    width: str = ""
    file: str = ""

    @property
    def stage(self) -> str:
        """Name of the stage of a run that trains it; another file is another stage."""
        name = re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.library} {self.name} {self.width}".strip())
        mark = f"-{digest_of(self.file)[:8]}" if self.file else ""
        return f"known-{name.strip('-')}{mark}"

    @property
    def weights(self) -> str:
        """What its training begins from, as it is stored."""
        if not self.file:
            return "scratch"
        return f"{Path(self.file).name} (sha256 {digest_of(self.file)[:16]})"


def parse_known(text: str) -> KnownName:
    """Parse the name of a known network.

    Args:
        text (str): such as ``mobilenet_v2``, ``mobilenet_v2@0.5``, ``mobilenet_v2@fit``,
            ``timm:mobilenetv3_small_050`` or ``torchvision:resnet18=weights.safetensors``.

    Raises:
        UserError: a part is missing, or the width is not valid.

    Example:
        >>> name = parse_known("timm:resnet18=weights.pth")
        >>> name.library, name.name, name.file
        ('timm', 'resnet18', 'weights.pth')
        >>> parse_known("mobilenet_v2@half")
        Traceback (most recent call last):
        ...
        spos.UserError: mobilenet_v2@half: the width must be a number from 0.1 to 4, or fit
    """
    front, equals, file = text.partition("=")
    named, at, width = front.partition("@")
    library, colon, name = named.rpartition(":")
    if not name or (equals and not file) or (colon and not library):
        raise UserError(
            f"'{text}' is not the name of a network; write NAME, NAME@WIDTH, timm:NAME or "
            "torchvision:NAME, and =FILE for its weights"
        )
    if at and width != FIT:
        try:
            valid = LEAST / 100 <= float(width) <= MOST / 100
        except ValueError:
            valid = False
        if not valid:
            raise UserError(
                f"{text}: the width must be a number from {LEAST / 100:g} to {MOST / 100:g}, or fit"
            )
    if at and library:
        raise UserError(f"{text}: {library} names its widths; leave out @{width}")
    return KnownName(text, name, library, width, file)


def check_name(text: str) -> None:
    """Check what needs no images of a known network: its name, and the file of its weights.

    Args:
        text (str): name of the network (:func:`parse_known`).

    Raises:
        UserError: there is no such network, or the file has no weights.
    """
    known = parse_known(text)
    if not known.library:
        NETWORKS.find(known.name)
    if known.file:
        read_state(expand_home(known.file))


def build_known(
    known: KnownName,
    *,
    classes: int,
    image_channels: int,
    image_size: int,
    maximum: Mapping[str, float],
) -> tuple[nn.Module, float]:
    """Build a known network with fresh weights.

    Args:
        known (KnownName): which one.
        classes (int): number of classes.
        image_channels (int): 3 for colour, 1 for grey images.
        image_size (int): side of the input in pixels.
        maximum (Mapping[str, float]): largest value of each bounded cost, for a width that fits.

    Returns:
        The network, and the factor of its channels.

    Raises:
        UserError: there is no such network, it does not scale, or nothing bounds its width.
    """
    sizes = {"classes": classes, "image_channels": image_channels, "image_size": image_size}
    if known.library:
        return build_library_network(known.library, known.name, **sizes), 1.0
    name, network = known.name, NETWORKS.find(known.name)
    if known.width and not network.scales:
        able = ", ".join(one for one in NETWORKS if NETWORKS[one].scales)
        raise UserError(f"{known.text}: '{name}' has one width; those with more are {able}")
    if known.width != FIT:
        width = float(known.width or 1)
    else:
        bounds = tuple((cost, maximum[cost]) for cost in FITTED if cost in maximum)
        if not bounds:
            raise UserError(
                f"{known.text}: nothing limits its width; give --max-flops or --max-params, or a "
                f"width such as {name}@0.5"
            )
        width = _fitting_width(name, tuple(sizes.items()), bounds)
    return build_network(name, **sizes, width=width), width


# Asked for before the training, for a plan, and in every process that trains.
@cache
def _fitting_width(
    name: str, sizes: tuple[tuple[str, int], ...], bounds: tuple[tuple[str, float], ...]
) -> float:
    """The largest width within the bounds; the least one if none is."""
    given = dict(sizes)
    shape = (given["image_channels"], given["image_size"], given["image_size"])

    def fits(hundredths: int) -> bool:
        with torch.device("meta"):
            network = build_network(name, **given, width=hundredths / 100)
        costs = count_network(network, shape)
        return all(costs[cost] <= limit for cost, limit in bounds)

    low, high = LEAST, MOST
    # Costs grow with the width.
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        low, high = (middle, high) if fits(middle) else (low, middle)
    return (high if high == MOST and fits(high) else low) / 100


def build_known_network(context: Context, text: str) -> tuple[nn.Module, dict[str, int], str]:
    """Build a known network for the images of a run, with its weights.

    Args:
        context (Context): the run.
        text (str): name of the network (:func:`parse_known`).

    Returns:
        The network, its costs by name, and what its training begins from.

    Raises:
        UserError: there is no such network, or its weights cannot be loaded.
    """
    known = parse_known(text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(context.config.run.seed, "weights", "retrain"))
        network, _ = build_known(known, **_sizes(context))
    if known.file:
        matched = load_weights(network, known.file, context.data.outputs)
        # A training that was begun has its weights already.
        begun = any((context.directory.path / known.stage).glob("step-*"))
        if not begun and context.fabric.is_global_zero:
            context.listener.message(f"--compare-with {text}: {matched.describe()}")
    return network, _count(context, network), known.weights


def check_known(context: Context, text: str) -> tuple[float, dict[str, int]]:
    """Check that a known network can be built and trained, without its weights in memory.

    Args:
        context (Context): the run.
        text (str): name of the network (:func:`parse_known`).

    Returns:
        The factor of its channels, and its costs by name.

    Raises:
        UserError: it cannot.
    """
    known = parse_known(text)
    sizes = _sizes(context)
    network, width = _without_weights(known, sizes)
    side, outputs = sizes["image_size"], sizes["classes"]
    batch = torch.empty(2, sizes["image_channels"], side, side, device="meta")
    try:
        found = on_meta(network).train()(batch)
        costs = _count(context, network)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{text} cannot be trained on images of {side} pixels: {reason}") from error
    if not isinstance(found, Tensor) or found.shape != (2, outputs):
        given = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{text}: its output in training is {given}; needed is [N, {outputs}]")
    if known.file:
        match_weights(network, read_state(expand_home(known.file)), known.file, outputs)
    return width, costs


def count_known_flops(names: Iterable[str], **sizes: Any) -> list[int]:
    """Count the multiply-adds of known networks.

    Args:
        names (Iterable[str]): names of the networks (:func:`parse_known`).
        **sizes: arguments of :func:`build_known`.

    Raises:
        UserError: there is no such network.

    Example:
        >>> given = {"classes": 10, "image_channels": 1, "image_size": 8}
        >>> count_known_flops(["mobilenet_v2@fit"], **given, maximum={"flops": 4e5})
        [293752]
    """
    channels, side = sizes["image_channels"], sizes["image_size"]
    counts = []
    # Each is trained once, whatever its names.
    for known in {one.stage: one for one in map(parse_known, names)}.values():
        network = _without_weights(known, sizes)[0]
        counts.append(count_network(network, (channels, side, side))["flops"])
    return counts


def _without_weights(known: KnownName, sizes: Mapping[str, Any]) -> tuple[nn.Module, float]:
    # Networks of other libraries may compute with what they draw, which the meta device cannot.
    with (
        torch.random.fork_rng(devices=[]),
        nullcontext() if known.library else torch.device("meta"),
    ):
        return build_known(known, **sizes)


def _sizes(context: Context) -> dict[str, Any]:
    data, bounds = context.data, context.config.bounds
    return {
        "classes": data.outputs,
        "image_channels": data.channels,
        "image_size": data.image_size,
        "maximum": bounds.maximum,
    }


def _count(context: Context, network: nn.Module) -> dict[str, int]:
    data = context.data
    shape = (data.channels, data.image_size, data.image_size)
    return count_costs(network, shape, context.config.costs)
