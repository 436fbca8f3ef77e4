"""Work whose memory is measured, each in a process of its own."""

from __future__ import annotations

import io
import json
import multiprocessing.queues
import resource
import sqlite3
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from commands import FORKS
from PIL import Image

from spos._util.randomness import generator
from spos.cost import Constraint
from spos.search import SearchSettings, open_storage, open_study, search
from spos.search.candidate import Candidate
from spos.search.study import close_storage, make_trial
from spos.space import Architecture, Choice, SearchSpace

SPACE = SearchSpace(Choice(f"block{place}", ("a", "b", "c", "d")) for place in range(20))


class Free:
    """Costs of a space in which nothing costs anything."""

    space, names = SPACE, ("flops",)

    def cost(self, architecture: Sequence[int]) -> dict[str, int]:
        return {"flops": 0}

    def many(self, architectures: Any) -> Any:
        return np.zeros((len(architectures), 1), np.int64)

    def range(self) -> dict[str, tuple[int, int]]:
        return {"flops": (0, 0)}


def measure(work: Callable[[Path], object], warm: Path, path: Path) -> tuple[Any, int, float]:
    """Do some work twice in a new process: a little of it, and then as much as is measured.

    Args:
        work: function of a path, of this module.
        warm: path for the first time, after which everything is imported.
        path: path for the second time.

    Returns:
        What the second time gave, by how many bytes the largest memory of the process grew in it,
        and its seconds of the processor.
    """
    queue = FORKS.SimpleQueue()
    process = FORKS.Process(target=_measure, args=(queue, work, warm, path))
    process.start()
    process.join()
    assert process.exitcode == 0
    answer: tuple[Any, int, float] = queue.get()
    return answer


def _measure(
    queue: multiprocessing.queues.SimpleQueue[Any],
    work: Callable[[Path], object],
    warm: Path,
    path: Path,
) -> None:
    import torch

    torch.set_num_threads(1)
    work(warm)
    before, began = _peak(), time.process_time()
    given = work(path)
    queue.put((given, _peak() - before, time.process_time() - began))


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def fill_study(path: Path, count: int) -> None:
    """Make a study of many trials, faster than Optuna adds them, and without parameters of most."""
    storage = open_storage(path)
    drawn = SPACE.sample_many(2 * count, generator(0, "many")).tolist()
    rows = [Architecture(row) for row in dict.fromkeys(map(tuple, drawn))][:count]
    first = make_trial(SPACE, Candidate(rows[0], 0, 0, "random", -1.0, {}), "first", [-1.0])
    open_study(storage, "many", SPACE).add_trial(first)
    close_storage(storage)
    places = range(2, count + 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state) VALUES (?, ?, 1, 'COMPLETE')",
            ((place, place - 1) for place in places),
        )
        connection.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) "
            "VALUES (?, 0, ?, 'FINITE')",
            ((place, -float(place)) for place in places),
        )
        connection.executemany(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
            (
                (place, key, json.dumps(value))
                for place, row in zip(places, rows[1:], strict=True)
                for key, value in (("architecture", str(row)), ("search", "first"))
            ),
        )


def search_more(path: Path) -> tuple[int, int]:
    """Search for four candidates more in a study; returns how many were evaluated, and known."""
    paid: list[Architecture] = []

    def evaluate(candidates: Sequence[Architecture]) -> Iterator[tuple[Architecture, float]]:
        paid.extend(candidates)
        yield from ((one, float(sum(one))) for one in candidates)

    storage = open_storage(path)
    study = open_study(storage, "many", SPACE)
    how = SearchSettings(population=4, iterations=1, parents=2, from_known=False)
    search(SPACE, Free(), Constraint(), evaluate, study, how, storage=storage)
    known: int = study.user_attrs[next(key for key in study.user_attrs if key != "space")]["trials"]
    close_storage(storage)
    return len(paid), known


def image_bytes(number: int) -> bytes:
    """A small image as a file; that of another number is another one."""
    pixels = np.full((8, 8), number % 256, np.uint8)
    pixels[0, :4] = np.array([number], "<u4").view(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "BMP")
    return content.getvalue()


def write_images(path: Path, count: int) -> None:
    """Write an archive of two classes of small images, all of them different."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            archive.writestr(f"{'ab'[number % 2]}/{number}.bmp", image_bytes(number))


def stream_folder(path: Path) -> int:
    """Open a folder or an archive as streamed images, and decode some; returns their number."""
    return _stream(f"folder:{path}")


def stream_shards(path: Path) -> int:
    """The same of a folder of tar shards."""
    return _stream(f"webdataset:{path}")


def _stream(source: str) -> int:
    import torch

    from spos.data import load_data

    data = load_data(source, stream="always", image_size=8)
    for images in (data.train, data.validation):
        assert len(images.pixels(torch.arange(32))) == 32
    return len(data.train) + len(data.validation) + len(data.test())


def train_supernet(folder: Path) -> tuple[int, int]:
    """Train a supernet for two steps; returns the bytes of its weights and of its activations."""
    import torch

    from spos._cli.main import entry
    from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2
    from spos.training.memory import activation_bytes

    size = int(folder.name)
    layout, batch = PRESETS["tiny"], ("--set", f"supernet.batch_size={size}")
    sys.argv = ["spos", "train", "--preset", "tiny", "--supernet-steps", "2", *batch, "--threads"]
    sys.argv += ["1", "--out", str(folder)]
    # A command ends the process only where something fails.
    entry()
    with torch.device("meta"):
        supernet = shufflenetv2(layout, classes=10, image_channels=1)
    weights = sum(one.numel() * one.element_size() for one in supernet.parameters())
    return weights, activation_bytes(supernet, (1, layout.image_size, layout.image_size), size)
