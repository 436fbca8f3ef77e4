"""What a model file says of itself: everything that classifying an image with it needs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spos._util.errors import UserError
from spos._util.version import __version__

#: The version of what is written; a reader refuses a later one.
FORMAT = 1
#: The names of the input and of the output of every exported network.
INPUT, OUTPUT = "images", "outputs"
#: The key that marks a file of ours, and holds the version of what is written.
_MARK = "spos_format"


@dataclass(frozen=True)
class Metadata:
    """What an exported network reads, and what its outputs mean.

    The normalisation is part of the network: its input is uint8 [N, channels, image_size,
    image_size], red, green, blue or grey.

    Args:
        architecture: of the network, as text, or the name of a published network.
        space: that it is a point of.
        channels: 1 or 3.
        image_size: the side of its square images in pixels.
        resized_side: what the shorter side of a photograph is resized to before its middle is cut
            out, in pixels.
        decoded_side: the shorter side that a large JPEG may be decoded at, in pixels.
        mean: of each channel, on the scale 0 to 1; subtracted inside of the network.
        std: of each channel; divided by inside of the network.
        classes: the name of each output; none where the outputs are values.
        outputs: how many numbers the network gives for an image.
        metric: what it was judged by.
        loss: what it was trained with.
        spos: the version that wrote the file.

    Example:
        >>> network = Metadata("0,1", "shufflenetv2", 1, 8, 8, 8, (0.5,), (0.2,), ("a", "b"), 2)
        >>> Metadata.from_strings(network.to_strings()) == network
        True
    """

    architecture: str
    space: str
    channels: int
    image_size: int
    resized_side: int
    decoded_side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    outputs: int
    metric: str = "top-1"
    loss: str = "cross-entropy"
    spos: str = __version__

    @property
    def classifies(self) -> bool:
        """Whether the outputs tell classes apart."""
        return bool(self.classes)

    def to_strings(self) -> dict[str, str]:
        """The facts as a file holds them: JSON under the name of each."""
        facts = {name: json.dumps(value) for name, value in dataclasses.asdict(self).items()}
        return {_MARK: str(FORMAT), **facts}

    @staticmethod
    def from_strings(strings: Mapping[str, str], where: object = "the file") -> Metadata:
        """Read the facts from a file.

        Args:
            strings: what the file holds beside the network.
            where: how an error names the file.

        Raises:
            UserError: the file is none of ours, of a later version, or damaged.
        """
        if _MARK not in strings:
            raise UserError(
                f"{where} is no model of spos: it lacks the metadata that spos export writes"
            )
        if strings[_MARK] != str(FORMAT):
            raise UserError(
                f"{where}: its metadata is of version {strings[_MARK]!s:.20}, this spos reads "
                f"{FORMAT}: install a later spos"
            )
        try:
            names = [field.name for field in dataclasses.fields(Metadata)]
            facts: dict[str, Any] = {name: json.loads(strings[name]) for name in names}
            for name, value in facts.items():
                facts[name] = tuple(value) if isinstance(value, list) else value
            metadata = Metadata(**facts)
            metadata.check()
        except (KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{where} is damaged: its metadata is not whole ({reason})") from None
        return metadata

    def check(self) -> None:
        """Refuse facts that do not fit together.

        Raises:
            ValueError: such facts.
        """
        sides = (self.image_size, self.resized_side, self.decoded_side)
        numbers = (*sides, self.outputs)
        if any(type(number) is not int or number < 1 for number in numbers):
            raise ValueError(f"sides {sides}, outputs {self.outputs}: whole numbers from 1")
        if self.channels not in (1, 3) or {len(self.mean), len(self.std)} != {self.channels}:
            raise ValueError(f"{self.channels} channels, {len(self.mean)} means")
        if not isinstance(self.classes, tuple) or not all(
            isinstance(name, str) for name in self.classes
        ):
            raise ValueError("classes are no names")
        if self.classes and len(self.classes) != self.outputs:
            raise ValueError(f"{len(self.classes)} classes, {self.outputs} outputs")
