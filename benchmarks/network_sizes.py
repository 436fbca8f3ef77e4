"""Whether a plan of minutes chooses networks of the right size: others, trained as long.

Larger networks are more accurate, but see fewer images in the same time. Here the same network of
`mobile`, kernel 5 and expansion 3 in every layer, is trained from scratch at several widths and
sizes of images, each for as many steps as there is time for on one core, as measured before it
begins. Rerun the same command to resume.

    python benchmarks/network_sizes.py --data data/cifar10-train.zip --sizes 32:1.25 32:1.75 \\
        --runs runs/sizes --out benchmarks/results/network_sizes
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from first_command import cut_folder
from launch import SPOS, run_command
from record import write_record

from spos import Architecture, Supernet
from spos.cost import CostTable
from spos.report.result import read_result
from spos.run.planning.measuring import measure_networks
from spos.spaces import family
from spos.spaces.mobile import layout_for

OPTION = "k5_e3"


def uniform(supernet: Supernet) -> Architecture:
    """The network with the same option in every layer."""
    return Architecture(choice.options.index(OPTION) for choice in supernet.space.choices)


def train_size(
    folder: Path, side: int, width: float, options: argparse.Namespace
) -> dict[str, Any]:
    """A row of the table: the network of a size, trained for its share of the time.

    Args:
        folder: images, as class folders.
        side: of the images in pixels.
        width: factor of the channels.
        options: of the command.
    """
    layout = layout_for(side, width)
    classes = int(options.case.partition(":")[2])
    supernet = family("mobile").build(layout, classes=classes)
    architecture, table = uniform(supernet), CostTable(supernet)
    out = options.runs.resolve() / f"{side}-{width:g}"
    if not (out / "result.json").exists():
        (step,) = measure_networks(supernet, [architecture], options.batch, torch.device("cpu"))
        steps = max(20, int(options.seconds / step))
        command = [*SPOS, "retrain", "--space", "mobile", "--preset", "small", "--threads", "1"]
        command += ["--data", f"folder:{folder}", "--network", str(architecture)]
        given = {f"layout.{name}": value for name, value in vars(layout).items()}
        given |= {"retrain.steps": steps, "retrain.warmup_steps": steps // 20}
        given |= {"retrain.learning_rate": 0.1, "retrain.batch_size": options.batch}
        for name, value in given.items():
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            command += ["--set", f"{name}={text}"]
        run_command([*command, "--out", str(out)], out.with_name(f"{out.name}.log"))
    result = read_result(out / "result.json")
    assert result.test_score is not None and result.retrain is not None
    score = result.test_score
    return {
        "image size": side,
        "width": f"{width:g}",
        "multiply-adds": f"{table.cost(architecture)['flops'] / 1e6:.2f}M",
        "steps": result.retrain.steps,
        "test": f"{score:.1%}",
        "standard error": f"{(score * (1 - score) / result.data.test) ** 0.5:.1%}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help=".zip with one folder per class")
    parser.add_argument("--case", default="1500:10", help="images:classes")
    parser.add_argument("--tests", type=int, default=3000, help="test images")
    parser.add_argument("--sizes", nargs="+", required=True, help="side of the images:width")
    parser.add_argument("--seconds", type=float, default=150, help="of a core, each")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.runs.mkdir(parents=True, exist_ok=True)
    folder = options.runs.resolve() / "images"
    cut_folder(options.data, *map(int, options.case.split(":")), options.tests, folder)
    rows = []
    for size in options.sizes:
        side, _, width = size.partition(":")
        rows.append(train_size(folder, int(side), float(width), options))
    options.out.mkdir(parents=True, exist_ok=True)
    title = f"One network in several sizes, each trained for {options.seconds:g} s of a core"
    write_record(options.out / "summary", title, rows)


if __name__ == "__main__":
    main()
