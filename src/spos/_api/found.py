"""What a search has found: the trained network, and all that is known of it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spos._api.own_images import as_images, as_read
from spos._util.errors import UserError
from spos._util.files import as_path
from spos._util.modes import usual_modes
from spos.cost.cost import find_cost
from spos.data import ImageData
from spos.export.exporting import export_run
from spos.export.predicting import read_image
from spos.export.trained import Trained, load_trained
from spos.report.result import Comparison, KnownNetwork, Result, Winner
from spos.run.directory import RunDirectory
from spos.run.outcome import SearchOutcome
from spos.search import Candidate

#: Images that the network classifies together.
AT_ONCE = 256


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluate a network that its owner may be training on, and leave its modes as they are."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@dataclass(frozen=True, repr=False)
class FoundNetwork:
    """The network that a search found, trained and tested.

    Args:
        result (Result): everything that came of the run.
        folder (Path): run directory.
        load (Callable | None): function that returns the images of the run; None for those of its
            configuration.
    """

    result: Result
    folder: Path
    load: Callable[[], ImageData] | None = None

    @property
    def accuracy(self) -> float:
        """Share of the test images that the network classifies correctly, in [0, 1]."""
        assert self.result.test_score is not None, "a run that ended has tested its network"
        return self.result.test_score

    @property
    def winner(self) -> Winner:
        """The architecture with its one-shot score."""
        assert self.result.winner is not None, "a run that ended has a winner"
        return self.result.winner

    @property
    def architecture(self) -> Mapping[str, str]:
        """The option of each choice."""
        return self.winner.names

    @property
    def costs(self) -> Mapping[str, int]:
        """Costs by name: ``flops`` are multiply-adds."""
        return self.winner.costs

    @property
    def comparison(self) -> Comparison | None:
        """Networks that were trained in the same way; None without any."""
        return self.result.comparison

    @property
    def known(self) -> Sequence[KnownNetwork]:
        """Known networks that were trained in the same way."""
        return self.result.known

    @cached_property
    def _searched(self) -> SearchOutcome:
        outcome = RunDirectory(self.folder).outcome(SearchOutcome)
        assert outcome is not None, "a run that ended has searched"
        return outcome

    @property
    def candidates(self) -> Sequence[Candidate]:
        """All candidates of the search with their scores, by iteration."""
        return self._searched.candidates

    @property
    def front(self) -> Sequence[Candidate]:
        """Candidates that no other dominates, the cheapest first; empty without ``pareto``."""
        return self._searched.front

    @property
    def report(self) -> Path:
        """The report, an HTML file."""
        return self.folder / "report.html"

    @cached_property
    def _trained(self) -> Trained:
        return load_trained(self.folder, load=self.load)

    @property
    def network(self) -> nn.Module:
        """The trained network: plain torch modules, on the CPU; reads normalised images."""
        return self._trained.network

    @usual_modes()
    def predict(self, images: Any) -> list[str]:
        """Classify images of any size: the middle square of each is resized to that of the run.

        Args:
            images (Any): images in the forms that :func:`spos.search` takes, without classes: an
                array or a tensor of shape (N, C, H, W), (N, H, W, C) or (N, H, W), uint8 or float
                in 0 to 1; or a list of single images, also of Pillow; or an image file, or a list
                of them.

        Returns:
            The name of the most probable class of each image.

        Raises:
            UserError: something else was given.
        """
        data = self._trained.data
        rows = as_images(images, data.channels) if hasattr(images, "shape") else images
        if isinstance(images, (str, PathLike)):
            rows = [images]
        elif not isinstance(rows, (Tensor, Iterable)):
            raise UserError(f"images {type(images).__name__}: give several, such as a list of one")
        fitted = [self._read(image, place) for place, image in enumerate(rows)]
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
        found: list[int] = []
        network = self.network
        # Its owner may have moved it.
        weights = (one for one in network.parameters() if one.is_floating_point())
        like = next(weights, torch.empty(()))
        with torch.inference_mode(), _evaluating(network):
            for begin in range(0, len(fitted), AT_ONCE):
                pixels = torch.stack(fitted[begin : begin + AT_ONCE])
                outputs = network(((pixels.float() / 255 - mean) / std).to(like))
                found += outputs.argmax(1).tolist()
        return [data.classes[place] for place in found]

    def _read(self, image: Any, place: int) -> Tensor:
        if isinstance(image, (str, PathLike)):
            return read_image(as_path(image, f"image {place}"), self._trained.metadata)
        data = self._trained.data
        return as_read(image, f"image {place}", data.channels, data.image_size)

    def export(self, path: str | Path | None = None, form: str = "onnx") -> Path:
        """Write the network to a file, checked on the test images.

        Args:
            path (str | Path | None): file to write; None for one in the run directory.
            form (str): ``"onnx"``, ``"torch-export"`` or ``"state-dict"``.

        Returns:
            The file.
        """
        target = None if path is None else Path(path)
        facts = export_run(self.folder, form, target, load=self.load)
        return self.folder / facts["file"] if target is None else target

    def __repr__(self) -> str:
        costs = (
            f"{find_cost(n).format(value)} {find_cost(n).noun}" for n, value in self.costs.items()
        )
        measure = self.result.metric
        return "\n".join(
            (
                f"{type(self).__name__} of {self.folder}",
                f"  test {measure.noun}: {measure.show(self.result.test_score)}",
                f"  costs: {', '.join(costs)}",
                f"  architecture: {self.winner.architecture}",
            )
        )

    def _repr_html_(self) -> str:
        measure = self.result.metric
        rows = {
            f"test {measure.noun}": measure.show(self.accuracy),
            **{find_cost(name).noun: f"{value:,}" for name, value in self.costs.items()},
            "architecture": str(self.winner.architecture),
            "report": str(self.report),
        }
        if self.comparison is not None:
            rows["random networks of its cost"] = (
                f"{measure.show(self.comparison.random_mean)} on average"
            )
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td>{html.escape(value)}</td></tr>"
            for name, value in rows.items()
        )
        return f"<table>{cells}</table>"
