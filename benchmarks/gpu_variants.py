"""The trainings that are compared on a GPU, and their images.

A part of ``gpu.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spos import Supernet
from spos._util.randomness import torch_seed
from spos.data.augmentation import augment, padding
from spos.spaces import family


class Variant(NamedTuple):
    """One training.

    Args:
        space: of the catalogue.
        layout: its preset.
        method: which paths a step trains: ``uniform``, ``sandwich`` or ``fair``.
        batch: images a step.
        rate: the highest learning rate.
        seed: of the training.
        average: of the weights over the steps, its decay; 0 for the last weights.
        changes: of the layout.
    """

    space: str = "nasbenchmacro"
    layout: str = "cifar"
    method: str = "uniform"
    batch: int = 128
    rate: float = 0.1
    seed: int = 0
    average: float = 0.0
    changes: tuple[tuple[str, Any], ...] = ()


_MORE = (("channels", (16, 32, 64)), ("depths", (2, 2, 2)))
VARIANTS = {
    "macro uniform": Variant(),
    "macro uniform, seed 1": Variant(seed=1),
    "macro proxy": Variant(layout="proxy", batch=64, changes=(("image_size", 32),)),
    "macro averaged weights": Variant(average=0.999),
    "macro sandwich": Variant(method="sandwich"),
    "macro strict fairness": Variant(method="fair"),
    "macro batch 256": Variant(batch=256, rate=0.1),
    "nasbench201 proxy": Variant("nasbench201", "proxy", batch=64),
    "nasbench201 wider": Variant("nasbench201", "proxy", changes=_MORE),
}
#: Layouts for a trial on a CPU, of the same numbers of layers.
SMALL = {
    "nasbenchmacro": {"image_size": 8, "stem_channels": 4, "head_channels": 16},
    "nasbench201": {"image_size": 8},
}
#: Images that are augmented at once.
CHUNK = 2048


def network(variant: Variant, dry: bool) -> Supernet:
    """The supernet of a variant."""
    spaces = family(variant.space)
    layout = replace(spaces.preset(variant.layout), **dict(variant.changes))
    if dry:
        layout = replace(layout, channels=(4, 8, 16), **SMALL[variant.space])
    return spaces.build(layout, classes=10)


class Data:
    """Images on the device, as bytes, split into those to train on and those held out.

    Args:
        folder: with ``images.pt``.
        device: where.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        stored = torch.load(folder / "images.pt", map_location=device)
        images, labels, held = stored["images"], stored["labels"], stored["held"]
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).to(device)
        self.held = images[order[:held]], labels[order[:held]]
        self.train = images[order[held:]], labels[order[held:]]
        self.calibration = stored["calibration"]
        few = self.train[0][:10_000].float() / 255
        self._mean = few.mean((0, 2, 3)).view(-1, 1, 1)
        self._deviation = few.std((0, 2, 3)).view(-1, 1, 1)

    def normalised(self, images: Tensor, layout: torch.memory_format) -> Tensor:
        """float32 of mean 0 and deviation 1."""
        result: Tensor = (images.float() / 255 - self._mean) / self._deviation
        return result.contiguous(memory_format=layout)

    def batches(
        self, size: int, seed: int, layout: torch.memory_format
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled, cropped and flipped, without an end; several batches are made at once."""
        images, labels = self.train
        device, side = images.device, images.shape[-1]
        random = torch.Generator(device).manual_seed(torch_seed(seed, "images"))
        while True:
            order = torch.randperm(len(images), generator=random, device=device)
            order = order[: len(order) // size * size]
            for rows in order.split(max(1, CHUNK // size) * size):
                high = 2 * padding(side) + 1
                shift = torch.randint(high, (len(rows), 2), generator=random, device=device)
                flip = torch.rand(len(rows), generator=random, device=device) < 0.5
                chunk = augment(images[rows], {"shift": shift, "flip": flip})
                inputs = self.normalised(chunk, layout)
                yield from zip(inputs.split(size), labels[rows].split(size), strict=True)

    def parts(
        self, layout: torch.memory_format
    ) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
        """The batches to recalibrate on, and those to measure on."""
        found = []
        for (images, labels), count, size in (
            (self.train, self.calibration, self.calibration // 3),
            (self.held, len(self.held[0]), 1250),
        ):
            inputs = self.normalised(images[:count], layout)
            found.append(list(zip(inputs.split(size), labels[:count].split(size), strict=True)))
        return found[0], found[1]
