"""A choice between modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from spos._util.errors import UserError
from spos.nn.choice import ChoiceModule


class OneOf(ChoiceModule):
    """Several candidate modules, of which only the active one runs.

    Use it in place of a single module. Inactive candidates do not run, receive no gradient and are
    not updated.

    When ``mixture`` is set to pairs of an option index and a weight (a scalar tensor), exactly
    these options run, and the output is the weighted sum of their outputs.

    Args:
        options (Mapping[str, nn.Module]): candidates by name, in the order of their indices.
        name (str | None): name of the choice (see :class:`ChoiceModule`).

    Raises:
        UserError: ``options`` is empty, or has something else in it than modules by name.

    Example:
        >>> import torch
        >>> layer = OneOf({"linear": nn.Linear(4, 4), "skip": nn.Identity()})
        >>> layer.activate("skip")
        >>> torch.equal(layer(torch.ones(1, 4)), torch.ones(1, 4))
        True
        >>> layer.mixture = [(1, torch.tensor(0.5))]
        >>> layer(torch.ones(1, 2))
        tensor([[0.5000, 0.5000]])
    """

    def __init__(self, options: Mapping[str, nn.Module], name: str | None = None) -> None:
        given: dict[str, object] = {"options": options}
        if isinstance(options, (Mapping, nn.ModuleDict)):
            items = options.items()
            given = {f"option {key}": one for key, one in items if not isinstance(one, nn.Module)}
        for what, other in given.items():
            raise UserError(
                f"{what} of type {type(other).__name__}: allowed are modules by name, such as "
                "{'3x3': nn.Conv2d(8, 8, 3, padding=1), 'skip': nn.Identity()}"
            )
        super().__init__(tuple(options), name)
        self.options = nn.ModuleList(options.values())
        self.mixture: Sequence[tuple[int, Tensor]] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.mixture is not None:
            return self._mixed(self.mixture, *args, **kwargs)
        return self.options[self.active](*args, **kwargs)

    def _mixed(self, mixture: Sequence[tuple[int, Tensor]], *args: Any, **kwargs: Any) -> Tensor:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        total: Tensor | None = None
        for index, weight in mixture:
            versions = [value._version for value in given]
            output = self.options[index](*args, **kwargs)
            option = f"option '{self.option_names[index]}' of choice '{self.choice_name}'"
            if not isinstance(output, Tensor):
                raise UserError(
                    f"{option} gives a {type(output).__name__}: options that are mixed have to "
                    "give one tensor"
                )
            if total is not None and output.shape != total.shape:
                raise UserError(
                    f"{option} gives the shape {list(output.shape)}, the one before it "
                    f"{list(total.shape)}: options that are mixed have to give one shape"
                )
            if versions != [value._version for value in given]:
                # The options that run next would read a modified input.
                raise UserError(
                    f"{option} changes its input in place, so that it cannot be mixed with "
                    "others: set inplace=False in its first operation"
                )
            total = weight * output if total is None else total + weight * output
        assert total is not None
        return total

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return copy(self.options[self.active])

    def extra_repr(self) -> str:
        return f"active={self.option_names[self.active]}"
