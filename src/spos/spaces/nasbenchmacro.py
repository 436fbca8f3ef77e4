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

from spos._util.errors import UserError
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._layout import cluttered_plan, proxy_plans, sandwich_plan
from spos.spaces._mobile import MobileLayout, Place, inverted_residuals, mobile_supernet
from spos.spaces.blocks.mobile import convolution

#: Kernel and expansion of each block.
_BLOCKS = {"mb3_k3": (3, 3), "mb6_k5": (5, 6)}
#: Options in the order of the benchmark's digits.
OPTIONS = ("identity", *_BLOCKS)

_CIFAR = MobileLayout(
    image_size=32,
    stem_channels=32,
    stem_stride=1,
    channels=(64, 128, 256),
    depths=(2, 3, 3),
    strides=(2, 2, 2),
    head_channels=1280,
)
PRESETS = {
    "cifar": _CIFAR,
    # A quarter of the channels and half the resolution, so that it can be trained on a CPU.
    "proxy": replace(
        _CIFAR, image_size=16, stem_channels=8, channels=(16, 32, 64), head_channels=320
    ),
    # For the cluttered digits.
    "tiny": replace(
        _CIFAR,
        image_size=16,
        stem_channels=8,
        channels=(12, 16, 24),
        strides=(2, 2, 1),
        head_channels=64,
    ),
}


_PROXIES = proxy_plans()
PLANS = {
    "cifar": sandwich_plan(_PROXIES["cifar"]),
    # Small batches and images: more steps in the same minutes.
    "proxy": sandwich_plan(_PROXIES["proxy"], steps=7500, batch_size=32, nesterov=True),
    "tiny": cluttered_plan(),
}


def digits(names: Mapping[str, str]) -> str:
    """Return an architecture in the notation of the benchmark, one digit per layer.

    Raises:
        UserError: an option is unknown.

    Example:
        >>> digits({"stage1.0": "mb6_k5", "stage1.1": "identity"})
        '20'
    """
    unknown = [name for name in names.values() if name not in OPTIONS]
    if unknown:
        raise UserError(f"unknown option '{unknown[0]}': allowed: {', '.join(OPTIONS)}")
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
            identity = nn.Sequential(
                *convolution(place.inputs, place.outputs, 1, place.stride, activation=None)
            )
        return {"identity": identity, **inverted_residuals(place, _BLOCKS)}

    return mobile_supernet(layout, options, classes=classes, image_channels=image_channels)


SPACES["nasbenchmacro"] = Family(
    paper="Su et al., Prioritized Architecture Sampling (NAS-Bench-Macro), CVPR 2021",
    presets=PRESETS,
    build=nasbenchmacro,
    plans=PLANS,
    translate=translate,
    notation=digits,
)
