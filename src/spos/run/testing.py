"""The test of a trained classifier: its accuracy, and what it takes for what."""

from __future__ import annotations

import base64
import io
import time
from collections import Counter

import torch
from PIL import Image
from torch import Tensor, nn

from spos.data import Images
from spos.report.attachments import Mistake, Predictions
from spos.run.context import Context
from spos.run.network import loader
from spos.run.outcome import PredictionsOutcome
from spos.search.score import correct, score

#: Images that are kept, those with the lowest probability of their true class.
MISTAKES = 10
#: Longest side of a kept image in pixels.
SIDE = 96


def record_test(context: Context, network: nn.Module, test: Images) -> float:
    """Test a network of a classification once, and write down what it says of each class.

    Nothing is written of a model of the user's own that does not have one output for each class.

    Args:
        context (Context): the run.
        network (nn.Module): trained network on the device of the run.
        test (Images): test images.

    Returns:
        The top-1 accuracy in [0, 1].
    """
    began, classes = time.monotonic(), context.data.classes
    rows: list[Tensor] = []

    def record(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape == (len(targets), len(classes)):
            shares = outputs.float().softmax(1).nan_to_num()
            # Of the outputs, as the accuracy is, because equal shares may hide a difference.
            predicted = outputs.argmax(1)
            of = (shares.gather(1, place[:, None])[:, 0] for place in (predicted, targets))
            row = [values.cpu().double() for values in (targets, predicted, *of)]
            rows.append(torch.stack(row))
        return correct(outputs, targets)

    accuracy = score(network, loader(context, test), record)
    if sum(row.shape[1] for row in rows) == len(test):
        predictions = _summarize(torch.cat(rows, 1), classes, test)
        seconds = time.monotonic() - began
        context.directory.finish(PredictionsOutcome(predictions=predictions, seconds=seconds))
    return accuracy


def _summarize(columns: Tensor, classes: tuple[str, ...], images: Images) -> Predictions:
    """Count what was taken for what, and choose the worst mistakes.

    The columns hold the true class of an image, the predicted one, and the probability of each.
    """
    true, predicted, _, true_probability = columns
    pairs = Counter(zip(true.long().tolist(), predicted.long().tolist(), strict=True))
    wrong = (true != predicted).nonzero()[:, 0]
    worst = wrong[true_probability[wrong].argsort(stable=True)][:MISTAKES].tolist()
    mistakes = []
    for index, pixels in zip(worst, images.pixels(worst).cpu() if worst else (), strict=True):
        is_class, said_class, probability, missed = columns[:, index].tolist()
        mistakes.append(
            Mistake(index, int(is_class), int(said_class), probability, missed, _png(pixels))
        )
    counts = tuple((*pair, count) for pair, count in sorted(pairs.items()))
    return Predictions(classes=classes, counts=counts, mistakes=tuple(mistakes))


def _png(pixels: Tensor) -> str:
    """An image of shape (C, S, S) as a PNG file in Base64."""
    array = pixels.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
