"""``spos.load``: a trained network by the name of its run, its folder, or its place on the hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spos._util.errors import UserError, check_kind
from spos._util.files import as_path
from spos._util.modes import usual_modes
from spos.export.deployed import deploy
from spos.export.exporting import NETWORK_FILE
from spos.export.hub import CONFIG, download, open_folder
from spos.export.metadata import Metadata, OpenedNetwork
from spos.export.onnx_file import open_onnx
from spos.export.predicting import Classifier, check_digest
from spos.export.trained import load_trained
from spos.run.directory import RunDirectory


@dataclass(frozen=True)
class LoadedNetwork:
    """A trained network that is ready to predict.

    Args:
        opened (OpenedNetwork): the network, and what is known about it.
    """

    opened: OpenedNetwork

    @property
    def metadata(self) -> Metadata:
        """What it reads, and what its outputs mean."""
        return self.opened.metadata

    def __call__(self, images: Tensor) -> Tensor:
        """Outputs of images, uint8 of shape (N, C, S, S): of each class before the softmax.

        Raises:
            UserError: shape or type differ, or the network cannot be run.
        """
        check_kind(images, Tensor, "images", "a tensor; files are read by classify")
        metadata = self.metadata
        shape = [metadata.channels, metadata.image_size, metadata.image_size]
        if images.dtype != torch.uint8 or list(images.shape[1:]) != shape:
            raise UserError(
                f"images of {images.dtype}, shape {list(images.shape)}; allowed: uint8, shape "
                f"[N, {', '.join(map(str, shape))}]"
            )
        return self.opened.outputs(images)

    def predict(self, images: Tensor) -> list[str]:
        """The most probable class of each image, uint8 of shape (N, C, S, S).

        Raises:
            UserError: shape or type differ, or the network was not trained on classes.
        """
        if not self.metadata.classifies:
            raise UserError("the network was trained on values and has no classes: call it instead")
        return [self.metadata.classes[place] for place in self(images).argmax(1).tolist()]

    def classify(
        self, files: str | Path | Sequence[str | Path], top: int | None = None
    ) -> list[dict[str, Any]]:
        """The most probable classes of image files, with their probabilities.

        Args:
            files (str | Path | Sequence[str | Path]): JPEG, PNG, BMP or WebP files, or a single
                one.
            top (int | None): number of classes for each file; at most 5 if None.

        Raises:
            UserError: a file is not a whole image, or there are fewer classes.
        """
        check_kind(files, (str, PathLike, Iterable), "files", "a path, or a list of paths")
        check_kind(top, (int, type(None)), "top", "a whole number")
        listed = [files] if isinstance(files, (str, PathLike)) else files
        return Classifier(self.opened).classify([as_path(file, "file") for file in listed], top)


@usual_modes()
def load(source: str | Path) -> LoadedNetwork:
    """Load a trained network; no code that comes with it is executed.

    Args:
        source (str | Path): a run directory, whose images have to be there; a folder or an
            ``.onnx`` file of ``spos export``; or USER/NAME on the Hugging Face Hub.

    Raises:
        UserError: there is no such network, or it is damaged.

    Example:
        >>> from spos import load
        >>> load("runs/photos").predict(images)  # doctest: +SKIP
    """
    allowed = "a run directory, a folder or a file of spos export, or USER/NAME on the hub"
    check_kind(source, (str, PathLike), "network", allowed)
    path = as_path(source, "network")
    if not path.exists():
        return LoadedNetwork(open_folder(download(str(source))))
    if RunDirectory(path).config_path.is_file():
        trained = load_trained(path)
        graph = deploy(trained.network, trained.metadata, fold=False)
        run = torch.inference_mode()(graph)
        return LoadedNetwork(OpenedNetwork(trained.metadata, run, f"torch {torch.__version__}"))
    if path.is_dir() and (path / CONFIG).is_file():
        return LoadedNetwork(open_folder(path))
    file = path / NETWORK_FILE if path.is_dir() else path
    if not file.is_file() or file.suffix != ".onnx":
        raise UserError(
            f"{source} has no network that can be loaded; allowed: a run directory, a folder with "
            f"{NETWORK_FILE}, an .onnx file, or USER/NAME on the hub"
        )
    check_digest(file)
    return LoadedNetwork(open_onnx(file))
