"""The guide to one's own model: its code runs, and its mistakes say what it claims."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Architecture, CostTable, OneOf, OneShotEvaluator, Supernet, Task, UserError
from spos.cost.outputs import check_repeats
from spos.data import dataset_data
from spos.nn import ElasticConv2d, Width
from spos.run.task import check_picklable
from spos.search.score import score
from spos.training.checkpoint import Checkpoints
from spos.training.loop import train
from spos.training.recipe import Recipe

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "own_model.md").read_text("utf-8")
#: Every line of the list of mistakes; what the dots stand for is torch's.
LINES = re.findall(r"`([^`]+)`\n(?=[-\n])", GUIDE[GUIDE.index("## Error messages") :])


def convolution(kernel: int, *, padding: bool = True) -> nn.Conv2d:
    return nn.Conv2d(3, 8, kernel, padding=kernel // 2 if padding else 0)


def kernels(**options: Any) -> OneOf:
    return OneOf({"3x3": convolution(3, **options), "1x1": convolution(1)})


class Stream(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = ElasticConv2d(3, Width([4, 8]), 1)
        self.right = ElasticConv2d(3, Width([4, 8]), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = kernels()

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return x if x.mean() > 0 else -x


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x)


class Dropping(Deciding):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.body(x), training=self.training)


def named(model: type[nn.Module]) -> nn.Module:
    """A model whose class has the name that the guide gives it."""
    return type("Model", (model,), {})()


def supernet(*modules: nn.Module) -> Supernet:
    return Supernet(nn.Sequential(*modules), (3, 8, 8))


def shared_name() -> Supernet:
    first = OneOf({"1x1": convolution(1), "3x3": convolution(3)}, name="kernel")
    return supernet(first, OneOf({"3x3": nn.Conv2d(8, 8, 3)}, name="kernel"))


def other_shape() -> CostTable:
    head = nn.Linear(8 * 36, 10)
    return CostTable(supernet(kernels(padding=False), nn.Flatten(), head))


def trained(loss: Any) -> None:
    recipe = Recipe(steps=1, batch_size=4, learning_rate=0.1)
    batches = [(torch.zeros(4, 2), torch.zeros(4, 2))]
    fabric = Fabric(accelerator="cpu", devices=1)
    train(fabric, nn.Linear(2, 2), lambda step: batches, recipe, Nowhere(), seed=0, loss=loss)


class Nowhere(Checkpoints):
    """No training of a mistake comes far enough to save anything."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))

    def load(self, until: int | None = None) -> None:
        return None


def undefined() -> None:
    model = supernet(kernels(), OneOf({"relu": nn.ReLU(), "none": nn.Identity()}), nn.Flatten())
    images = [(torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long))]
    nan = OneShotEvaluator(
        model, lambda: images, lambda: images, metric=lambda outputs, targets: float("nan")
    )
    list(nan([Architecture((0, 0))]))


MISTAKES: dict[str, Callable[[], Any]] = {
    "Sequential has no choice": lambda: supernet(nn.ReLU()),
    "two modules share": shared_name,
    "Linear does not run": other_shape,
    "BatchNorm2d does not run": lambda: CostTable(
        supernet(ElasticConv2d(3, Width([4, 8]), 3), nn.BatchNorm2d(8))
    ),
    "Stream does not run": lambda: CostTable(Supernet(Stream(), (3, 8, 8))),
    "sizes 8, 4": lambda: Width([8, 4]),
    "the loss of the task is the class": lambda: Task(loss=nn.MSELoss),
    "a custom metric needs": lambda: Task(metric=max),
    "the targets of the dataset are values": lambda: Task().check(False, "dataset"),
    "train, item 0: label": lambda: dataset_data([(torch.zeros(1, 8, 8), 0.5)] * 2),
    "metric cannot be sent": lambda: check_picklable(
        Task("error", metric=lambda outputs, targets: 0), None
    ),
    "the model's output differs": lambda: check_repeats(supernet(kernels(), Noise())),
    "the loss returned": lambda: trained(nn.MSELoss(reduction="none")),
    "the metric returned": lambda: score(
        nn.Identity(), lambda: [(torch.ones(4), torch.ones(4))], lambda outputs, targets: outputs
    ),
    "the score of architecture": undefined,
    "Model cannot be written as one graph (…": lambda: Supernet(named(Deciding), (3, 8, 8)).subnet(
        [0]
    ),
    "Model cannot be written as one graph (it": lambda: Supernet(named(Dropping), (3, 8, 8)).subnet(
        [0]
    ),
}


@pytest.mark.parametrize("begins", MISTAKES)
def test_a_mistake_says_what_the_guide_says(begins: str):
    (line,) = [line for line in LINES if line.startswith(begins)]
    expected = ".+".join(map(re.escape, line.split("…")))
    with pytest.raises(UserError) as error:
        MISTAKES[begins]()
    # What torch says where the line ends in dots may have any form, but on the same line.
    assert re.fullmatch(expected, str(error.value)), str(error.value)


def test_every_line_of_the_guide_is_provoked():
    assert len(LINES) == len(MISTAKES) == len({*LINES})


def test_the_code_of_the_guide_runs():
    names: dict[str, Any] = {}
    code = "".join(re.findall(r"```python\n(.*?)```", GUIDE, re.S))
    exec(code, names)
    network, model = names["network"].eval(), names["supernet"].eval()
    model.activate(names["architecture"])
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(network(images), model(images))
    assert names["table"].cost(names["architecture"])["params"] == sum(
        parameter.numel() for parameter in network.parameters()
    )
    task = names["task"]
    batch = (torch.ones(3, 2), torch.zeros(3, 2))
    assert task.score(nn.Identity(), lambda: [batch]) == -1


def test_the_method_of_the_guide_is_ten_lines_and_trains_a_supernet(tmp_path: Path):
    guide = (DOCS / "own_method.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(from spos.training import Method.*?)```", guide, re.S)
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict[str, Any] = {}
    exec(code, names)
    model = supernet(kernels(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recipe = Recipe(steps=1, batch_size=4, learning_rate=0.1)
    batches = [(torch.randn(4, 3, 8, 8), torch.arange(4))]
    checkpoints, fabric = Checkpoints(tmp_path), Fabric(accelerator="cpu", devices=1)
    train(
        fabric,
        model,
        lambda step: batches,
        recipe,
        checkpoints,
        seed=0,
        method=names["Mirrored"],
    )
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    (option,) = {name.split(".options.")[1][0] for name in moved}
    assert int(option) == model.active[0]
