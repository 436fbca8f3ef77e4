"""What the cases are made of: a finished run, images, exported networks, a latency table."""

from __future__ import annotations

import shutil
from pathlib import Path

from commands import FEW, Started
from PIL import Image

#: The small run without what its supernet does not depend on, which is free once that is trained.
OF_THE_SUPERNET = tuple(
    text
    for flag, value in zip(FEW[::2], FEW[1::2], strict=True)
    if flag not in ("--population", "--iterations")
    and not value.startswith(("search.", "retrain."))
    for text in (flag, value)
)
LAYOUT = ("--set", "layout.channels=16,24", "--set", "layout.depths=1,2")


def make_material(folder: Path) -> None:
    """Make it, in a new folder."""
    folder.mkdir()
    logs = folder.with_name(f"{folder.name}-logs")
    logs.mkdir()
    out = folder / "run"

    def spos(*arguments: object) -> None:
        ended = Started(logs, *arguments).wait()
        assert ended.status == 0, ended.err

    more = ("--compare", "1", "--finalists", "2", "--set", "data.test=99")
    spos("run", *FEW, *more, "--max-flops", "130K", "--out", out)
    spos("train", *OF_THE_SUPERNET, "--out", folder / "trained")
    for name, form in (
        ("network.onnx", "onnx"),
        ("network.safetensors", "state-dict"),
        ("network.pt2", "torch-export"),
    ):
        spos("export", out, "--format", form, "--out", folder / name)
    spos(
        *("latency", "--space", "shufflenetv2", "--preset", "tiny", *LAYOUT, "--classes", "10"),
        *("--image-channels", "1", "--rounds", "2", "--out", folder / "table.json"),
    )
    # What no command reads back, and is copied for every case.
    for path in (*folder.glob("*/tensorboard"), *out.glob("compare-*/"), *out.glob("finalist-*/")):
        shutil.rmtree(path)
    (out / "report.html").unlink()
    for name, colour in (("a", 0), ("b", 200)):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(8):
            image = Image.new("L", (8, 8), colour)
            image.putpixel((number, 3), 99)
            image.save(folder / "images" / name / f"{number}.png")
