"""The context that the stages of a run share."""

from __future__ import annotations

from pathlib import Path

from spos._util.listener import Silent
from spos.data import ImageData, load_data
from spos.run.config import make_config
from spos.run.context import Context
from spos.run.directory import RunDirectory


def test_further_settings_read_the_images_and_count_the_costs_no_second_time(
    tmp_path: Path,
) -> None:
    read: list[ImageData] = []

    def load() -> ImageData:
        read.append(load_data("digits"))
        return read[-1]

    config = make_config({"space": {"name": "nasbenchmacro", "preset": "tiny"}})
    context = Context(config, {}, RunDirectory(tmp_path), Silent(), load=load)
    data = context.data()
    costs = context.costs(context.supernet(data))
    context.config = make_config({**config.as_plain(), "search": {"iterations": 2}})
    assert context.data() is data and len(read) == 1
    assert context.costs(context.supernet(data)) is costs
