"""The sandwich rule: the largest path learns from the labels, the others from the largest."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.training.method import METHODS, Loss, Method, Pass
from spos.training.recipe import Recipe


@METHODS.register("sandwich")
class Sandwich(Method):
    """The largest path, random ones, and the smallest where the space has sizes.

    Of classes, the others learn from what the largest path makes of the batch (in-place
    distillation); of other targets, from the targets.

    The largest path has the largest of all sizes, and of modules to choose between the one with
    the most weights, the last of equals. The smallest has the smallest sizes and random modules: a
    network of nothing but skips would teach nothing.

    Args:
        model (Supernet): trained.
        loss (Loss): of outputs and targets.
        recipe (Recipe): optimisation settings.
        seed (int): of the paths.
        paths (int): random paths a step, at least 1; the papers have 2.

    Source: Yu and Huang, "Universally Slimmable Networks", ICCV 2019, Sections 3.1 and 3.3; Yu et
    al., "BigNAS", ECCV 2020, Section 3.1.
    """

    label = "sandwich rule"
    settings = ("paths",)

    def __init__(
        self, model: nn.Module, loss: Loss, recipe: Recipe, seed: int, *, paths: int = 1
    ) -> None:
        super().__init__(model, loss, recipe, seed)
        self._largest = largest_path(self.supernet)
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
        for path in paths:
            self.supernet.activate(path)
            if targets.dim() != 1 or targets.is_floating_point():
                yield self.forward(inputs, targets)
                continue
            outputs = self.model(inputs)
            learned = first.outputs.detach().float().softmax(1)
            yield Pass(F.cross_entropy(outputs, learned), outputs)


def largest_path(supernet: Supernet) -> list[int]:
    """The option of each choice that has the largest size, or the most weights."""
    choices = supernet.space.choices
    weights = {choice.name: [0] * len(choice.options) for choice in choices}
    for module in supernet.modules():
        if isinstance(module, OneOf) and module.choice_name is not None:
            for place, option in enumerate(module.options):
                weights[module.choice_name][place] += sum(p.numel() for p in option.parameters())
    # A choice of anything but modules, such as a width, has no weights of its own: the last option.
    columns = (weights[choice.name] for choice in choices)
    return [max(range(len(one)), key=lambda place: (one[place], place)) for one in columns]
