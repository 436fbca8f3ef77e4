"""How variants of supernet training rank networks whose true accuracy is known, at equal time.

Trains a supernet of each variant and seed on one thread, a few at once, and then ranks networks of
the benchmark's table by all of them (`ranking.py`). Rerun the same command to resume.

    python benchmarks/supernet_variants.py nasbenchmacro \\
        --table data/nasbenchmacro-cifar10.csv --data folder:data/cifar10-train.zip --seeds 2 \\
        --processes 2 --runs runs/variants --out benchmarks/results/supernet_variants
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ranking
from launch import run_command
from supernet_tricks import TRIED, whiten

from spos.run.config import read_layout
from spos.training import METHODS

#: In place of `spos`: the same command with more methods.
SPOS = (sys.executable, str(Path(__file__).with_name("supernet_tricks.py")))
#: Settings of each variant, all of about the same time; the first are the defaults of `proxy`.
VARIANTS = {
    "sandwich": (),
    "uniform": ("supernet.method=uniform", "supernet.steps=15000"),
    "uniform-64": ("supernet.method=uniform", "supernet.steps=12000", "supernet.batch_size=64"),
    "sandwich-64": ("supernet.steps=4500", "supernet.batch_size=64"),
    "undistilled": ("supernet.distillation=false",),
    "two-random": ("supernet.steps=5000", "supernet.paths=2"),
    "fair": ("supernet.method=fair", "supernet.steps=5000"),
    "no-smoothing": ("supernet.label_smoothing=0",),
    "cosine": ("supernet.schedule=cosine",),
    "averaged": ("supernet.ema=0.999",),
    "rate-0.05": ("supernet.learning_rate=0.05",),
    "decay-5e-4": ("supernet.weight_decay=5e-4",),
    "clipped": ("supernet.gradient_clip=1",),
    "warmup-750": ("supernet.warmup_steps=750",),
    "32-pixels": ("layout.image_size=32", "supernet.steps=2500"),
    "double-width": ("layout.channels=32,64,128", "layout.stem_channels=16", "supernet.steps=3000"),
    "uniform-slower-when-costly": (
        *("supernet.method=slower-when-costly", "supernet.steps=15000"),
    ),
    "uniform-momentum-by-group": (
        *("supernet.method=momentum-by-group", "supernet.steps=15000"),
        *("supernet.momentum=0", "supernet.nesterov=false", "supernet.weight_decay=4e-4"),
    ),
    "alternating-flips": ("supernet.method=sandwich-alternating-flips", "supernet.augment=crop"),
    "whitened": (),
    "12-pixels-first": ("supernet.steps=3750",),
}
#: Settings of a training whose weights a variant begins with.
FIRST = {
    "12-pixels-first": (
        *("layout.image_size=12", "supernet.steps=5000", "supernet.schedule=constant"),
    )
}


def train(name: str, space: str, data: str, seed: int, out: Path) -> None:
    """Train a supernet of a variant."""
    begin = None
    if name in FIRST:
        first = out.with_name(f"{out.name}-first")
        train_by(FIRST[name], space, data, seed, first)
        *_, begin = sorted((first / "supernet").glob("step-*.safetensors"))
    elif name == "whitened":
        begin = out.with_name(f"{out.name}.safetensors")
        layout = read_layout(space, "proxy", [])
        whiten(data, layout.image_size, layout.stem_channels, begin)
    train_by(VARIANTS[name], space, data, seed, out, begin)


def train_by(
    settings: Sequence[str],
    space: str,
    data: str,
    seed: int,
    out: Path,
    begin: Path | None = None,
) -> None:
    """Train a supernet by the command line, as a user would."""
    command = [*SPOS, "train", "--space", space, "--preset", "proxy"]
    command += ["--data", data, "--validation", "5000", "--seed", str(seed), "--threads", "1"]
    command += [part for setting in settings for part in ("--set", setting)]
    command += ["--init", str(begin)] if begin else []
    run_command([*command, "--out", str(out)], out.with_name(f"{out.name}.log"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space", help="of the catalogue, such as nasbenchmacro")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--data", required=True, help="data source, as of spos train")
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, comma-separated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options, rest = parser.parse_known_args(arguments)
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    jobs = [
        (name, seed, runs / f"{name}-{seed}")
        for seed in range(options.seeds)
        for name in options.only.split(",")
    ]
    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(lambda job: train(job[0], options.space, options.data, *job[1:]), jobs))
    chosen = [part for *_, run in jobs for part in ("--run", str(run))]
    # The settings of the runs name them.
    METHODS.update(TRIED)
    # Everything else is an option of the ranking.
    ranking.main(
        [options.space, "--table", str(options.table), "--out", str(options.out), *chosen, *rest]
    )


if __name__ == "__main__":
    main()
