"""Supernets as users build them, each small enough for a test."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable

import hypothesis
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spos import OneOf, Supernet
from spos.export import exporting
from spos.run.planning import measuring
from spos.search import training_free
from spos.spaces.shufflenetv2 import PRESETS, Layout, shufflenetv2

# Modules and collected tests live until the end; searching them for garbage took a tenth of the
# suite's time.
gc.disable()
# Small convolutions on a busy machine are many times slower on two threads than on one.
torch.set_num_threads(1)
# Tests send SIGHUP, which this process and those that it starts would ignore under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
hypothesis.settings.register_profile(
    "spos", deadline=None, derandomize=True, database=None, max_examples=30
)
hypothesis.settings.load_profile("spos")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are measured as briefly as can be, and the spread of scores on few networks."""
    monkeypatch.setattr(measuring, "LEAST", 0.0)
    monkeypatch.setattr(exporting, "TIMED_SECONDS", 0.01)
    monkeypatch.setattr(training_free, "SAMPLE", 4)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Classifier(nn.Sequential):
    """A sequence with a class of its own; it has no choice, so it is one stage in any case."""

    def __init__(self, inputs: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


class Residual(nn.Module):
    """Choices inside forward code, in blocks that refer to them a second time."""

    def __init__(self, blocks: int = 6, channels: int = 6) -> None:
        super().__init__()
        self.stem = convolution(3, channels, 3)
        self.blocks = nn.ModuleList(
            OneOf(
                {
                    "3x3": convolution(channels, channels, 3),
                    "5x5": convolution(channels, channels, 5),
                    "1x1": convolution(channels, channels, 1),
                    "skip": nn.Identity(),
                }
            )
            for _ in range(blocks)
        )
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + self.scale * block(x)
        return self.head(x.mean((2, 3)))


def widths(count: int) -> list[nn.Module]:
    """Convolutions between layers whose widths are choices: a cost is a product of two of them."""
    options = (2, 3, 4, 6)

    def to(inputs: int, layer: int) -> OneOf:
        return OneOf(
            {str(outputs): convolution(inputs, outputs, 3) for outputs in options},
            name=f"width{layer}",
        )

    layers: list[nn.Module] = [to(3, 0)]
    for layer in range(1, count):
        between = {str(inputs): to(inputs, layer) for inputs in options}
        layers.append(OneOf(between, name=f"width{layer - 1}"))
    last = {str(inputs): Classifier(inputs) for inputs in options}
    return [*layers, OneOf(last, name=f"width{count - 1}")]


def tied() -> list[nn.Module]:
    """Layers with one weight in all that take their first option: a cost depends on all of them."""
    shared = nn.Conv2d(3, 3, 3, padding=1)
    return [
        OneOf({"shared": shared, "own": nn.Conv2d(3, 3, 3, padding=1), "none": nn.Identity()})
        for _ in range(6)
    ]


class Chain(nn.Module):
    """Modules one after the other, in forward code."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.flip(1)


class Pair(nn.Module):
    """Reads two tensors and gives two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.left = convolution(channels, channels, 3)
        self.right = OneOf({"1x1": convolution(channels, channels, 1), "skip": nn.Identity()})

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        left, right = pair
        return right, self.left(left) + self.right(right)


class Join(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = Classifier(channels)

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return self.head(pair[0] + pair[1])


def strides() -> nn.Sequential:
    """Options that change the shape of everything after them."""

    def reduce(inputs: int, outputs: int) -> OneOf:
        return OneOf(
            {
                "stride1": convolution(inputs, outputs, 3),
                "stride2": convolution(inputs, outputs, 3, stride=2),
                "pool": nn.Sequential(nn.AvgPool2d(3, 3), convolution(inputs, outputs, 1)),
            }
        )

    return nn.Sequential(reduce(3, 4), reduce(4, 6), convolution(6, 6, 3), Classifier(6))


def shared() -> nn.Sequential:
    """One choice that decides two modules, around another choice."""

    def kernel(inputs: int) -> OneOf:
        return OneOf({str(k): convolution(inputs, 6, k) for k in (1, 3, 5)}, name="kernel")

    middle = OneOf({"relu": nn.ReLU(inplace=True), "conv": convolution(6, 6, 3)}, name="middle")
    return nn.Sequential(kernel(3), middle, kernel(6), Classifier(6))


def nested() -> nn.Sequential:
    """A choice inside an option of another choice."""
    inner = OneOf({"3x3": convolution(4, 4, 3), "5x5": convolution(4, 4, 5)})
    outer = OneOf(
        {"plain": convolution(3, 4, 1), "deep": nn.Sequential(convolution(3, 4, 1), inner)}
    )
    return nn.Sequential(outer, Classifier(4))


def reused() -> nn.Sequential:
    """Modules that stand at two places of a sequence: one without and one with weights."""
    activation, again = nn.Sigmoid(), convolution(4, 4, 3)
    choice = OneOf({"3x3": nn.Conv2d(4, 4, 3, padding=1), "1x1": nn.Conv2d(4, 4, 1)})
    first = OneOf({"3x3": nn.Conv2d(3, 4, 3, padding=1), "1x1": nn.Conv2d(3, 4, 1)})
    return nn.Sequential(first, activation, again, choice, activation, again, Classifier(4))


def inplace() -> nn.Sequential:
    """Stages that begin by changing their input."""

    def stage() -> OneOf:
        return OneOf(
            {
                "3x3": nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 3, 3, padding=1)),
                "add": nn.Hardtanh(-0.5, 0.5, inplace=True),
                "norm": nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm2d(3)),
            }
        )

    return nn.Sequential(stage(), stage(), stage(), Classifier(3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "residual": Residual,
    "widths": lambda: Chain(widths(6)),
    "tied": lambda: Chain(tied()),
    "widths in sequence": lambda: nn.Sequential(*widths(3)),
    "strides": strides,
    "shared": shared,
    "nested": nested,
    "reused": reused,
    "inplace": inplace,
    "pair": lambda: nn.Sequential(Split(), Pair(3), Pair(3), Join(3)),
}


#: A network of the catalogue: 4 blocks, 256 architectures.
SMALL = Layout(
    image_size=8,
    stem_channels=8,
    stem_stride=1,
    channels=(16, 32),
    depths=(2, 2),
    strides=(1, 2),
    head_channels=32,
    dropout=0.0,
)


def build(name: str) -> Supernet:
    """A supernet with random weights and random batch-norm statistics, the same ones every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layouts = {**PRESETS, "small": SMALL}
        if name in layouts:
            supernet = shufflenetv2(layouts[name], classes=10)
        else:
            supernet = Supernet(MODELS[name](), (3, 9, 9))
        for module in supernet.modules():
            if isinstance(module, _BatchNorm):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    return supernet


@pytest.fixture(scope="session")
def make_supernet() -> Callable[[str], Supernet]:
    """Build one of ``MODELS``, "small", or a preset for 10 classes; a new one at every call."""
    return build


@pytest.fixture(scope="session")
def supernet_of() -> Callable[[str], Supernet]:
    """As ``make_supernet``, but one for all tests, which must leave it as it is."""
    built: dict[str, Supernet] = {}

    def get(name: str) -> Supernet:
        if name not in built:
            built[name] = build(name).eval()
        return built[name]

    return get
