"""The command `spos` with ways of training that are tried for supernets, and are not part of it.

Costly paths whose learning rate falls more slowly, momentum of its own for each group of paths, and
flips that alternate between epochs. `supernet_variants.py` runs it in place of `spos`:

    python benchmarks/supernet_tricks.py train --set supernet.method=slower-when-costly ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spos import CostTable
from spos._util.randomness import generator
from spos.data import images, load_data
from spos.training import METHODS, Method, Pass
from spos.training.checkpoint import write_tensors
from spos.training.methods.sandwich import Sandwich
from spos.training.methods.uniform import uniform_paths

#: How the names of momenta begin in a checkpoint.
MOMENTA = "group_momentum."


class SlowerWhenCostly(Method):
    """Uniform paths whose learning rate falls the more slowly, the more multiply-adds they have.

    With a linear schedule, that of a path is (1 - step / steps) to a power between 0.5, for the
    costliest network of the space, and 1.5 for the cheapest.

    Source: after Jeon et al., "Subnet-Aware Dynamic Supernet Training", CVPR 2025 (the idea; the
    powers are our choice).
    """

    label = "uniform paths, slower decay for costly ones"

    def __init__(self, *training: Any, **named: Any) -> None:
        super().__init__(*training, **named)
        self._costs = CostTable(self.supernet)
        self._least, self._most = self._costs.range()["flops"]

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        path = next(uniform_paths(self.supernet.space, self.seed, step))
        self.supernet.activate(path)
        cost = self._costs.cost(path)["flops"]
        share = (cost - self._least) / (self._most - self._least)
        left = 1 - step / self.recipe.steps
        given = self.forward(inputs, targets)
        # The schedule of the recipe is of power 1: the gradient brings the rest.
        yield Pass(given.loss * left ** (0.5 - share), given.outputs)


class MomentumByGroup(Method):
    """Uniform paths with a momentum of their own for each option of the first choice.

    Needs ``supernet.momentum=0`` and ten times the weight decay, which is then no part of it.

    Source: after Jeon et al. (the idea; they form the groups in another way).
    """

    label = "uniform paths, momentum by group"

    def __init__(self, *training: Any, **named: Any) -> None:
        super().__init__(*training, **named)
        self._group = 0
        self._momenta: dict[str, Tensor] = {}
        for name, parameter in self.supernet.named_parameters():
            parameter.register_post_accumulate_grad_hook(partial(self._accumulate, name))

    def _accumulate(self, name: str, parameter: nn.Parameter) -> None:
        key, gradient = f"{MOMENTA}{self._group}.{name}", parameter.grad
        if gradient is None:
            return
        kept = self._momenta.get(key)
        kept = gradient.clone() if kept is None else kept.mul_(0.9).add_(gradient)
        self._momenta[key] = kept
        # As by Nesterov, which is the default of the preset.
        gradient.add_(kept, alpha=0.9)

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        path = next(uniform_paths(self.supernet.space, self.seed, step))
        self.supernet.activate(path)
        self._group = path[0]
        yield self.forward(inputs, targets)

    def tensors(self) -> dict[str, Tensor]:
        return self._momenta

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self._momenta = {
            name: tensor.clone() for name, tensor in tensors.items() if name.startswith(MOMENTA)
        }


class AlternatingFlips(Sandwich):
    """The sandwich rule; each image is mirrored in every second epoch, half of them in the first.

    Needs ``supernet.augment=crop``, and begins anew with a resumed training.

    Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds", 2024, Section 3.6.
    """

    label = "the sandwich rule, alternating flips"

    def __init__(self, *training: Any, **named: Any) -> None:
        super().__init__(*training, **named)
        alternate_flips()


def alternate_flips() -> None:
    """Mirror each image in memory every second time it is read, half of them the first time."""
    seen: dict[int, Tensor] = {}
    plain = images.TensorImages.pixels

    def pixels(self: images.TensorImages, indices: Any) -> Tensor:
        found = plain(self, indices)
        if id(self) not in seen:
            begin = generator(0, "flips").integers(2, size=len(self))
            seen[id(self)] = torch.from_numpy(begin).bool()
        at, flips = images.as_indices(indices), seen[id(self)]
        flips[at] = ~flips[at]
        return torch.where(flips[at].view(-1, 1, 1, 1), found.flip(-1), found)

    images.TensorImages.pixels = pixels  # type: ignore[method-assign]


def whiten(source: str, image_size: int, channels: int, path: Path) -> None:
    """Write filters of 3 x 3 pixels for the stem: principal components of patches.

    Each responds to the images with variance 1, the components of the most variance first.

    Args:
        source: of the data.
        image_size: side of the images in pixels.
        channels: number of filters, at most 27 for images of three channels.
        path: of the file, for ``--init``.

    Source: Jordan, 2024, Section 3.2.
    """
    data = load_data(source, image_size=image_size, test=0.1)
    picked = generator(0, "whitening").permutation(len(data.train))[:2000]
    mean = torch.tensor(data.mean).view(-1, 1, 1)
    deviation = torch.tensor(data.std).view(-1, 1, 1)
    pixels = (data.train.pixels(sorted(picked.tolist())).float() / 255 - mean) / deviation
    patches = pixels.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    variances, vectors = torch.linalg.eigh(patches.flatten(1).T.cov())
    filters = (vectors / variances.sqrt()).T.flip(0)[:channels]
    write_tensors(path, {"model.stem.0.weight": filters.view(-1, *patches.shape[1:])}, {})


#: The methods by the names that `supernet.method` has for them.
TRIED: dict[str, type[Method]] = {
    "slower-when-costly": SlowerWhenCostly,
    "momentum-by-group": MomentumByGroup,
    "sandwich-alternating-flips": AlternatingFlips,
}


if __name__ == "__main__":
    from spos.__main__ import entry

    METHODS.update(TRIED)

    entry()
