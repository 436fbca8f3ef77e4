"""The base of every module that reads a choice."""

from __future__ import annotations

from spos._util.errors import UserError
from spos.nn.searchable import Searchable
from spos.space import Choice


class ChoiceModule(Searchable):
    """A module whose forward depends on one choice.

    A subclass reads ``self.active``, the index of the active option, in its forward, and says what
    plain torch module it is once the choice is made.

    Args:
        options: the names of the options.
        name: the name of the choice. Modules of one name share one choice, and must have the same
            options. Without a name the choice is called after the module's path in the model.
        ordered: whether the options are sizes, from the smallest to the largest.
    """

    def __init__(
        self, options: tuple[str, ...], name: str | None = None, *, ordered: bool = False
    ) -> None:
        super().__init__()
        self.choice_name = name
        self.option_names = Choice(name or type(self).__name__, options).options
        self.ordered = ordered
        self.active = 0

    def activate(self, option: int | str) -> None:
        """Make one option the active one.

        Args:
            option: its index or its name.

        Raises:
            UserError: there is no such option.
        """
        choice = Choice(self.choice_name or type(self).__name__, self.option_names)
        if isinstance(option, str):
            self.active = choice.index(option)
        elif 0 <= option < len(choice.options):
            self.active = option
        else:
            raise UserError(
                f"choice '{choice.name}' has no option {option}: allowed: "
                f"0 to {len(choice.options) - 1}"
            )
