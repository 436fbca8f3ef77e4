"""What `spos run --data folder:PHOTOS --time 5m` takes and finds, with nothing else given.

Small image folders are cut from a larger one, with so many test images that differences show; with
--photos its images are enlarged to the different sizes of photographs. Where more classes are asked
for than there are, the images of a class turned by a quarter are a class of their own. Runs follow
one another, because each takes the whole machine. The time leaves few random networks to compare
with: --compare trains more of them afterwards. Those of a run are trained for a part of the steps
of the network found, which is trained so once more. Rerun the same command to resume; finished
runs are kept.

    python benchmarks/first_command.py --data data/cifar10-train.zip --cases 300:3,1500:10 \\
        --times 5m,10m --seeds 2 --runs runs/first-command --out benchmarks/results/first_command
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import statistics
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch import SPOS, run_command
from PIL import Image
from record import write_record

from spos._util.files import write_json
from spos._util.randomness import generator
from spos.report.result import Result, read_result
from spos.run.planning.duration import parse_duration


def cut_folder(
    archive: Path, count: int, classes: int, tests: int, folder: Path, *, photos: bool = False
) -> None:
    """Write an image folder with some of the images of a .zip with one folder for each class.

    Args:
        archive: .zip of class folders.
        count: number of images in ``train``.
        classes: number of classes, the first ones by name, then the same turned.
        tests: number of images in ``test``.
        folder: folder to write; one that exists is left as it is.
        photos: whether images are enlarged to sides of 150 to 500 pixels.
    """
    if folder.exists():
        return
    partial = folder.with_name(f".{folder.name}")
    with zipfile.ZipFile(archive) as opened:
        by_class: dict[str, list[str]] = {}
        for name in sorted(opened.namelist()):
            if Path(name).suffix.lower() in (".jpg", ".png"):
                by_class.setdefault(Path(name).parent.name, []).append(name)
        sizes = (("train", count // classes), ("test", tests // classes))
        for turns, label in list(itertools.product(range(4), sorted(by_class)))[:classes]:
            names = by_class[label]
            random = generator(0, "first command", label)
            order = random.permutation(len(names))
            # No image is in two classes.
            begin = turns * sum(size for _, size in sizes)
            for split, size in sizes:
                target = partial / split / (f"{label}-{90 * turns}" if turns else label)
                target.mkdir(parents=True, exist_ok=True)
                for place in order[begin : begin + size]:
                    path = target / Path(names[place]).name
                    content = opened.read(names[place])
                    if not turns and not photos:
                        path.write_bytes(content)
                        continue
                    image = Image.open(io.BytesIO(content)).rotate(90 * turns)
                    if photos:
                        sides = [int(side) for side in random.integers(150, 500, 2)]
                        image = image.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
                        path = path.with_suffix(".jpg")
                    image.save(path)
                begin += size
    partial.rename(folder)


def first_command(folder: Path, given: str, seed: int, limit: str, out: Path) -> float:
    """Run the first command of the README, and return how many seconds it took."""
    kept = out.with_name(f"{out.name}.seconds.json")
    if not kept.exists():
        command = [*SPOS, "run", "--data", f"folder:{folder}", "--time", given]
        command += ["--max-flops", limit] if limit else []
        began = time.monotonic()
        run_command([*command, "--seed", str(seed), "--out", str(out)], out.with_suffix(".log"))
        write_json(kept, {"seconds": time.monotonic() - began})
    return float(json.loads(kept.read_text())["seconds"])


def compare_more(count: int, out: Path) -> None:
    """Compare the network of a finished run with as many random ones, trained like those it has."""
    command = [*SPOS, "run", "--out", str(out), "--compare", str(count)]
    run_command(command, out.with_name(f"{out.name}-compare.log"))


def row(case: str, given: str, seed: int, seconds: float, result: Result) -> dict[str, Any]:
    """A row of the table: accuracies in percent of the test images."""
    compared, winner = result.comparison, result.winner
    scores = [network.test_score for network in compared.networks] if compared else []
    alike = compared.found_test_score if compared else 0.0
    steps = result.retrain.steps if result.retrain else None
    return {
        "images:classes": case,
        "time": given,
        "seed": seed,
        "taken": f"{seconds:.0f} s ({seconds / parse_duration(given) - 1:+.0%})",
        "multiply-adds": f"{winner.costs['flops'] / 1e6:.2f}M" if winner else "",
        "image size": result.data.image_size,
        "found": f"{result.test_score or 0.0:.1%}",
        "steps": steps,
        "compared after": (compared.steps or steps) if compared else "",
        "found then": f"{alike:.1%}" if compared else "",
        "mean of random": f"{statistics.fmean(scores):.1%}" if scores else "",
        "deviation": f"{statistics.stdev(scores):.1%}" if len(scores) > 1 else "",
        "random below": f"{sum(score < alike for score in scores)} of {len(scores)}",
        "uniform": f"{compared.uniform.test_score:.1%}" if compared and compared.uniform else "",
        "test images": result.data.test,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help=".zip with one folder per class")
    parser.add_argument("--cases", default="1500:10", help="images:classes, separated by commas")
    parser.add_argument("--tests", type=int, default=3000, help="test images")
    parser.add_argument("--photos", action="store_true", help="enlarge the images")
    parser.add_argument("--times", default="5m", help="durations, separated by commas")
    parser.add_argument("--max-flops", default="", help="limit, such as 60M; none by default")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--compare", type=int, default=0, help="random networks, afterwards")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    rows = []
    for case, given, seed in itertools.product(
        options.cases.split(","), options.times.split(","), range(options.seeds)
    ):
        count, classes = map(int, case.split(":"))
        kind = "photos" if options.photos else "images"
        folder = runs / f"{kind}-{count}-{classes}"
        cut_folder(options.data, count, classes, options.tests, folder, photos=options.photos)
        kind = "-photos" if options.photos else ""
        out = runs / f"{count}-{classes}{kind}-{given}-{seed}"
        seconds = first_command(folder, given, seed, options.max_flops, out)
        if options.compare:
            compare_more(options.compare, out)
        rows.append(row(case, given, seed, seconds, read_result(out / "result.json")))
    options.out.mkdir(parents=True, exist_ok=True)
    write_record(
        options.out / "summary", "The first command, with nothing but images and a time", rows
    )


if __name__ == "__main__":
    main()
