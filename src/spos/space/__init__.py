"""Search spaces and architectures as plain data, independent of torch.

A search space is an ordered list of choices; an architecture picks one option of each choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, product
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, check_kind, nearest
from spos._util.files import parse_json
from spos.space.architecture import Architecture, Choice

__all__ = ["Architecture", "Choice", "SearchSpace"]


class SearchSpace:
    """An ordered list of choices.

    Args:
        choices (Iterable[Choice]): at least one choice, with distinct names.
        inside (Sequence | None): for each choice the places where it is read, each as the options
            that it is inside of: pairs of the position of a choice and the index of its option.
            None if none is inside of another.

    Raises:
        UserError: ``choices`` is empty, or two choices share a name.

    Example:
        >>> space = SearchSpace([Choice("stem", ("3x3", "5x5")), Choice("body", ("a", "b", "c"))])
        >>> space.size
        6
        >>> print(space.parse('{"stem": "5x5", "body": "c"}'))
        1,2
    """

    def __init__(
        self,
        choices: Iterable[Choice],
        inside: Sequence[Sequence[Sequence[tuple[int, int]]]] | None = None,
    ) -> None:
        # A text is named as a whole, and not its letters.
        text = isinstance(choices, str)
        listed: Any = tuple(choices) if isinstance(choices, Iterable) and not text else (choices,)
        for choice in listed:
            check_kind(choice, Choice, "choice of a search space", "a spos.Choice")
        self.choices: tuple[Choice, ...] = listed
        self._inside = inside
        if not self.choices:
            raise UserError("a search space needs at least one choice")
        names = [choice.name for choice in self.choices]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UserError(f"two choices of a search space are named '{repeated[0]}'")
        self.option_counts = tuple(len(choice.options) for choice in self.choices)

    @property
    def size(self) -> int:
        """Number of architectures in the space."""
        return math.prod(self.option_counts)

    def __len__(self) -> int:
        """Return the number of choices."""
        return len(self.choices)

    def __contains__(self, architecture: Any) -> bool:
        """Return whether option indices are an architecture of this space."""
        # Without this method, Python would iterate over every architecture.
        try:
            self.validate(architecture)
        except UserError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.choices == other.choices

    def __hash__(self) -> int:
        return hash(self.choices)

    def __repr__(self) -> str:
        return f"SearchSpace({len(self)} choices, {self.size:,} architectures)"

    def __iter__(self) -> Iterator[Architecture]:
        """Iterate over every architecture in lexicographic order."""
        return map(Architecture, product(*(range(count) for count in self.option_counts)))

    def validate(self, architecture: Iterable[int]) -> Architecture:
        """Check that option indices are an architecture of this space.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Returns:
            The architecture as Python integers.

        Raises:
            UserError: the number of indices is not the number of choices, or an index is not an
                integer or is out of range.

        Example:
            >>> SearchSpace([Choice("stem", ("3x3", "5x5"))]).validate([2])
            Traceback (most recent call last):
            ...
            spos.UserError: architecture 2: option 2 of choice 'stem' (position 1) is out \
of range, allowed: 0 (3x3), 1 (5x5)
        """
        try:
            if isinstance(architecture, (Mapping, Set)):
                # Their order is not that of the choices.
                raise TypeError
            valid = Architecture(map(index, architecture))
        except TypeError:
            raise UserError(
                f"architecture {architecture!r}: give whole numbers, one option index per choice"
            ) from None
        if len(valid) != len(self):
            raise UserError(
                f"architecture {valid} has {len(valid)} options, this space has {len(self)} choices"
            )
        for position, (option, choice) in enumerate(zip(valid, self.choices, strict=True), 1):
            if not 0 <= option < len(choice.options):
                allowed = ", ".join(f"{i} ({name})" for i, name in enumerate(choice.options))
                raise UserError(
                    f"architecture {valid}: option {option} of choice '{choice.name}' (position "
                    f"{position}) is out of range, allowed: {allowed}"
                )
        return valid

    def canonical(self, architecture: Iterable[int]) -> Architecture:
        """Return the one of all architectures of a network whose choices without effect are 0.

        A choice inside of an option has no effect while another option is chosen.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Raises:
            UserError: ``architecture`` is not in the space.

        Example:
            >>> block, kernel = Choice("block", ("skip", "conv")), Choice("kernel", ("3x3", "5x5"))
            >>> space = SearchSpace([block, kernel], [[[]], [[(0, 1)]]])
            >>> str(space.canonical([0, 1])), str(space.canonical([1, 1]))
            ('0,0', '1,1')
        """
        valid = self.validate(architecture)
        effects = self.effects(valid)
        return Architecture(o if has else 0 for o, has in zip(valid, effects, strict=True))

    def effects(self, architecture: Iterable[int]) -> list[bool]:
        """Return for each choice whether it has an effect, or is inside of other options alone.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Raises:
            UserError: ``architecture`` is not in the space.
        """
        valid = self.validate(architecture)
        if self._inside is None:
            return [True] * len(self)
        return [
            any(all(valid[at] == one for at, one in outer) for outer in places)
            for places in self._inside
        ]

    def inside(self, position: int) -> list[dict[int, int]]:
        """Return the options of other choices that a choice is inside of, for each of its places.

        Args:
            position (int): position of the choice.

        Example:
            >>> block, kernel = Choice("block", ("skip", "conv")), Choice("kernel", ("3x3", "5x5"))
            >>> space = SearchSpace([block, kernel], [[[]], [[(0, 1)]]])
            >>> space.inside(0), space.inside(1)
            ([{}], [{0: 1}])
        """
        return [{}] if self._inside is None else [dict(one) for one in self._inside[position]]

    def together(self, positions: Sequence[int]) -> list[list[int]]:
        """Group some choices, so that those inside of an option are with the choice of the option.

        Args:
            positions (Sequence[int]): positions of choices.

        Returns:
            Groups of indices of ``positions``, each in their order.

        Example:
            >>> block, kernel = Choice("block", ("skip", "conv")), Choice("kernel", ("3x3", "5x5"))
            >>> head = Choice("head", ("a", "b"))
            >>> space = SearchSpace([block, kernel, head], [[[]], [[(0, 1)]], [[]]])
            >>> space.together([0, 1, 2])
            [[0, 1], [2]]
        """
        groups = [[place] for place in range(len(positions))]
        for position in positions:
            places = () if self._inside is None else self._inside[position]
            outer = {at for one in places for at, _ in one} | {position}
            joined = [one for one in groups if any(positions[p] in outer for p in one)]
            apart = [one for one in groups if one not in joined]
            groups = [*apart, sorted(chain.from_iterable(joined))]
        return sorted(groups)

    def parse(self, text: str) -> Architecture:
        """Parse an architecture from option indices or from a JSON object of option names.

        Args:
            text (str): option indices joined by commas, or JSON as written by :meth:`to_json`.

        Raises:
            UserError: the text is neither, or is not an architecture of this space.
        """
        if isinstance(text, str) and text.lstrip().startswith("{"):
            return self.from_json(text)
        return self.validate(Architecture.from_text(text))

    def names(self, architecture: Iterable[int]) -> dict[str, str]:
        """Return the name of the selected option of each choice.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Example:
            >>> SearchSpace([Choice("stem", ("3x3", "5x5"))]).names([1])
            {'stem': '5x5'}
        """
        valid = self.validate(architecture)
        return {c.name: c.options[index] for c, index in zip(self.choices, valid, strict=True)}

    def from_names(self, names: Mapping[str, str]) -> Architecture:
        """Return the architecture given by a mapping from choice name to option name.

        Args:
            names (Mapping[str, str]): option name of each choice.

        Raises:
            UserError: a choice is missing or unknown, or has no such option.
        """
        check_kind(names, Mapping, "architecture", "the option name of each choice by its name")
        known = [choice.name for choice in self.choices]
        for name in names:
            if name not in known:
                raise UserError(f"this space has no choice '{name}': {nearest(name, known)}")
        missing = [name for name in known if name not in names]
        if missing:
            raise UserError(f"the architecture lacks the choice '{missing[0]}' of this space")
        return Architecture(choice.index(names[choice.name]) for choice in self.choices)

    def to_json(self, architecture: Iterable[int]) -> str:
        """Return an architecture as a JSON object from choice name to option name.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Example:
            >>> SearchSpace([Choice("stem", ("3x3", "5x5"))]).to_json([1])
            '{"stem": "5x5"}'
        """
        return json.dumps(self.names(architecture))

    def from_json(self, text: str) -> Architecture:
        """Parse a JSON object from choice name to option name.

        Args:
            text (str): JSON object; option names that are numbers may be written as numbers.

        Raises:
            UserError: the text is not a JSON object of option names, or is not an architecture of
                this space.
        """
        check_kind(text, str, "architecture", "a JSON object")
        try:
            names = parse_json(text)
        except ValueError as error:
            raise UserError(f"the architecture is not valid JSON: {error}") from None
        if not isinstance(names, dict):
            raise UserError("the architecture is not a JSON object from choice to option name")
        for name, value in names.items():
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise UserError(f"choice '{name}': {json.dumps(value)} is not an option name")
        return self.from_names({name: str(value) for name, value in names.items()})

    def sample(self, random: np.random.Generator) -> Architecture:
        """Sample an architecture uniformly, with an independent draw for each choice.

        Args:
            random (np.random.Generator): random number generator.

        Source: Guo et al., Section 3.2.

        Example:
            >>> space = SearchSpace([Choice("stem", ("3x3", "5x5"))])
            >>> space.sample(np.random.default_rng(0)) in space
            True
        """
        return Architecture(random.integers(self.option_counts).tolist())

    def sample_many(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Sample many architectures uniformly as one array.

        Args:
            count (int): number of architectures.
            random (np.random.Generator): random number generator.

        Returns:
            Option indices, shape (count, number of choices).
        """
        return random.integers(self.option_counts, size=(count, len(self)))

    def mutate(
        self, architecture: Architecture, random: np.random.Generator, probability: float = 0.1
    ) -> Architecture:
        """Resample each option with a given probability, uniformly from its choice's options.

        Args:
            architecture (Architecture): parent architecture.
            random (np.random.Generator): random number generator.
            probability (float): probability of resampling each option, in [0, 1].

        Source: Guo et al., Section 3.3 and Algorithm 1.
        """
        redrawn = random.random(len(self)) < probability
        fresh = random.integers(self.option_counts)
        return Architecture(np.where(redrawn, fresh, architecture).tolist())

    def crossover(
        self, mother: Architecture, father: Architecture, random: np.random.Generator
    ) -> Architecture:
        """Combine two parents by taking each option from either one with equal probability.

        Args:
            mother (Architecture): first parent.
            father (Architecture): second parent.
            random (np.random.Generator): random number generator.

        Source: Guo et al., Section 3.3 and Algorithm 1.
        """
        return Architecture(np.where(random.random(len(self)) < 0.5, mother, father).tolist())
