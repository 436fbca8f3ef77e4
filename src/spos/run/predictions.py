"""What the trained network says of the test images, recorded while it is tested."""

from __future__ import annotations

import base64
import io
import time
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from spos._util.records import read_record
from spos.data import ImageData, Images
from spos.report.predictions import Mistake, Predictions
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.one_shot import loader
from spos.run.outcome import Outcome
from spos.search.evaluation import correct, score

#: Images that are kept, those with the lowest probability of their true class.
MISTAKES = 10
#: Longest side of a kept image in pixels.
SIDE = 96


@dataclass(frozen=True, kw_only=True)
class PredictionsOutcome(Outcome):
    """The predictions of the retrained network on the test images."""

    stage: ClassVar[str] = "predictions"

    predictions: Predictions


def record_test(context: Context, data: ImageData, network: nn.Module, test: Images) -> float:
    """Test a network of a classification once, and write down what it says of each class.

    Nothing is written of a model of the user's own that does not have one output for each class.

    Args:
        context (Context): the run.
        data (ImageData): its images.
        network (nn.Module): trained network on the device of the run.
        test (Images): test images.

    Returns:
        The top-1 accuracy in [0, 1].
    """
    began = time.monotonic()
    recorder = _Recorder(len(data.classes))
    accuracy = score(network, loader(context, data, test), recorder)
    if recorder.suits:
        outcome = PredictionsOutcome(
            predictions=recorder.predictions(data.classes, test),
            seconds=time.monotonic() - began,
        )
        context.directory.finish(outcome)
    return accuracy


def read_predictions(directory: RunDirectory) -> Predictions | None:
    """Read the predictions of the retrained network; None where none were recorded.

    Raises:
        UserError: the file is damaged, or was written by a newer version.
    """
    path = directory.stage_path(PredictionsOutcome.stage)
    if not path.exists():
        return None
    advice = "restore it, or delete it to leave the predictions out of the report"
    return read_record(PredictionsOutcome, path, advice=advice).predictions


class _Recorder:
    """The number of images that are classified correctly, as a metric that remembers the rest."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._rows: list[Tensor] = []
        #: Whether every batch of outputs had one of them for each class.
        self.suits = True

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.suits = self.suits and outputs.shape == (len(targets), self._classes)
        if not self.suits:
            return correct(outputs, targets)
        shares = outputs.float().softmax(1).nan_to_num()
        # Of the outputs, as the accuracy is, because equal shares may hide a difference.
        predicted = outputs.argmax(1)
        of = (shares.gather(1, place[:, None])[:, 0] for place in (predicted, targets))
        row = [values.cpu().double() for values in (targets, predicted, *of)]
        self._rows.append(torch.stack(row))
        return correct(outputs, targets)

    def predictions(self, classes: tuple[str, ...], images: Images) -> Predictions:
        true, predicted, probability, true_probability = torch.cat(self._rows, 1)
        pairs = Counter(zip(true.long().tolist(), predicted.long().tolist(), strict=True))
        wrong = (true != predicted).nonzero()[:, 0]
        worst = wrong[true_probability[wrong].argsort(stable=True)][:MISTAKES].tolist()
        return Predictions(
            classes=classes,
            counts=tuple((*pair, count) for pair, count in sorted(pairs.items())),
            mistakes=tuple(
                Mistake(
                    index=index,
                    true=int(true[index]),
                    predicted=int(predicted[index]),
                    probability=float(probability[index]),
                    true_probability=float(true_probability[index]),
                    image=_png(pixels),
                )
                for index, pixels in zip(worst, images.pixels(worst).cpu(), strict=True)
            )
            if worst
            else (),
        )


def _png(pixels: Tensor) -> str:
    """An image of shape (C, S, S) as a PNG file in Base64."""
    array = pixels.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
