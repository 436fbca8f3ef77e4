"""Networks of other libraries, built for a number of classes: timm and torchvision."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from spos._util.errors import UserError, nearest
from spos._util.libraries import reason, require_library

#: Names of other libraries that an error lists at most.
MOST_LISTED = 5


class InColour(nn.Module):
    """A network for colour images that reads grey ones: all three channels are the grey one.

    Args:
        network (nn.Module): network for images of 3 channels.

    Example:
        >>> import torch
        >>> InColour(nn.Conv2d(3, 8, 3))(torch.zeros(2, 1, 5, 5)).shape
        torch.Size([2, 8, 3, 3])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """Return the output of the network."""
        return self.network(x.expand(-1, 3, -1, -1))


def _timm(library: Any, name: str, classes: int, image_size: int) -> nn.Module:
    facts = library.get_pretrained_cfg(name)
    # Networks for one image size, such as vision transformers, are built for another on demand.
    sized = {"img_size": image_size} if facts and facts.fixed_input_size else {}
    network: nn.Module = library.create_model(name, pretrained=False, num_classes=classes, **sized)
    return network


def _torchvision(library: Any, name: str, classes: int, image_size: int) -> nn.Module:
    network: nn.Module = library.models.get_model(name, weights=None, num_classes=classes)
    return network


#: How each library builds a network, and lists the names of those it has.
_LIBRARIES: dict[str, tuple[Callable[..., nn.Module], Callable[[Any], list[str]]]] = {
    "timm": (_timm, lambda library: list(library.list_models())),
    "torchvision": (
        _torchvision,
        # Those of the sub-packages detect, segment and so on.
        lambda library: list(library.models.list_models(module=library.models)),
    ),
}
LIBRARIES = tuple(_LIBRARIES)


def build_library_network(
    library: str, name: str, *, classes: int, image_channels: int, image_size: int
) -> nn.Module:
    """Build a classification network of another library with fresh weights.

    Args:
        library (str): one of :data:`LIBRARIES`.
        name (str): what the library calls the network.
        classes (int): number of classes.
        image_channels (int): 3 for colour, 1 for grey images.
        image_size (int): side of the input in pixels.

    Raises:
        UserError: the library or the network is unknown, or cannot be imported or built.

    Example:
        >>> build_library_network("tim", "resnet18", classes=2, image_channels=3, image_size=32)
        Traceback (most recent call last):
        ...
        spos.UserError: unknown library 'tim': did you mean 'timm'? allowed: timm, torchvision
    """
    if library not in _LIBRARIES:
        raise UserError(f"unknown library '{library}': {nearest(library, LIBRARIES)}")
    build, list_names = _LIBRARIES[library]
    module = require_library(library)
    known = list_names(module)
    # A name of timm may end in that of weights, which are not loaded.
    base = name.partition(".")[0] if library == "timm" else name
    if base not in known:
        close = get_close_matches(name, known, n=MOST_LISTED, cutoff=0.5)
        near = f"did you mean {', '.join(close)}?" if close else f"it has {len(known)} networks"
        raise UserError(f"{library} has no network '{name}': {near}")
    try:
        network = build(module, base, classes, image_size)
    except Exception as error:
        # Whatever somebody else's code raises.
        raise UserError(f"{library} cannot build '{name}': {reason(error)}") from error
    return network if image_channels == 3 else InColour(network)
