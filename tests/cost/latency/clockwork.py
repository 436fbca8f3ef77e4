"""Layers of a small supernet, and a backend whose clock is made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import fx, nn

from spos.cost.latency.backend import Sample, Sampler, Step
from spos.cost.latency.record import Runtime
from spos.nn import OneOf


def layer(inputs: int, outputs: int) -> OneOf:
    options: dict[str, nn.Module] = {
        "3x3": nn.Conv2d(inputs, outputs, 3, padding=1),
        "1x1": nn.Conv2d(inputs, outputs, 1),
    }
    if inputs == outputs:
        options["skip"] = nn.Identity()
    return OneOf(options)


def weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class Clock:
    """A backend that takes as many nanoseconds as there are weights, and a little in each round."""

    def __init__(self, once: int = 0, each: int = 0, drift: float = 0.0) -> None:
        self.loaded: list[str] = []
        self.sampled = 0
        self.once, self.each, self.drift = once, each, drift
        self.before_sample: Callable[[], None] = lambda: None

    def __call__(self, runtime: Runtime, kept: Path | None) -> Clock:
        return self

    @property
    def versions(self) -> dict[str, str]:
        return {"clock": "1"}

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        self.loaded.append(str(network))
        whole = any(isinstance(m, nn.Linear) for m in network.modules())
        convolutions = sum(isinstance(m, nn.Conv2d) for m in network.modules())
        # A part alone has nothing beside it; a whole network, which holds both, has.
        beside = self.once + self.each * (convolutions + 1) if whole and convolutions else 0
        return lambda noise: 1000.0 * weights(network) + beside + noise

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        def sample() -> Sample:
            self.before_sample()
            self.sampled += 1
            noise = self.drift * (self.sampled % 2)
            return Sample(tuple(step(noise) for step in steps), 10)

        return sample
