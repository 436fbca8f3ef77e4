"""Strict fairness: every option of every choice is trained equally often."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from spos._util.randomness import generator
from spos.space import Architecture, SearchSpace
from spos.training.method import METHODS, Loss, Method, Pass
from spos.training.recipe import Recipe


@METHODS.register("fair")
class Fair(Method):
    """Training of a group of paths per step that contains every option equally often.

    The group has as many paths as the largest choice has options. A choice with fewer options
    cycles through them across groups, so that no option is ever ahead of another by more than one
    path.

    The gradients of a group are averaged, whereas the paper sums them: multiply the learning rate
    by the number of paths in a group for the same update.

    Source: Chu et al., "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural
    Architecture Search", ICCV 2021, Section 3.3 and Algorithm 1.
    """

    label = "FairNAS"
    own_paths = True

    def __init__(self, model: nn.Module, loss: Loss, recipe: Recipe, seed: int) -> None:
        super().__init__(model, loss, recipe, seed)
        self.passes = max(self.supernet.space.option_counts)

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        for path in fair_paths(self.supernet.space, self.seed, step):
            self.supernet.activate(path)
            yield self.forward(inputs, targets)


def fair_paths(space: SearchSpace, seed: int, step: int) -> list[Architecture]:
    """Draw the paths of a step, as many as the largest choice has options.

    The paths depend only on the arguments.

    Example:
        >>> from spos.space import Choice
        >>> space = SearchSpace([Choice("body", ("a", "b", "c")), Choice("head", ("d", "e", "f"))])
        >>> [sorted(options) for options in zip(*fair_paths(space, 0, 0))]
        [[0, 1, 2], [0, 1, 2]]
    """
    size = max(space.option_counts)
    first = step * size
    columns = []
    for place, count in enumerate(space.option_counts):
        # A group is the next part of an endless sequence of permutations.
        numbers = range(first // count, (first + size - 1) // count + 1)
        row = [
            int(option)
            for number in numbers
            for option in generator(seed, "fair", place, number).permutation(count)
        ]
        columns.append(row[first % count :][:size])
    return [Architecture(options) for options in zip(*columns, strict=True)]
