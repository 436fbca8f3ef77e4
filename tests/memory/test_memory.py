"""Ceilings of memory: each is measured in a process of its own, above what its imports take."""

from __future__ import annotations

from pathlib import Path

from measured import (
    fill_study,
    measure,
    search_more,
    stream_folder,
    train_supernet,
    write_images,
)

MIB = 1 << 20


def test_a_study_of_20_000_trials_is_continued_in_little_time_and_memory(tmp_path: Path) -> None:
    for name, count in (("warm", 10), ("many", 20_000)):
        fill_study(tmp_path / f"{name}.db", count)
    found, grown, seconds = measure(search_more, tmp_path / "warm.db", tmp_path / "many.db")
    assert found == (4, 20_000)
    assert grown < 64 * MIB
    assert seconds < 10


def test_a_streamed_image_takes_the_memory_of_its_name(tmp_path: Path) -> None:
    for name, count in (("warm", 500), ("many", 6_000)):
        write_images(tmp_path / f"{name}.zip", count)
    count, grown, _ = measure(stream_folder, tmp_path / "warm.zip", tmp_path / "many.zip")
    assert count == 6_000
    assert grown < 4096 * count


def test_a_training_takes_the_memory_that_is_checked_before(tmp_path: Path) -> None:
    (weights, activations), grown, _ = measure(train_supernet, tmp_path / "32", tmp_path / "1000")
    assert grown < 3 * weights + 1.5 * activations
    assert grown > 0.5 * activations
