"""The catalogue of search spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spos.cost import CostModel, CostTable
from spos.errors import UserError, nearest
from spos.recipes import PLANS, Plan
from spos.space import Architecture, SearchSpace
from spos.spaces import (
    fbnet,
    nasbench201,
    nasbenchmacro,
    plain,
    proxylessnas,
    resnet_bits,
    shufflenetv2,
    shufflenetv2_channels,
)
from spos.supernet import Supernet


@dataclass(frozen=True)
class Family:
    """A search space with its presets.

    A space of your own joins the catalogue by ``SPACES["mine"] = Family(...)``, at the top level of
    a module; :func:`spos.pipeline.run` then takes ``{"space": {"name": "mine", ...}}``.

    Args:
        paper: where it was published.
        presets: layouts by name: dataclasses with at least ``image_size``, the side of the input.
        build: called as ``build(layout, classes=10, image_channels=3)``, makes the supernet.
        plans: the default settings of each preset.
        networks: published architectures of a preset by name: the name of the preset, and option
            indices joined by commas.
        costs: called as ``costs(supernet, eager=True)``, makes the costs of its architectures (see
            :class:`spos.cost.CostTable`).
        translate: turns the paper's own notation of an architecture into what the space reads, and
            leaves any other text as it is.
        notation: that notation of an architecture, given the option name of each choice.
    """

    paper: str
    presets: Mapping[str, Any]
    build: Callable[..., Supernet]
    plans: Mapping[str, Plan]
    networks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    costs: Callable[..., CostModel] = CostTable
    translate: Callable[[str], str] = str
    notation: Callable[[Mapping[str, str]], str] | None = None

    def preset(self, name: str) -> Any:
        """The layout of a preset.

        Raises:
            UserError: there is no such preset.
        """
        if name not in self.presets:
            raise UserError(f"unknown preset '{name}': {nearest(name, self.presets)}")
        return self.presets[name]

    def plan(self, name: str) -> Plan:
        """The default settings of a preset.

        Raises:
            UserError: there are none.
        """
        if name not in self.plans:
            raise UserError(f"no plan for the preset '{name}': {nearest(name, self.plans)}")
        return self.plans[name]

    def parse(self, space: SearchSpace, preset: str, text: str) -> Architecture:
        """Read an architecture: the name of a published one, or what the space itself reads.

        Args:
            space: of the preset.
            preset: its name.
            text: as given.

        Raises:
            UserError: it is none, or a published one of another preset.
        """
        if text in self.networks:
            published, text = self.networks[text][0], self.networks[text][1]
            if published != preset:
                raise UserError(
                    f"the published network is of the preset {published}, not of {preset}"
                )
        elif is_name(text):
            known = nearest(text, self.networks) if self.networks else "this space has none by name"
            raise UserError(f"unknown network '{text}': {known}")
        return space.parse(self.translate(text))

    def notated(self, names: Mapping[str, str]) -> dict[str, str]:
        """The paper's own notation of an architecture as a fact; none where there is no such thing.

        Args:
            names: the option of each choice.
        """
        return {} if self.notation is None else {"notation": self.notation(names)}


def is_name(text: str) -> bool:
    """Whether a text is meant as the name of a network, not as an architecture.

    Example:
        >>> is_name("fbnet_b"), is_name("0,1,2"), is_name("none~0|+|none~0|none~1|")
        (True, False, False)
    """
    return text[:1].isalpha() and not {"~", "|"} & set(text)


SPACES: dict[str, Family] = {
    "shufflenetv2": Family(
        paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020",
        presets=shufflenetv2.PRESETS,
        build=shufflenetv2.shufflenetv2,
        plans=PLANS,
        networks={name: ("imagenet", text) for name, text in shufflenetv2.PUBLISHED.items()},
    ),
    "shufflenetv2-channels": Family(
        paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (channels)",
        presets=shufflenetv2_channels.CHANNEL_PRESETS,
        build=shufflenetv2_channels.shufflenetv2_channels,
        plans=PLANS,
    ),
    "shufflenetv2-joint": Family(
        paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (joint)",
        presets=shufflenetv2_channels.JOINT_PRESETS,
        build=shufflenetv2_channels.shufflenetv2_channels,
        plans=PLANS,
        networks={"spos_block_channel": ("imagenet", shufflenetv2_channels.BLOCK_CHANNEL)},
    ),
    "fbnet": Family(
        paper="Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design, CVPR 2019",
        presets=fbnet.PRESETS,
        build=fbnet.fbnet,
        plans=PLANS,
        networks={name: ("imagenet", text) for name, text in fbnet.PUBLISHED.items()},
    ),
    "proxylessnas": Family(
        paper="Cai et al., ProxylessNAS: Direct Neural Architecture Search, ICLR 2019",
        presets=proxylessnas.PRESETS,
        build=proxylessnas.proxylessnas,
        plans=PLANS,
        networks={name: ("imagenet", text) for name, text in proxylessnas.PUBLISHED.items()},
    ),
    "nasbench201": Family(
        paper="Dong and Yang, NAS-Bench-201, ICLR 2020",
        presets=nasbench201.PRESETS,
        build=nasbench201.nasbench201,
        plans=nasbench201.PLANS,
        translate=nasbench201.translate,
        notation=nasbench201.architecture_string,
    ),
    "nasbenchmacro": Family(
        paper="Su et al., Prioritized Architecture Sampling (NAS-Bench-Macro), CVPR 2021",
        presets=nasbenchmacro.PRESETS,
        build=nasbenchmacro.nasbenchmacro,
        plans=nasbenchmacro.PLANS,
        translate=nasbenchmacro.translate,
        notation=nasbenchmacro.digits,
    ),
    "plain": Family(
        paper="Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017",
        presets=plain.PRESETS,
        build=plain.plain,
        plans={name: PLANS[name] for name in plain.PRESETS},
        costs=plain.plain_costs,
    ),
    "resnet-bits": Family(
        paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020 (bits)",
        presets=resnet_bits.PRESETS,
        build=resnet_bits.resnet_bits,
        plans={**PLANS, "imagenet34": PLANS["imagenet"]},
    ),
}


def family(name: str) -> Family:
    """A space of the catalogue.

    Raises:
        UserError: there is no such space.

    Example:
        >>> family("shuflenetv2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        spos.errors.UserError: unknown space 'shuflenetv2': did you mean 'shufflenetv2'? \
allowed: shufflenetv2, ...
    """
    if name not in SPACES:
        raise UserError(f"unknown space '{name}': {nearest(name, SPACES)}")
    return SPACES[name]
