"""Data sources by name, and what each of them returns."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from spos._util.errors import UserError, explain
from spos._util.registry import Registry
from spos._util.settings import LARGEST_SIDE, Settings
from spos.data.images import Images, TensorImages
from spos.data.split import Size, check_size

RESIZE_BATCH = 1000
"""Images resized at a time: as float32 they need four times their memory."""
WHOLE = "integers from 0, one for each image"
"""What the labels of arrays are."""


@dataclass(frozen=True)
class DataOptions(Settings):
    """How images are read and split, whatever their source.

    Args:
        image_size (int | None): side of the square images in pixels, 1 to 65,536; None for the
            source's own.
        validation (int | float): size of the validation set: a number of images, or a fraction
            in (0, 1) of the training images.
        test (int | float): size of the test set, where the source has none of its own.
        seed (int): seed of the validation split, at least 0.
        on_broken (str): ``"fail"`` at a broken file, or ``"skip"`` it.
        stream (str): ``"never"`` holds decoded images in memory, ``"always"`` decodes them when
            they are needed, ``"auto"`` does so above ``memory_limit``.
        workers (int): processes that decode streamed images; 0 decodes in this process.
        memory_limit (int): bytes of decoded training images, at least 0.

    Raises:
        UserError: a value is out of range.

    Example:
        >>> DataOptions(workers=-1)
        Traceback (most recent call last):
        ...
        spos.UserError: workers -1: must be at least 0
    """

    image_size: Annotated[int, Field(ge=1, le=LARGEST_SIDE)] | None = None
    validation: Size = 0.1
    test: Size = 0.1
    seed: Annotated[int, Field(ge=0)] = 0
    on_broken: Literal["fail", "skip"] = "fail"
    stream: Literal["auto", "always", "never"] = "auto"
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_limit: Annotated[int, Field(ge=0)] = 4 << 30

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("validation", self.validation)
        check_size("test", self.test)

    def streams(self, count: int, channels: int, image_size: int) -> bool:
        """Whether images are decoded when they are needed instead of held in memory.

        Args:
            count (int): number of training images.
            channels (int): 1 or 3.
            image_size (int): side in pixels.
        """
        if self.stream == "auto":
            return count * channels * image_size**2 > self.memory_limit
        return self.stream == "always"


@dataclass
class Source:
    """All images of a source, before the validation set is split off.

    Args:
        train (Images): training images; emptied when a set is split off, if they own their memory.
        classes (Sequence[str]): name of each class; empty where targets are values.
        test (Images | None): test images; None to split them off ``train``.
        validation (Images | None): validation images; None to split them off ``train``.
        skipped (list[str]): broken files that were left out, each with the reason.
        notes (list[str]): decisions made for the user, one line each.
    """

    train: Images
    classes: Sequence[str]
    test: Images | None = None
    validation: Images | None = None
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


SourceFunction = Callable[[str, DataOptions], Source]
"""Called with what follows the colon of ``--data NAME:ARGUMENT``, and the options."""

SOURCES: Registry[SourceFunction] = Registry("data source", "spos.data.sources", "spos.sources")
"""What ``--data`` can name: one module each in ``spos/data/sources``, and plug-ins."""


def find_source(spec: str) -> SourceFunction:
    """The function of a source.

    Args:
        spec (str): source, as ``NAME`` or ``NAME:ARGUMENT``.

    Raises:
        UserError: there is none of that name.
    """
    name = spec.partition(":")[0]
    if name not in SOURCES and (os.path.isdir(spec) or spec.lower().endswith(".zip")):
        raise UserError(f"the path of a folder or an archive; write folder:{spec}")
    return SOURCES.find(name)


@contextmanager
def named_in_errors(spec: str) -> Iterator[None]:
    """Name a source in the error of what reads it, in one line.

    Args:
        spec (str): source, as ``NAME`` or ``NAME:ARGUMENT``.
    """
    try:
        yield
    # Such as of a folder that may not be read.
    except (UserError, OSError) as error:
        raise UserError(f"--data {spec:.300}: {explain(error)}") from error
    except Exception as error:
        name = spec.partition(":")[0]
        if name in SOURCES.built_in or explain(error) is not None:
            raise
        # Whatever a source of somebody else's raises, such as of an argument that it cannot read.
        raise UserError(
            f"--data {spec:.300}: the source {name} failed ({type(error).__name__}: {error})"
        ) from error


def array_source(
    images: Any,
    labels: Any,
    options: DataOptions,
    *,
    test: tuple[Any, Any] | None = None,
    classes: Sequence[str] | None = None,
) -> Source:
    """A source whose images are arrays of one size, held in memory.

    Args:
        images (Tensor | numpy.ndarray): training images, uint8, shape (N, C, H, W), C 1 or 3.
        labels (Tensor | numpy.ndarray): class of each, integers from 0, shape (N,).
        options (DataOptions): how the images are read.
        test (tuple | None): images and labels of the test set; None to split it off.
        classes (Sequence[str] | None): name of each class; numbers if None.

    Raises:
        UserError: shapes or types differ from these, or ``stream`` is ``"always"``.

    Example:
        >>> images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        >>> source = array_source(images, [0, 1, 0, 1], DataOptions(image_size=6))
        >>> source.train.image_size, source.classes
        (6, ['0', '1'])
    """
    if options.stream == "always":
        raise UserError("stream always: this source is always held in memory; allowed: auto, never")

    def read(images: Any, labels: Any) -> TensorImages:
        pixels = _as_tensor(images, "images", "uint8 [N, C, H, W]")
        if pixels.dtype != torch.uint8 or pixels.dim() != 4:
            raise UserError(
                f"images of {pixels.dtype}, shape {list(pixels.shape)}; allowed: uint8 [N, C, H, W]"
            )
        side = options.image_size or min(pixels.shape[2:])
        numbers = _as_tensor(labels, "labels", WHOLE)
        if numbers.is_floating_point() or numbers.is_complex():
            raise UserError(f"labels of {numbers.dtype}; allowed: {WHOLE}")
        if numbers.shape != pixels.shape[:1]:
            raise UserError(
                f"labels of shape {list(numbers.shape)} for {len(pixels)} images; allowed: one for "
                "each image"
            )
        return TensorImages(resize(pixels, side), numbers.to(torch.int64))

    train = read(images, labels)
    names = classes or [str(label) for label in range(int(train.labels.max()) + 1)]
    tested = None if test is None else read(*test)
    for part in filter(None, (train, tested)):
        least, most = int(part.labels.min()), int(part.labels.max())
        if least < 0 or most >= len(names):
            wrong = least if least < 0 else most
            raise UserError(
                f"label {wrong}, but there are {len(names)} classes; allowed: 0 to {len(names) - 1}"
            )
    return Source(train, names, tested)


def _as_tensor(values: Any, what: str, allowed: str) -> Tensor:
    try:
        return torch.as_tensor(values)
    # Of text, of rows of several lengths, or of no numbers at all.
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{what} of type {type(values).__name__}; allowed: {allowed}") from None


def resize(images: Tensor, image_size: int) -> Tensor:
    """Cut out the centre and resize it by antialiased bicubic interpolation, as for files.

    Example:
        >>> resize(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 16).shape
        torch.Size([2, 1, 16, 16])
    """
    side = min(images.shape[2:])
    top, left = ((length - side) // 2 for length in images.shape[2:])
    images = images[:, :, top : top + side, left : left + side]
    if side == image_size:
        return images
    resized = torch.empty((*images.shape[:2], image_size, image_size), dtype=torch.uint8)
    for begin in range(0, len(images), RESIZE_BATCH):
        part = images[begin : begin + RESIZE_BATCH].float()
        part = F.interpolate(part, size=resized.shape[2:], mode="bicubic", antialias=True)
        resized[begin : begin + RESIZE_BATCH] = part.round_().clamp_(0, 255).to(torch.uint8)
    return resized
