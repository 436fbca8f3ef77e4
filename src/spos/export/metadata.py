"""What an exported network says of itself: everything that is needed to run it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import Field, PositiveInt
from torch import Tensor

from spos._util.errors import UserError
from spos._util.files import parse_json
from spos._util.interrupt import interruptible
from spos._util.records import from_plain
from spos._util.settings import LARGEST_SIDE
from spos._util.version import __version__

FORMAT_VERSION = 1
"""Version of the metadata; a reader refuses a later one."""
INPUT, OUTPUT = "images", "outputs"
"""Names of the input and the output of every exported network."""
_MARK = "spos_format"


Side: TypeAlias = Annotated[int, Field(gt=0, le=LARGEST_SIDE)]
"""Pixels of a side: what anybody has written is not to fill the memory."""


@dataclass(frozen=True)
class Metadata:
    """What an exported network reads, and what its outputs mean.

    The normalisation is part of the network: its input is uint8, shape (N, channels, image_size,
    image_size), red, green, blue or grey.

    Args:
        architecture (str): architecture, or the name of a published network.
        space (str): search space of the architecture.
        channels (int): 1 or 3.
        image_size (int): side of the square images in pixels.
        resized_side (int): length in pixels that the shorter side of a photograph is resized to
            before its centre is cut out.
        decoded_side (int): shorter side in pixels that a large JPEG may be decoded at.
        mean (tuple[float, ...]): mean of each channel on the scale 0 to 1.
        std (tuple[float, ...]): standard deviation of each channel.
        classes (tuple[str, ...]): name of each output; empty where outputs are values.
        outputs (int): numbers that the network computes for an image.
        metric (str): name of the metric.
        loss (str): name of the loss it was trained with.
        spos (str): version that wrote the file.

    Example:
        >>> network = Metadata("0,1", "shufflenetv2", 1, 8, 8, 8, (0.5,), (0.2,), ("a", "b"), 2)
        >>> Metadata.from_strings(network.to_strings()) == network
        True
    """

    architecture: str
    space: str
    channels: int
    image_size: Side
    resized_side: Side
    decoded_side: Side
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    outputs: PositiveInt
    metric: str = "top-1"
    loss: str = "cross-entropy"
    spos: str = __version__

    @property
    def classifies(self) -> bool:
        """Whether the outputs are logits of classes."""
        return bool(self.classes)

    def to_strings(self) -> dict[str, str]:
        """The fields as a file stores them: JSON by name."""
        fields = {name: json.dumps(value) for name, value in dataclasses.asdict(self).items()}
        return {_MARK: str(FORMAT_VERSION), **fields}

    @staticmethod
    def from_strings(strings: Mapping[str, str], where: object = "the file") -> Metadata:
        """Read the fields from a file.

        Args:
            strings (Mapping[str, str]): what the file stores beside the network.
            where (object): name of the file in an error.

        Raises:
            UserError: the file was not written by spos, by a later version, or is damaged.
        """
        if _MARK not in strings:
            raise UserError(
                f"{where} is not a model of spos: it lacks the metadata that spos export writes"
            )
        # In safetensors they are JSON, in which anybody may have written other values.
        if not all(isinstance(text, str) for text in strings.values()):
            raise UserError(f"{where} is damaged: its metadata is not texts by name")
        if strings[_MARK] != str(FORMAT_VERSION):
            raise UserError(
                f"{where}: its metadata is of version {strings[_MARK]:.20}, this spos reads "
                f"{FORMAT_VERSION}: install a later spos"
            )
        try:
            fields = {name: parse_json(text) for name, text in strings.items() if name in _NAMES}
        except ValueError as error:
            raise UserError(f"{where} is damaged: its metadata is not JSON ({error})") from None
        advice = "its metadata is incomplete"
        metadata = from_plain(Metadata, fields, str(where), advice, safe=True)
        channels, means, deviations = metadata.channels, len(metadata.mean), len(metadata.std)
        if channels not in (1, 3) or {means, deviations} != {channels}:
            raise UserError(
                f"{where} is damaged: {channels} channels, {means} means, {deviations} deviations"
            )
        if metadata.classes and len(metadata.classes) != metadata.outputs:
            raise UserError(
                f"{where} is damaged: {len(metadata.classes)} classes, {metadata.outputs} outputs"
            )
        return metadata


_NAMES = frozenset(field.name for field in dataclasses.fields(Metadata))


def reason(error: BaseException) -> str:
    """What an error says, on one line, for the end of a message."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@dataclass(frozen=True)
class OpenedNetwork:
    """An exported network that was opened, whatever its format.

    Args:
        metadata (Metadata): what the file says of it.
        run (Callable): from images, uint8, shape (N, C, S, S), to outputs, on the CPU.
        engine (str): what runs it, with its version.
    """

    metadata: Metadata
    run: Callable[[Tensor], Tensor]
    engine: str

    def outputs(self, images: Tensor) -> Tensor:
        """Outputs of the network, which may be anybody's and compute anything.

        Args:
            images (Tensor): uint8, shape (N, C, S, S).

        Raises:
            UserError: the network cannot be run, or its outputs are not those that its metadata
                promises.
        """
        try:
            outputs = interruptible(lambda: self.run(images))
        # onnxruntime and torch have exceptions without a common class.
        except Exception as error:
            raise UserError(f"the network cannot be run ({reason(error)})") from error
        count, given = len(images), list(outputs.shape)
        wanted = [count, self.metadata.outputs]
        fits = given == wanted if self.metadata.classifies else given[:1] == [count]
        if not fits:
            raise UserError(
                f"the network is damaged: its output has the shape {given}, expected is {wanted}"
            )
        if not outputs.is_floating_point() or not bool(outputs.isfinite().all()):
            raise UserError("the network is damaged: its outputs are not finite numbers")
        return outputs
