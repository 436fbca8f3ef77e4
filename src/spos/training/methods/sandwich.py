"""The sandwich rule: the largest path learns from the labels, the others from the largest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.training.method import METHODS, Method, Pass


@METHODS.register("sandwich")
class Sandwich(Method):
    """Training of the largest path, random paths and, if the space has sizes, the smallest path.

    In classification the other paths learn from the outputs of the largest path (in-place
    distillation), otherwise from the targets.

    The largest path has the largest sizes, and the module with the most weights of each choice
    between modules (the last one of equals). The smallest path has the smallest sizes but random
    modules, because a network that consists only of skip connections would learn nothing.

    Args:
        paths (int): random paths per step, at least 1; the papers use 2.
        distillation (bool): whether to distil in classification.

    Source: Yu and Huang, "Universally Slimmable Networks", ICCV 2019, Sections 3.1 and 3.3; Yu et
    al., "BigNAS", ECCV 2020, Section 3.1.
    """

    label = "the sandwich rule"
    own_paths = True
    settings = ("paths", "distillation")

    def __init__(
        self, *training: Any, paths: int = 1, distillation: bool = True, **named: Any
    ) -> None:
        super().__init__(*training, **named)
        self._distillation = distillation
        self._largest = find_largest_path(self.supernet)
        self._sized = any(choice.ordered for choice in self.supernet.space.choices)
        self.passes = 1 + paths + self._sized

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        random, space = self.random(step), self.supernet.space
        paths = [list(space.sample(random)) for _ in range(self.passes - 1)]
        if self._sized:
            paths[-1] = [
                0 if choice.ordered else option
                for choice, option in zip(space.choices, paths[-1], strict=True)
            ]
        self.supernet.activate(self._largest)
        first = self.forward(inputs, targets)
        yield first
        distilled = self._distillation and _are_classes(first.outputs, targets)
        for path in paths:
            self.supernet.activate(path)
            if not distilled:
                yield self.forward(inputs, targets)
                continue
            outputs = self.model(inputs)
            learned = first.outputs.detach().float().softmax(1)
            yield Pass(F.cross_entropy(outputs, learned), outputs)


def _are_classes(outputs: Any, targets: Tensor) -> bool:
    """Whether outputs are scores of classes, which a loss of the user's own may not need."""
    scores = isinstance(outputs, Tensor) and outputs.dim() == 2 and outputs.shape[1] > 1
    return scores and targets.dim() == 1 and not targets.is_floating_point()


def find_largest_path(supernet: Supernet) -> list[int]:
    """Select the option of each choice that has the largest size, or the most weights.

    Returns:
        One option index per choice.
    """
    choices = supernet.space.choices
    weights = {choice.name: [0] * len(choice.options) for choice in choices}
    for module in supernet.modules():
        if isinstance(module, OneOf) and module.choice_name is not None:
            for place, option in enumerate(module.options):
                weights[module.choice_name][place] += sum(p.numel() for p in option.parameters())
    # The options of a width have no weights of their own: all are equal, and the last counts.
    columns = (weights[choice.name] for choice in choices)
    return [max(range(len(one)), key=lambda place: (one[place], place)) for one in columns]
