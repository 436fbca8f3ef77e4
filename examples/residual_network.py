"""Search your own network, whose choices sit inside its forward code.

Run it with ``python examples/residual_network.py``: some 15 seconds on one core.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
import torch
from lightning_fabric import Fabric
from sklearn.datasets import load_digits
from torch import Tensor, nn

from spos import Constraint, CostTable, OneOf, OneShotEvaluator, Supernet
from spos.search import SearchSettings, search
from spos.training.checkpoint import Checkpoints
from spos.training.loop import train
from spos.training.recipe import Recipe


def conv(channels: int, kernel: int) -> nn.Sequential:
    same = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(same, nn.BatchNorm2d(channels), nn.ReLU())


class ResidualNetwork(nn.Module):
    """The choices: what each block adds to what passes by it."""

    def __init__(self, channels: int = 12, blocks: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            OneOf({f"conv{kernel}x{kernel}": conv(channels, kernel) for kernel in (1, 3, 5)})
            for _ in range(blocks)
        )
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.classifier(x.mean((2, 3)))


def main() -> None:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    labels = torch.tensor(digits.target)
    training, validation = slice(1300), slice(1300, None)

    torch.manual_seed(0)
    supernet = Supernet(ResidualNetwork(), input_shape=(1, 8, 8))
    table = CostTable(supernet)
    print(f"{supernet.space}, multiply-adds from {table.range()['flops']}")

    recipe = Recipe(steps=300, batch_size=64, learning_rate=0.1, warmup_steps=20)

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        # A function of the step alone, so that a training that was killed resumes exactly.
        for step in range(start, recipe.steps):
            random = torch.Generator().manual_seed(step)
            chosen = torch.randperm(1300, generator=random)[: recipe.batch_size]
            yield images[chosen], labels[chosen]

    with TemporaryDirectory() as folder:
        fabric = Fabric(accelerator="cpu", devices=1)
        train(fabric, supernet, batches, recipe, Checkpoints(Path(folder)), seed=0)

    evaluate = OneShotEvaluator(
        supernet,
        calibration=lambda: [(images[training], labels[training])],
        validation=lambda: [(images[validation], labels[validation])],
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    constraint = Constraint(maximum={"flops": 500_000})
    settings = SearchSettings(population=10, iterations=3, parents=5)
    best = search(supernet.space, table, constraint, evaluate, study, settings).top[0]
    print(f"found {best.architecture}: accuracy {best.score:.3f}, costs {best.costs}")

    # A plain network of torch modules alone, with the supernet's weights: train it on its own now.
    network = supernet.subnet(best.architecture)
    print(f"the network has {sum(p.numel() for p in network.parameters())} parameters")


if __name__ == "__main__":
    main()
