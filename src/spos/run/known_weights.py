"""Weights of known networks: those of a file, all but a classifier of other classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.files import expand_home, file_digest
from spos.spaces.zoo._libraries import InColour
from spos.training.weights import Matched, check_finite, read_state, take_state


def load_weights(network: nn.Module, file: str, outputs: int) -> Matched:
    """Load the weights of a file into a network; a classifier of other classes stays fresh.

    Args:
        network (nn.Module): network whose weights are replaced.
        file (str): file of weights (:func:`spos.training.weights.read_state`).
        outputs (int): number of classes.

    Returns:
        What was taken.

    Raises:
        UserError: the file cannot be read, or its weights are those of another network.
    """
    weights = read_state(expand_home(file))
    matched = match_weights(network, weights, file, outputs)
    take_state(_in_colour(network), weights, matched)
    return matched


def match_weights(
    network: nn.Module, weights: Mapping[str, Tensor], file: str, outputs: int
) -> Matched:
    """Match the weights of a file, of which one layer, the classifier, may be of other classes.

    Raises:
        UserError: the weights are those of another network, or no finite floats.
    """
    own = _in_colour(network).state_dict()
    for what, names in (("has no", own.keys() - weights), ("has also", weights.keys() - own)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{file} {what} {min(names)}{more}: it is of another network")
    other = tuple(name for name in own if own[name].shape != weights[name].shape)
    for name in other:
        here, there = own[name].shape, weights[name].shape
        # Another layer may have as many outputs as there are classes.
        alone = name.rpartition(".")[0] == other[0].rpartition(".")[0]
        if not (alone and here[:1] == (outputs,) and here[1:] == there[1:]):
            raise UserError(
                f"{file}: {name} has the shape {list(there)}, that of the network {list(here)}: "
                "it is of another network"
            )
    pairs = {name: name for name in own if name not in other}
    check_finite(own, weights, pairs, file)
    return Matched(pairs, other, other)


def digest_of(file: str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return file_digest(expand_home(file))
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}): give a checkpoint by torch.save or a "
            ".safetensors file"
        ) from error


def _in_colour(network: nn.Module) -> nn.Module:
    """The network itself, whose weights have the names that its library gives them."""
    return network.network if isinstance(network, InColour) else network
