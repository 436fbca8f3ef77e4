"""The release's weights must compute in our supernet what they compute in the release's network.

The reference is a network of its own, written from the published layout: names, channel counts,
and which channels enter which branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.nn.supernet import Supernet
from spos.spaces.official import INPUT_MEAN, INPUT_STD, classes_of, load_official, to_supernet
from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2

CLASSES = 1000
PATHS = [
    (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3),
    (0,) * 20,
    (1,) * 20,
    (2,) * 20,
    (3,) * 20,
]

State = dict[str, Tensor]


def alternate(x: Tensor) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    pairs = x.reshape(batch, channels // 2, 2, height, width).permute(2, 0, 1, 3, 4)
    return pairs[0], pairs[1]


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = x.chunk(2, dim=1)
    return first, second


def sequence(inputs: int, layers: list[tuple[str, int, int, int]]) -> nn.Sequential:
    """Layers of (kind, output channels, kernel, stride); all but depthwise ('dw') end in a ReLU."""
    modules: list[nn.Module] = []
    for kind, outputs, kernel, stride in layers:
        groups = inputs if kind == "dw" else 1
        pad = kernel // 2
        modules.append(nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False))
        modules.append(nn.BatchNorm2d(outputs, affine=False))
        if kind != "dw":
            modules.append(nn.ReLU())
        inputs = outputs
    return nn.Sequential(*modules)


class Unit(nn.Module):
    def __init__(self, inputs: int, outputs: int, option: int, stride: int) -> None:
        super().__init__()
        mid, kernel = outputs // 2, (3, 5, 7, 3)[option]
        entering = inputs if stride == 2 else inputs // 2
        leaving = outputs - entering
        if option < 3:
            layers = [("conv", mid, 1, 1), ("dw", mid, kernel, stride), ("conv", leaving, 1, 1)]
        else:
            layers = [("dw", entering, 3, stride), ("conv", mid, 1, 1), ("dw", mid, 3, 1)]
            layers += [("conv", mid, 1, 1), ("dw", mid, 3, 1), ("conv", leaving, 1, 1)]
        self.branch_main = sequence(entering, layers)
        if stride == 2:
            projection = [("dw", inputs, kernel, 2), ("conv", inputs, 1, 1)]
            self.branch_proj = sequence(inputs, projection)

    def forward(self, x: Tensor, split: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        if hasattr(self, "branch_proj"):
            return torch.cat((self.branch_proj(x), self.branch_main(x)), 1)
        passing, entering = split(x)
        return torch.cat((passing, self.branch_main(entering)), 1)


class Reference(nn.Module):
    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.first_conv = sequence(3, [("conv", 16, 3, 2)])
        self.features = nn.ModuleList()
        inputs = 16
        for outputs, depth in ((64, 4), (160, 4), (320, 8), (640, 4)):
            for number in range(depth):
                stride = 2 if number == 0 else 1
                units = (Unit(inputs, outputs, option, stride) for option in range(4))
                self.features.append(nn.ModuleList(units))
                inputs = outputs
        self.conv_last = sequence(640, [("conv", 1024, 1, 1)])
        self.globalpool = nn.AvgPool2d(7)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Sequential(nn.Linear(1024, classes, bias=False))

    def forward(
        self,
        x: Tensor,
        architecture: tuple[int, ...],
        split: Callable[[Tensor], tuple[Tensor, Tensor]] = alternate,
    ) -> Tensor:
        x = self.first_conv(x)
        for units, option in zip(self.features, architecture, strict=True):
            assert isinstance(units, nn.ModuleList)
            x = units[option](x, split)
        x = self.dropout(self.globalpool(self.conv_last(x)))
        logits: Tensor = self.classifier(x.reshape(-1, 1024))
        return logits


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Depthwise convolutions on a busy machine are many times slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reference() -> Reference:
    torch.manual_seed(0)
    network = Reference().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.2)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith("num_batches_tracked"):
            tensor.fill_(150000)
        elif tensor.dim() == 4:
            nn.init.kaiming_normal_(tensor)
    # The input is 0..255, so that is what the first statistics of the release are about.
    network.state_dict()["first_conv.1.running_var"].mul_(100.0**2)
    return network


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return shufflenetv2(PRESETS["imagenet"], classes=CLASSES).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Blue, green, red from 0 to 255."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (2, 3, 224, 224), generator=generator).float()


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest output of the image."""
    return float(((ours - theirs).abs().amax(1) / theirs.abs().amax(1)).max())


def blank(supernet: Supernet) -> None:
    for tensor in supernet.state_dict().values():
        tensor.zero_()


@torch.no_grad()
def test_every_path_equals_the_network_of_the_release(
    reference: Reference, supernet: Supernet, images: Tensor, tmp_path: Path
) -> None:
    torch.save(reference.state_dict(), tmp_path / "supernet.pth.tar")
    blank(supernet)
    to_supernet(load_official(tmp_path / "supernet.pth.tar"), supernet)
    for path in PATHS:
        supernet.activate(path)
        ours, theirs = supernet(images), reference(images, path)
        assert theirs.std() > 1e-3
        error = difference(ours, theirs)
        print(f"{path}: relative error {error:.1e}")
        assert error < 1e-5
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))
    assert difference(ours, reference(images, path, halves)) > 1e-2


@torch.no_grad()
def test_rgb_serves_normalised_rgb_images(
    reference: Reference, supernet: Supernet, images: Tensor
) -> None:
    before = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    to_supernet(reference.state_dict(), supernet, rgb=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (INPUT_MEAN, INPUT_STD))
    normalised = (images.flip(1) / 255 - mean) / std
    supernet.activate(PATHS[0])
    theirs = reference(images, PATHS[0])
    assert difference(supernet(normalised), theirs) < 1e-5
    assert difference(supernet(images), theirs) > 1e-2
    assert all(torch.equal(before[name], t) for name, t in reference.state_dict().items())


def test_the_number_of_classes_is_that_of_the_classifier() -> None:
    state = {"classifier.0.weight": torch.zeros(37, 1024)}
    assert classes_of(state) == 37
    with pytest.raises(UserError, match="classes x 1024"):
        classes_of({})


def test_names_and_shapes_must_fit_and_nothing_changes_otherwise(
    reference: Reference, supernet: Supernet
) -> None:
    good = reference.state_dict()
    blank(supernet)
    key = "features.3.2.branch_main.0.weight"
    cases: list[tuple[State, str]] = [
        ({n: t for n, t in good.items() if n != key}, f"1 missing ({key})"),
        (
            {n: t for n, t in good.items() if not n.startswith("features.19.")},
            "60 missing (features.19.0.branch_main.0.weight, ",
        ),
        ({**good, "extra.bias": torch.zeros(1)}, "1 unexpected (extra.bias)"),
        (
            {**good, key: torch.zeros(32, 32, 3, 3)},
            f"1 wrong-shaped ({key} 32x32x3x3 instead of 32x32x1x1)",
        ),
        ({**good, "classifier.0.weight": torch.zeros(10, 1024)}, "classes=10)"),
    ]
    for state, expected in cases:
        with pytest.raises(UserError) as raised:
            to_supernet(state, supernet)
        assert expected in str(raised.value)
        assert "\n" not in str(raised.value)
    assert not any(tensor.any() for tensor in supernet.state_dict().values())


def test_another_supernet_is_refused(reference: Reference) -> None:
    tiny = shufflenetv2(PRESETS["tiny"], classes=CLASSES)
    with pytest.raises(UserError, match=r'build it as shufflenetv2\(PRESETS\["imagenet"\]'):
        to_supernet(reference.state_dict(), tiny)
