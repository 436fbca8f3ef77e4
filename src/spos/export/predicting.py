"""Classes of image files, by an exported network."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos._util.files import as_path, file_digest, read_own
from spos._util.records import check_same_run, from_plain
from spos.data.decode import BrokenImageError, decode, to_array
from spos.data.files import FolderStore, read_image_file
from spos.data.photograph import fit
from spos.data.sources._layout import EXTENSIONS, is_hidden
from spos.export.metadata import Metadata, OpenedNetwork
from spos.export.onnx_file import open_onnx
from spos.export.program_file import open_program, read_program_metadata

BATCH = 64
"""Images that are run at a time."""
MOST = 1_000_000
"""Files and folders of a folder that is looked through: more are those of a disk."""


def read_image(path: Path, metadata: Metadata) -> Tensor:
    """Read an image file in the way that a run read its images.

    Args:
        path (Path): a JPEG, PNG, BMP or WebP file.
        metadata (Metadata): what the network of the run says of itself.

    Returns:
        Tensor: uint8, shape (C, S, S).

    Raises:
        UserError: the file does not exist, or is not a whole image.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata; only the pixels matter here.
            warnings.simplefilter("ignore")
            image = decode(read_image_file(path), metadata.decoded_side)
    except BrokenImageError as error:
        raise UserError(f"{path}: {error}") from None
    if metadata.channels == 1:
        image = image.convert("L")
    return torch.from_numpy(to_array(fit(image, metadata.image_size)).copy())


@dataclass(frozen=True)
class Classifier:
    """An exported network that classifies images.

    Args:
        network (OpenedNetwork): opened file.
    """

    network: OpenedNetwork

    def read(self, path: Path) -> Tensor:
        """Read an image file as :func:`read_image` does."""
        return read_image(path, self.network.metadata)

    def classify(
        self,
        paths: Sequence[Path],
        top: int | None = None,
        refused: Callable[[UserError], object] | None = None,
    ) -> list[dict[str, Any]]:
        """The most probable classes of image files.

        Args:
            paths (Sequence[Path]): image files.
            top (int | None): number of classes for each file; at most 5 if None.
            refused (Callable | None): called with the error of each file that is not a whole image,
                which is then left out; None to raise the first of them.

        Returns:
            list[dict]: for each file its name, and its classes with their probabilities (softmax
            of the outputs), the most probable first.

        Raises:
            UserError: a file is not a whole image, or there are fewer classes.
        """
        names = self.network.metadata.classes
        if top is not None and not 1 <= top <= len(names):
            raise UserError(f"--top {top}: allowed: 1 to {len(names)}, the number of classes")
        count = min(5, len(names)) if top is None else top
        found = []
        for path, outputs in self._outputs(paths, refused):
            shares, places = outputs.double().softmax(0).sort(descending=True, stable=True)
            best = zip(places[:count].tolist(), shares[:count].tolist(), strict=True)
            rows = [{"class": names[place], "probability": share} for place, share in best]
            found.append({"file": str(path), "classes": rows})
        return found

    def _outputs(
        self, paths: Sequence[Path], refused: Callable[[UserError], object] | None
    ) -> Iterator[tuple[Path, Tensor]]:
        for begin in range(0, len(paths), BATCH):
            read: list[tuple[Path, Tensor]] = []
            for path in paths[begin : begin + BATCH]:
                try:
                    read.append((path, self.read(path)))
                except UserError as error:
                    if refused is None:
                        raise
                    refused(error)
            if read:
                whole, images = zip(*read, strict=True)
                yield from zip(whole, self.network.outputs(torch.stack(images)), strict=True)


def find_images(paths: Iterable[Path]) -> list[Path]:
    """List image files: those that are given, and those in folders, in order of their names.

    Of a folder hidden files are left out, as those of training images are.

    Raises:
        UserError: a folder contains no image, cannot be read, or is that of a disk.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            names = FolderStore(path, MOST).names()
        except UserError as error:
            raise UserError(f"{path}: {error}; give a folder of images") from None
        images = [one for one in names if one.lower().endswith(EXTENSIONS)]
        inside = [path / one for one in images if not is_hidden(one)]
        if not inside:
            raise UserError(f"{path}: no image in it; allowed: {', '.join(EXTENSIONS)} files")
        found += sorted(inside)
    return found


@dataclass(frozen=True)
class _Facts:
    """What the file beside an exported network says of it, as far as it is needed here."""

    sha256: str
    run: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)


_ADVICE = "export the network again"


def _facts(path: Path) -> _Facts | None:
    beside = path.with_name(f"{path.name}.json")
    if not beside.exists():
        return None
    return from_plain(_Facts, read_own(beside, _ADVICE), str(beside), _ADVICE)


def check_digest(path: Path) -> None:
    """Check that a network is the one that the file beside it describes, if there is one.

    Raises:
        UserError: it is another one, or damaged.
    """
    facts = _facts(path)
    if facts and file_digest(path) != facts.sha256:
        beside = f"{path.name}.json"
        raise UserError(
            f"{path} is not the file that {beside} describes, or damaged (another SHA-256): "
            f"{_ADVICE}; if you have changed it yourself, delete {beside}"
        )


def check_of_run(path: Path) -> None:
    """Check that the network in a run directory is the one that the run has trained.

    Raises:
        UserError: it is of another run, or was exported before the run trained another one, or what
            describes it is damaged.
    """
    # Imported here, because they import the search, which a network alone does not need.
    from spos.run.directory import RunDirectory
    from spos.run.outcome import RetrainOutcome

    facts = _facts(path)
    check_same_run(path, facts.run if facts else "", _ADVICE)
    outcome = RunDirectory(path.parent).outcome(RetrainOutcome)
    if facts is None or outcome is None:
        return
    # A search that went on may have found another network, in the same run.
    trained = (outcome.architecture, outcome.test_score)
    architecture, score = facts.metadata.get("architecture"), facts.test.get("score")
    if None not in (architecture, score) and (architecture, score) != trained:
        raise UserError(
            f"{path} has the network {architecture!s:.200}, with the test score {score!s:.20}, but "
            f"the run has trained {outcome.architecture:.200} since, with {outcome.test_score}: "
            f"{_ADVICE}"
        )


def open_classifier(path: str | Path, *, trust: bool = False) -> Classifier:
    """Open an exported network.

    Args:
        path (str | Path): an .onnx file, or a .pt2 file.
        trust (bool): whether to open a .pt2 file, which may run any code of its author.

    Raises:
        UserError: the file was not written by spos, is damaged or not trusted, or its network
            outputs values instead of classes.
    """
    path = as_path(path, "network")
    if not path.is_file():
        raise UserError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    if path.suffix == ".safetensors":
        raise UserError(
            f"{path}: a file of weights cannot be run without its source; allowed: .onnx files, "
            "by spos export --format onnx"
        )
    check_digest(path)
    if zipfile.is_zipfile(path):
        # The metadata is read without executing anything, so that the error is of use.
        read_program_metadata(path)
        if not trust:
            raise UserError(
                f"{path}: loading a .pt2 file can run code of its author; give --trust if that is "
                "you, or use an .onnx file"
            )
        opened = open_program(path)
    else:
        opened = open_onnx(path)
    if not opened.metadata.classifies:
        raise UserError(
            f"{path}: its network was trained on values ({opened.metadata.metric}), not on "
            "classes, which spos predict needs"
        )
    return Classifier(opened)
