"""The predictions of a network on the test images."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from spos import UserError
from spos._util.listener import Silent
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.outcome import PredictionsOutcome
from spos.run.recorder import PeakMemory
from spos.run.testing import record_test


@pytest.fixture
def context(tmp_path: Path) -> Context:
    directory = RunDirectory(tmp_path)
    given = {"space": {"name": "plain", "preset": "tiny"}, "data": {"source": "digits"}}
    return Context(*directory.resolve_config(given, ()), directory, Silent())


def test_outputs_that_are_not_one_for_each_class_are_scored_alone(context: Context) -> None:
    data = context.data
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 12))
    assert 0 <= record_test(context, network, data.test()) < 1
    assert context.directory.outcome(PredictionsOutcome) is None


def test_a_test_records_what_each_class_was_taken_for(context: Context) -> None:
    directory, data = context.directory, context.data
    test = data.test()
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    accuracy = record_test(context, network, test)
    pixels = test.pixels(range(len(test)))
    with torch.no_grad():
        outputs = network((pixels / 255 - data.mean[0]) / data.std[0])
    shares, predicted = outputs.softmax(1), outputs.argmax(1)
    assert accuracy == (predicted == test.labels).sum().item() / len(test)
    outcome = directory.outcome(PredictionsOutcome)
    assert outcome
    found = outcome.predictions
    assert found.classes == data.classes
    for true, given_class, count in found.counts:
        assert count == ((test.labels == true) & (predicted == given_class)).sum()
    assert sum(count for *_, count in found.counts) == len(test)
    of_truth = shares.gather(1, test.labels[:, None])[:, 0]
    wrong = (predicted != test.labels).nonzero()[:, 0]
    expected = sorted(wrong.tolist(), key=lambda place: of_truth[place])[:10]
    assert [one.index for one in found.mistakes] == expected
    for one in found.mistakes:
        assert (one.true, one.predicted) == (test.labels[one.index], predicted[one.index])
        assert one.true_probability == pytest.approx(of_truth[one.index].item(), abs=1e-5)
        assert one.probability == pytest.approx(shares[one.index].max().item(), abs=1e-5)
        image = Image.open(io.BytesIO(base64.b64decode(one.image)))
        assert np.array_equal(np.asarray(image), pixels[one.index, 0].numpy())


def test_damaged_predictions_are_said_to_be(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.outcome(PredictionsOutcome) is None
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"format": 2, "seconds": 1.0}))
    with pytest.raises(UserError, match=r"is damaged .*: restore it, or delete it"):
        directory.outcome(PredictionsOutcome)


def test_the_peak_is_that_of_the_memory_since_it_began() -> None:
    before = PeakMemory(torch.device("cpu"))
    held = np.ones(200 << 17)  # 200 MiB
    peak = before.read()
    assert peak > held.nbytes
    del held
    if Path("/proc/self/clear_refs").exists():
        # What is no longer held still counts as a peak, but not for what begins afterwards.
        assert before.read() >= peak - (1 << 20)
        assert PeakMemory(torch.device("cpu")).read() < peak - (150 << 20)
