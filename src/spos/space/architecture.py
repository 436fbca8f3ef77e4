"""A choice between options, and an architecture: one option of each choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from spos._util.errors import UserError, check_kind, nearest


@dataclass(frozen=True)
class Choice:
    """One decision of a search space: a name and the options to decide between.

    Args:
        name (str): name of the choice, unique in its space, such as ``"stage1.0"``.
        options (tuple[str, ...]): option names, at least one, all different.
        ordered (bool): whether the options are sizes, listed from the smallest to the largest.

    Raises:
        UserError: ``options`` are not names, are none, or contain a duplicate.

    Example:
        >>> Choice("stem", ("conv3x3", "conv5x5")).options
        ('conv3x3', 'conv5x5')
    """

    name: str
    options: tuple[str, ...]
    ordered: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        check_kind(self.name, str, "the name of a choice", "a text")
        names = isinstance(self.options, Iterable) and not isinstance(self.options, str)
        options = tuple(self.options) if names else (None,)
        if not all(isinstance(option, str) for option in options):
            raise UserError(
                f"choice '{self.name}': options {self.options!r:.80} must be names, such as "
                "('3x3', '5x5')"
            )
        object.__setattr__(self, "options", options)
        if not self.options:
            raise UserError(f"choice '{self.name}' has no option: give at least one")
        if len(set(self.options)) != len(self.options):
            raise UserError(
                f"choice '{self.name}' names an option twice: {', '.join(self.options)}"
            )

    def index(self, option: str) -> int:
        """Return the index of an option.

        Args:
            option (str): name of the option.

        Raises:
            UserError: the choice has no such option.

        Example:
            >>> Choice("stem", ("conv3x3", "conv5x5")).index("conv5x5")
            1
        """
        try:
            return self.options.index(option)
        except ValueError:
            hint = nearest(option, self.options)
            raise UserError(f"choice '{self.name}' has no option '{option}': {hint}") from None


class Architecture(tuple[int, ...]):
    """One option index per choice, in the order of the space: an immutable, hashable tuple.

    Its text form is the indices joined by commas. A space converts an architecture to option names
    and back (:meth:`SearchSpace.to_json`, :meth:`SearchSpace.parse`).

    Example:
        >>> architecture = Architecture((2, 1, 0))
        >>> print(architecture)
        2,1,0
        >>> architecture == Architecture.from_text("2,1,0")
        True
    """

    __slots__ = ()

    @classmethod
    def from_text(cls, text: str) -> Architecture:
        """Parse option indices joined by commas.

        Args:
            text (str): option indices, such as ``"2,1,0"``.

        Raises:
            UserError: the text is not integers joined by commas.
        """
        check_kind(text, str, "architecture", "a text, such as '2,1,0'")
        try:
            return cls(int(index) for index in text.split(","))
        except ValueError:
            raise UserError(
                f"architecture '{text}' is not option indices joined by commas, such as 2,1,0"
            ) from None

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def __repr__(self) -> str:
        return f"Architecture({self})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Pydantic models store architectures as text.
        from pydantic_core import core_schema

        def read(value: Any) -> Architecture:
            return value if isinstance(value, cls) else cls.from_text(str(value))

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.to_string_ser_schema()
        )
