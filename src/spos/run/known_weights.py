"""Weights of known networks, read from files of which nothing is executed."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.spaces.zoo._libraries import InColour


def load_weights(network: nn.Module, file: str, outputs: int) -> None:
    """Load the weights of a file into a network; a classifier of other classes stays fresh.

    Args:
        network (nn.Module): network whose weights are replaced.
        file (str): a ``.safetensors``, or a ``.pth`` of plain tensors.
        outputs (int): number of classes.

    Raises:
        UserError: the file cannot be read, or its weights are those of another network.
    """
    fitting = match_weights(network, read_weights(file), file, outputs)
    _in_colour(network).load_state_dict(fitting, strict=False)


def match_weights(
    network: nn.Module, weights: Mapping[str, Tensor], file: str, outputs: int
) -> dict[str, Tensor]:
    """The weights of a file that a network takes: all but those of a classifier of other classes.

    Raises:
        UserError: the weights are those of another network.
    """
    own = _in_colour(network).state_dict()
    for what, names in (("has no", own.keys() - weights), ("has also", weights.keys() - own)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{file} {what} {min(names)}{more}: it is of another network")
    other = [name for name in own if own[name].shape != weights[name].shape]
    for name in other:
        here, there = own[name].shape, weights[name].shape
        classifier = here[:1] == (outputs,) and here[1:] == there[1:]
        if not classifier:
            raise UserError(
                f"{file}: {name} has the shape {list(there)}, that of the network {list(here)}: "
                "it is of another network"
            )
    return {name: value for name, value in weights.items() if name not in other}


def read_weights(file: str) -> dict[str, Tensor]:
    """Read weights by name; nothing in a file is executed.

    Raises:
        UserError: the file is missing or damaged, or holds other things than tensors.
    """
    path = Path(file).expanduser()
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise UserError(f"{file}: not a file of weights; allowed: .safetensors, .pth")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file of weights") from None
    except pickle.UnpicklingError:
        raise UserError(
            f"{file} holds more than tensors, which could run code; allowed: the state_dict of a "
            "network"
        ) from None
    except (safetensors.SafetensorError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise UserError(f"{file} cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise UserError(f"{file}: not the state_dict of a network, whose values are tensors")
    return dict(content)


def digest_of(file: str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        UserError: there is no such file.
    """
    try:
        return hashlib.sha256(Path(file).expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error


def _in_colour(network: nn.Module) -> nn.Module:
    """The network itself, whose weights have the names that its library gives them."""
    return network.network if isinstance(network, InColour) else network
