"""The context that the stages of a run share."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spos._util.errors import UserError
from spos._util.listener import Silent
from spos.data import ImageData, load_data
from spos.run.config import make_config
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.task import Task, make_fitness


def test_further_settings_read_the_images_and_count_the_costs_no_second_time(
    tmp_path: Path,
) -> None:
    read: list[ImageData] = []

    def load() -> ImageData:
        read.append(load_data("digits", image_size=16))
        return read[-1]

    config = make_config({"space": {"name": "nasbenchmacro", "preset": "tiny"}})
    context = Context(config, {}, RunDirectory(tmp_path), Silent(), load=load)
    data = context.data
    costs = context.costs(context.supernet())
    context.config = make_config({**config.as_plain(), "search": {"iterations": 2}})
    assert context.data is data and len(read) == 1
    assert context.costs(context.supernet()) is costs


def test_images_of_another_size_than_costs_are_counted_for_are_refused(tmp_path: Path) -> None:
    config = make_config({"layout": {"image_size": 16}})
    load = partial(load_data, "digits")
    context = Context(config, {}, RunDirectory(tmp_path), Silent(), load=load)
    says = "the images of the digits have 8 pixels a side, the space expects 16: give layout.imag"
    with pytest.raises(UserError, match=says):
        _ = context.data


def test_the_identity_of_the_fitness_does_not_follow_the_state_of_a_loss(tmp_path: Path) -> None:
    class Counting:
        calls = 0

        def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.calls += 1
            return F.cross_entropy(outputs, targets)

    loss = Counting()
    task = Task(loss=loss)
    settings = make_config({"search": {"fitness": "loss"}})
    context = Context(settings, {}, RunDirectory(tmp_path), Silent(), task=task)
    before = context.fitness.identity
    loss(torch.zeros(2, 3), torch.tensor([0, 1]))
    assert make_fitness(task, "loss").identity != before, "the state is part of it"
    assert context.fitness.identity == before
