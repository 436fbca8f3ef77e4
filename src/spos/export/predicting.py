"""Classes of image files, by an exported network."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos.data.decode import BrokenImageError, decode, to_array
from spos.data.photograph import fit
from spos.export.metadata import Metadata
from spos.export.onnx_file import open_onnx
from spos.export.program_file import open_program, read_program_metadata
from spos.export.runnable import Runnable

#: Images at a time.
BATCH = 64


@dataclass(frozen=True)
class Classifier:
    """An exported network that tells classes apart.

    Args:
        metadata: of the file.
        runnable: the opened file.
    """

    metadata: Metadata
    runnable: Runnable

    def read(self, path: Path) -> Tensor:
        """An image file as the network reads it, in the way that the run read its images.

        Args:
            path: of a JPEG, PNG, BMP or WebP file.

        Returns:
            uint8 [C, S, S].

        Raises:
            UserError: there is no such file, or it is no whole image.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            with warnings.catch_warnings():
                # Pillow warns of odd metadata on the terminal; the pixels are what matters here.
                warnings.simplefilter("ignore")
                image = decode(content, self.metadata.decoded_side)
        except BrokenImageError as error:
            raise UserError(f"{path}: {error}") from None
        if self.metadata.channels == 1:
            image = image.convert("L")
        return torch.from_numpy(to_array(fit(image, self.metadata.image_size)).copy())

    def classify(self, paths: Sequence[Path], top: int | None = None) -> list[dict[str, Any]]:
        """The most probable classes of image files.

        Args:
            paths: of the files.
            top: how many classes of each; 5 at most without it.

        Returns:
            For each file its name and its classes with their probabilities (the softmax of the
            outputs), the most probable first.

        Raises:
            UserError: a file is no whole image, or there are not so many classes.
        """
        names = self.metadata.classes
        if top is not None and not 1 <= top <= len(names):
            raise UserError(f"--top {top}: allowed: 1 to {len(names)}, the number of classes")
        count = min(5, len(names)) if top is None else top
        found = []
        for path, outputs in zip(paths, self._outputs(paths), strict=True):
            shares, places = outputs.double().softmax(0).sort(descending=True, stable=True)
            best = zip(places[:count].tolist(), shares[:count].tolist(), strict=True)
            rows = [{"class": names[place], "probability": share} for place, share in best]
            found.append({"file": str(path), "classes": rows})
        return found

    def _outputs(self, paths: Sequence[Path]) -> Iterator[Tensor]:
        for begin in range(0, len(paths), BATCH):
            images = torch.stack([self.read(path) for path in paths[begin : begin + BATCH]])
            yield from self.runnable.run(images)


def open_classifier(path: Path, *, trust: bool = False) -> Classifier:
    """Open an exported network.

    Args:
        path: an .onnx file, or a .pt2 file.
        trust: open a .pt2 file, which may run any code that its author put into it.

    Raises:
        UserError: the file is none of ours, damaged, or not to be trusted; or the network gives
            values and no classes.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if path.suffix == ".safetensors":
        raise UserError(
            f"{path}: weights alone are no network that could be run; allowed: .onnx files, by "
            "spos export --format onnx"
        )
    if zipfile.is_zipfile(path):
        # The metadata is read without executing anything, so that the error is of use.
        metadata = read_program_metadata(path)
        if not trust:
            raise UserError(
                f"{path}: loading a .pt2 file runs what its author put into it; give --trust if "
                "that is you, or use an .onnx file"
            )
        opened = open_program(path)
    else:
        opened = open_onnx(path)
    metadata, runnable = opened
    if not metadata.classifies:
        raise UserError(
            f"{path}: its network was trained for values ({metadata.metric}), not for classes: "
            "spos predict has no name for its outputs"
        )
    return Classifier(metadata, runnable)
