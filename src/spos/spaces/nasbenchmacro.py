"""Search space of NAS-Bench-Macro: the block of each of 8 layers.

Every stage halves the resolution, including the first. In a layer that changes the shape, the
identity is a 1x1 convolution with batch norm, as in the authors' release.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021,
Section 4 and Appendix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._mobile import MobileLayout, mobile_supernet
from spos.spaces._stages import Place, cluttered_defaults, proxy_defaults, sandwich_defaults
from spos.spaces.blocks.convolution import convolution
from spos.spaces.blocks.mobile import inverted_residual

#: Kernel and expansion of each block.
_BLOCKS = {"mb3_k3": (3, 3), "mb6_k5": (5, 6)}
#: Options in the order of the benchmark's digits.
OPTIONS = ("identity", *_BLOCKS)

_CIFAR = MobileLayout(
    32, 32, (64, 128, 256), (2, 3, 3), strides=(2, 2, 2), head_channels=1280, stem_stride=1
)
PRESETS = {
    "cifar": _CIFAR,
    # A quarter of the channels and half the resolution, so that it can be trained on a CPU.
    "proxy": replace(_CIFAR.scaled_throughout(0.25), image_size=16),
    # For the cluttered digits.
    "tiny": MobileLayout(
        16, 8, (12, 16, 24), (2, 3, 3), strides=(2, 2, 1), head_channels=64, stem_stride=1
    ),
}

_PROXIES = proxy_defaults()
DEFAULTS = {
    "cifar": sandwich_defaults(_PROXIES["cifar"]),
    # Small batches and images: more steps in the same minutes.
    "proxy": sandwich_defaults(_PROXIES["proxy"], steps=7500, batch_size=32, nesterov=True),
    "tiny": cluttered_defaults(),
}


def digits(names: Mapping[str, str]) -> str:
    """Return an architecture in the notation of the benchmark, one digit per layer.

    Example:
        >>> digits({"stage1.0": "mb6_k5", "stage1.1": "identity"})
        '20'
    """
    return "".join(str(OPTIONS.index(name)) for name in names.values())


def translate(text: str) -> str:
    """Convert the notation of the benchmark to option indices; return other text unchanged.

    Example:
        >>> translate("20112002"), translate("2,0")
        ('2,0,1,1,2,0,0,2', '2,0')
    """
    stripped = text.strip()
    return ",".join(stripped) if stripped.isdecimal() else text


def nasbenchmacro(layout: MobileLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of NAS-Bench-Macro.

    Args:
        layout (MobileLayout): layout such as ``PRESETS["cifar"]``, the network of the benchmark.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Source: Su et al., Section 4.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     supernet = nasbenchmacro(PRESETS["cifar"], classes=10)
        >>> supernet.space.size
        6561
    """

    def options(place: Place) -> dict[str, nn.Module]:
        identity: nn.Module = nn.Identity()
        if not place.keeps_shape:
            inputs, outputs, stride = place.sizes
            identity = nn.Sequential(*convolution(inputs, outputs, stride=stride, activation=None))
        made = {name: inverted_residual(*place.sizes, *row) for name, row in _BLOCKS.items()}
        return {"identity": identity, **made}

    return mobile_supernet(layout, options, classes=classes, image_channels=image_channels)


SPACES["nasbenchmacro"] = Family(
    paper="Su et al., Prioritized Architecture Sampling (NAS-Bench-Macro), CVPR 2021",
    presets=PRESETS,
    build=nasbenchmacro,
    defaults=DEFAULTS,
    translate=translate,
    notation=digits,
)
