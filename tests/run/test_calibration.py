"""The images from which batch norms are recalibrated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spos._util.listener import Silent
from spos.data import ImageData, load_data
from spos.run.config import make_config
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.network import calibration_loader


def test_batches_are_of_all_classes_though_a_folder_is_sorted_by_class(tmp_path: Path) -> None:
    def load() -> ImageData:
        data = load_data("digits")
        return replace(data, train=data.train.subset(data.train.labels.argsort(stable=True)))

    config = make_config({"run": {"calibration": 512, "evaluation_batch": 128}})
    loader = calibration_loader(Context(config, {}, RunDirectory(tmp_path), Silent(), load=load))
    batches = [labels for _, labels in loader()]
    assert [len(labels) for labels in batches] == [128] * 4
    assert all(len(labels.unique()) == 10 for labels in batches)
    again = [labels.tolist() for _, labels in loader()]
    assert again == [labels.tolist() for labels in batches]
