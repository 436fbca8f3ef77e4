"""The memory that streamed images take: that of their names and labels, whatever their number.

    python benchmarks/memory.py --out benchmarks/results/memory/summary

Each count is opened in a process of its own, after 500 images of the same kind, so that what is
imported is not counted.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from record import write_record

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / name) for name in ("memory", "cli")]


def main(arguments: Sequence[str] | None = None) -> None:
    from measured import image_bytes, measure, stream_folder, stream_shards

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--counts", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--out", type=Path, required=True, help="file to write, without a suffix")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # As each process has, for the record.
    rows = []
    kinds: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], int]]] = {
        "folder of files": (write_folder, stream_folder),
        "zip archive": (write_zip, stream_folder),
        "tar shards": (write_shards, stream_shards),
    }
    for kind, (write, stream) in kinds.items():
        for count in given.counts:
            with tempfile.TemporaryDirectory() as folder:
                warm, many = Path(folder) / "warm.zip", Path(folder) / "many.zip"
                write(warm, 500)
                write(many, count)
                found, grown, seconds = measure(stream, warm, many)
                shutil.rmtree(many, ignore_errors=True)
            assert found == count
            rows.append(
                {
                    "kind": kind,
                    "images": f"{count:,}",
                    "MiB": f"{grown / 2**20:.0f}",
                    "bytes for an image": f"{grown / count:.0f}",
                    "seconds of a core": f"{seconds:.0f}",
                    "µs for an image": f"{1e6 * seconds / count:.0f}",
                }
            )
            print(rows[-1], flush=True)
    title = f"Memory of streamed images, each a file of {len(image_bytes(0))} bytes"
    write_record(given.out, title, rows)


def members(count: int) -> list[tuple[str, int]]:
    """Names as photographs have them, of ten classes, and the numbers of the images."""
    return [(f"class{number % 10}/photograph-{number:08d}", number) for number in range(count)]


def write_folder(path: Path, count: int) -> None:
    from measured import image_bytes

    for number in range(10):
        (path / f"class{number}").mkdir(parents=True)
    for name, number in members(count):
        (path / f"{name}.bmp").write_bytes(image_bytes(number))


def write_zip(path: Path, count: int) -> None:
    from measured import image_bytes

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, number in members(count):
            archive.writestr(f"{name}.bmp", image_bytes(number))


def write_shards(path: Path, count: int) -> None:
    from measured import image_bytes

    path.mkdir()
    of_each = -(-count // 20)
    for shard in range(20):
        with tarfile.open(path / f"train-{shard:03d}.tar", "w") as archive:
            for name, number in members(count)[shard * of_each : (shard + 1) * of_each]:
                key = name.rpartition("/")[2]
                pair = ((f"{key}.bmp", image_bytes(number)), (f"{key}.cls", b"%d" % (number % 10)))
                for member, content in pair:
                    information = tarfile.TarInfo(member)
                    information.size = len(content)
                    archive.addfile(information, io.BytesIO(content))


if __name__ == "__main__":
    main()
