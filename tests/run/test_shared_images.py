"""Processes of one machine share the images in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spos import UserError
from spos._util.listener import Silent
from spos.run import shared_images
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.local_workers import LocalWorkers
from spos.run.shared_images import images_to_share
from spos.run.side_by_side import Workers


@pytest.fixture
def context(tmp_path: Path) -> Context:
    given = {"data": {"source": "digits"}, "space": {"preset": "tiny"}}
    directory = RunDirectory(tmp_path)
    return Context(*directory.resolve_config(given, ()), directory, Silent())


def look(context: Context, item: str) -> Iterator[tuple[bool, bool, torch.Tensor]]:
    """Whether a process has images when it begins, whether they are shared, and one of them."""
    there = "data" in vars(context)
    images = getattr(context.data, item)
    yield there, images.images.is_shared(), images.pixels([3])


def seen(context: Context) -> list[tuple[bool, bool, torch.Tensor]]:
    workers: Workers = LocalWorkers(2, 1)
    try:
        found = dict(workers.map(context, look, ["train", "validation"]))
        return [found[number] for number in (0, 1)]
    finally:
        workers.close()


def test_processes_have_the_images_of_the_first_one(context: Context) -> None:
    before = context.data.validation.pixels([3]).clone()
    (there, shared, _), (_, _, validation) = seen(context)
    assert there and shared
    assert torch.equal(validation, before)
    # It was moved, not copied.
    assert context.data.train.images.is_shared()  # type: ignore[attr-defined]


def test_where_there_is_little_room_each_reads_them(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_images, "MOST", 0.0)
    assert images_to_share(context) is None
    (there, shared, _), (_, _, validation) = seen(context)
    assert not there and not shared
    assert torch.equal(validation, context.data.validation.pixels([3]))


def test_images_that_cannot_be_sent_are_read_by_each(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = context.data
    assert images_to_share(context) is data
    monkeypatch.setattr(shared_images, "LARGEST_SENT", 100)
    assert images_to_share(context) is None
    monkeypatch.undo()
    vars(context)["data"] = replace(data, test=lambda: data.test())
    assert images_to_share(context) is None


def test_images_that_cannot_be_read_are_an_error(context: Context) -> None:
    config = context.config
    context.config = replace(config, data=replace(config.data, source="folder:nowhere"))
    with pytest.raises(UserError, match="nowhere"):
        images_to_share(context)


def test_memory_that_cannot_be_written_is_not_shared(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images_to_share(context) is context.data
    monkeypatch.setattr("os.access", lambda *_: False)
    assert images_to_share(context) is None
