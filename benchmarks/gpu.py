"""What supernets cost and are worth on a GPU: throughput, evaluation, and ranking on ground truth.

    python benchmarks/gpu.py --data cifar10-train.zip --tables tables --out results

Five parts, each bounded in time; a part that fails is recorded with its error and the rest goes
on. Rows are appended to OUT/results.jsonl as they are found; the tables are in OUT/summary.md and
the scores of all networks in OUT/scores.json. ``--dry-run`` goes through all of it in small.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import gpu_evaluation
import gpu_throughput
import numpy as np
import torch
from gpu_compiled import collect_compiled, start_compiled
from gpu_graphs import graphs
from gpu_ranking import FILES, ranking
from gpu_tests import tests
from gpu_variants import VARIANTS
from PIL import Image
from record import write_tables
from torch import Tensor

PARTS = ("tests", "throughput", "graphs", "evaluation", "ranking")
#: Seconds that compiling may take from the start, and that these parts may take.
COMPILING, THROUGHPUT, GRAPHS, EVALUATION = 60.0, 75.0, 35.0, 36.0
#: Seconds for the tests.
TESTING = 60.0
#: Seconds for the ranking's processes to start, and to score.
STARTING, SCORING = 45.0, 70.0
#: Shown in the summary for the ranking; everything is in results.jsonl.
SHOWN = (
    *("variant", "steps", "epochs", "images/s", "networks", "mean one-shot accuracy"),
    *(f"tau {g}: {s}" for g in ("all", "better half", "best tenth", "band") for s in
      ("loss", "accuracy", "multiply-adds", "parameters")),
    *("band, chosen by loss", "band, chosen by accuracy", "band, mean", "band, best scored"),
    "error",
)  # fmt: skip


def decode(path: Path) -> tuple[Tensor, Tensor]:
    """The images of a zip with a folder for each class: uint8 [N, 3, S, S], and their classes."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
        contents = [archive.read(name) for name in names]
    classes = sorted({name.split("/")[-2] for name in names})

    def pixels(content: bytes) -> Any:
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(pixels, contents, chunksize=500)))
    labels = [classes.index(name.split("/")[-2]) for name in names]
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


class Rows:
    """The rows of all parts: on disk at once, and in the summary.

    Args:
        out: the folder.
    """

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out = out
        self._tables: dict[str, list[dict[str, Any]]] = {}
        self._file = (out / "results.jsonl").open("w")
        self._began = time.monotonic()

    def emit(self, part: str) -> Callable[[dict[str, Any]], None]:
        """Takes the rows of a part."""

        def take(row: dict[str, Any]) -> None:
            after = round(time.monotonic() - self._began, 1)
            self._file.write(json.dumps({"part": part, "after": after, **row}) + "\n")
            self._file.flush()
            print(f"{after:6.1f} {part}: {json.dumps(row)[:300]}", flush=True)
            if part == "ranking":
                row = {key: row[key] for key in SHOWN if key in row}
            self._tables.setdefault(part, []).append(row)

        return take

    def rows(self, part: str) -> list[dict[str, Any]]:
        """What a part has found so far."""
        return self._tables.get(part, [])

    def summarise(self) -> None:
        """Write the summary of what there is."""
        write_tables(self._out / "summary", "Supernets on a GPU", self._tables)


def layouts(rows: list[dict[str, Any]], device: torch.device) -> dict[str, str]:
    """The memory format of each space: of Macro that in which TF32 was faster, where it is known.

    Not channels_last on a CPU: backward passes of tiny images in it ended a trial with a corrupted
    heap (torch 2.13).
    """
    if device.type == "cpu":
        return dict.fromkeys(FILES, "contiguous_format")
    seconds = {
        row["variant"]: row["ms"]
        for row in rows
        if row.get("model") == "supernet" and row["case"].startswith("nasbenchmacro")
    }
    nchw, last = (seconds.get(f"TF32 {name}") for name in ("NCHW", "channels_last"))
    plain = nchw is not None and last is not None and nchw < last
    return {
        "nasbenchmacro": "contiguous_format" if plain else "channels_last",
        "nasbench201": "channels_last",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="zip of images, a folder for each class")
    parser.add_argument("--tables", type=Path, help=f"folder with {' and '.join(FILES.values())}")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--train-seconds", type=float, default=150.0)
    parser.add_argument("--total-seconds", type=float, default=480.0)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    dry = options.dry_run
    if dry:
        torch.set_num_threads(1)
    device = torch.device(options.device)
    rows = Rows(options.out)

    def attempt(part: str, work: Callable[[Callable[[dict[str, Any]], None]], None]) -> None:
        emit = rows.emit(part)
        try:
            work(emit)
        except Exception as error:
            traceback.print_exc()
            emit({"error": f"{type(error).__name__}: {str(error)[:300]}"})
        try:
            rows.summarise()
        except Exception:
            traceback.print_exc()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compiling = {}
        if "throughput" in options.parts:
            compiling = start_compiled(folder, device, dry)
        side = 8 if dry else 32
        if dry:
            random = torch.Generator().manual_seed(0)
            images = torch.randint(256, (256, 3, side, side), generator=random, dtype=torch.uint8)
            labels = torch.randint(10, (256,), generator=random)
        else:
            images, labels = decode(options.data)
        held, calibration = (60, 30) if dry else (5000, 1500)
        content = {"images": images, "labels": labels, "held": held, "calibration": calibration}
        torch.save(content, folder / "images.pt")
        print(f"{len(images)} images after {time.monotonic() - began:.1f} s", flush=True)

        def throughput(emit: Callable[[dict[str, Any]], None]) -> None:
            collect_compiled(compiling, began + COMPILING, emit)
            cases = gpu_throughput.DRY if dry else gpu_throughput.CASES
            gpu_throughput.throughput(cases, device, time.monotonic() + THROUGHPUT, emit)

        def evaluation(emit: Callable[[dict[str, Any]], None]) -> None:
            sizes = gpu_evaluation.DRY if dry else gpu_evaluation.Sizes()
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
            order = order[: sizes.calibration + sizes.validation]
            inputs = (images[order].to(device).float() / 255 - 0.5) / 0.25
            deadline = time.monotonic() + EVALUATION
            gpu_evaluation.evaluation(
                inputs, labels[order].to(device), device, sizes, deadline, emit
            )

        def rank(emit: Callable[[dict[str, Any]], None]) -> None:
            if device.type == "cuda":
                # A GPU that failed in this process still serves the others.
                with suppress(RuntimeError):
                    torch.cuda.empty_cache()
            ranking(
                folder,
                options.tables,
                options.out,
                device,
                seconds=1.0 if dry else options.train_seconds,
                scoring=30.0 if dry else SCORING,
                starting=300.0 if dry else STARTING,
                end=began + options.total_seconds,
                counts=(8, 4) if dry else (500, 300),
                layouts=layouts(rows.rows("throughput"), device),
                names=options.variants,
                dry=dry,
                emit=emit,
            )

        def graph(emit: Callable[[dict[str, Any]], None]) -> None:
            graphs(device, 120.0 if dry else GRAPHS, dry, emit)

        def test(emit: Callable[[dict[str, Any]], None]) -> None:
            tests(120.0 if dry else TESTING, dry, emit)

        works = (test, throughput, graph, evaluation, rank)
        for part, work in zip(PARTS, works, strict=True):
            if part in options.parts:
                attempt(part, work)
    print(f"done after {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
