"""Files that are damaged, or of somebody else."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import yaml
from commands import FEW
from settings_cases import lay_out
from values import PLAIN, alter, as_json, damage

from spos._util.files import read_json, write_json

#: Files of a run that are read back, and how often each is damaged.
OF_A_RUN = {
    "result.json": 12,
    "config.yaml": 3,
    "data.json": 3,
    "train.json": 2,
    "search.json": 5,
    "finalists.json": 3,
    "retrain.json": 3,
    "compare.json": 3,
    "predictions.json": 2,
    "metrics.jsonl": 3,
    "study.db": 4,
    ".search-seconds": 1,
    "supernet": 4,
    "retrain": 3,
    "compare-1.json": 1,
}
#: Commands that read a run.
READING = (
    ["run", "--out", "run"],
    ["search", "--out", "run"],
    ["retrain", "--out", "run"],
    ["train", "--out", "run"],
    ["export", "run", "--format", "state-dict"],
    ["dashboard", "run", "--port", "0"],
    ["latency", "--run", "run", "--out", "latency.json"],
    ["train", *FEW, "--out", "out", "--reuse", "run"],
    ["run", "--out", "run", "--iterations", "4"],
)


def run_files(random: Random, material: Path) -> list[str]:
    """A run with a damaged file, or several, read by a command."""
    lay_out(material, "run")
    out = Path("run")
    names = random.choices(list(OF_A_RUN), list(OF_A_RUN.values()), k=random.choice((1, 1, 1, 2)))
    if random.random() < 0.3:
        # What is read only where a stage is not finished.
        stage = random.choice(("train", "search", "retrain", "finalists"))
        (out / f"{stage}.json").unlink(missing_ok=True)
    for name in names:
        path = out / name
        # The first of two may have put an empty folder there.
        if path.is_dir() and (inside := sorted(path.iterdir())):
            path = random.choice(inside)
        if path.is_file():
            harm(path, random)
    if "result.json" in names:
        return ["show", "run", *random.choice(([], ["--json"]))]
    # An export takes as long as ten other commands.
    often = [1 if command[0] == "export" else 4 for command in READING]
    return [*random.choices(READING, often)[0]]


def harm(path: Path, random: Random) -> None:
    """Damage a file in its bytes or its values, or put something else in its place."""
    kind = random.random()
    if kind < 0.06:
        path.unlink()
        if kind < 0.02:
            path.mkdir()
        elif kind < 0.04:
            path.symlink_to(random.choice((path.name, "/nowhere", "/etc/passwd", "..")))
    elif kind < 0.75 and path.suffix in (".json", ".jsonl", ".yaml"):
        try:
            _harm_values(path, random)
        except (ValueError, OverflowError, IndexError):
            # It was damaged before.
            path.write_bytes(damage(path.read_bytes(), random))
    else:
        path.write_bytes(damage(path.read_bytes(), random))


def _harm_values(path: Path, random: Random) -> None:
    if path.suffix == ".jsonl":
        lines = path.read_text().splitlines()
        for _ in range(3):
            place = random.randrange(len(lines))
            lines[place] = as_json(alter(json.loads(lines[place]), random)).decode()
        path.write_text("\n".join(lines) + "\n")
        return
    if path.suffix == ".yaml":
        content = alter(yaml.safe_load(path.read_text()), random)
        path.write_text(json.dumps(content, default=str))
        return
    content = read_json(path)
    for _ in range(random.choice((1, 1, 2, 4))):
        content = alter(content, random)
    # Files of former versions have no digest; of others, the digest is right.
    if random.random() < 0.5 and isinstance(content, dict):
        try:
            write_json(path, content)
        except ValueError:
            path.write_bytes(as_json(content))
    else:
        path.write_bytes(as_json(content))


def latency_tables(random: Random, material: Path) -> list[str]:
    """A damaged latency table."""
    lay_out(material, "table.json")
    path = Path("table.json")
    if random.random() < 0.75:
        content = json.loads(path.read_text())
        for _ in range(random.choice((1, 1, 2))):
            content = alter(content, random)
        path.write_bytes(as_json(content))
    else:
        path.write_bytes(damage(path.read_bytes(), random))
    layout = ("--set", "layout.channels=16,24", "--set", "layout.depths=1,2")
    measure = (
        *("profile", "shufflenetv2", "--preset", "tiny", *layout, "--architecture", "0,0,0"),
        *("--classes", "10", "--image-channels", "1", "--latency-table", "table.json"),
    )
    return random.choice(
        (
            [*measure],
            [*measure, "--json"],
            ["latency", "--validate", "table.json", "--networks", "1", "--rounds", "1"],
            ["search", *FEW, "--out", "out", "--latency-table", "table.json"],
        )
    )


#: Names of files that are odd in one way or another.
ODD = (
    *("ä.png", "a b.png", "-x.png", "\n.png", "\x1b[31m.png", "a.PNG", ".hidden.png", "a" * 240),
    *("a.png.png", "😀.png", "con.png", "%s.png", "{}.png", "a.jpg", "a.webp", "a.bmp", "a.gif"),
    *("a.txt", "a", "'\".png", "a\\b.png", "a:b.png", os.fsdecode(b"\xff\xfe.png")),
)


def _odd_image(random: Random, material: Path) -> bytes:
    content = (material / "images" / "a" / f"{random.randrange(8)}.png").read_bytes()
    kind = random.randrange(5)
    if kind == 0:
        return random.choice((b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF"))
    if kind == 1:
        # A size that its data does not have, with the right checksum.
        side = random.choice((0, 1, 30_000, 2**31 - 1, 2**32 - 1))
        header = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    return damage(content, random) if kind < 4 else content


def _harm_folder(folder: Path, random: Random, material: Path) -> None:
    """Put things into a folder of images that are no images."""
    for _ in range(random.choice((1, 2, 5))):
        classes = sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())
        inside = random.choice([*classes, folder])
        path, kind = inside / random.choice(ODD), random.randrange(9)
        if os.path.lexists(path):
            continue
        if kind < 4:
            path.write_bytes(_odd_image(random, material))
        elif kind == 4:
            os.mkfifo(path)
        elif kind == 5:
            path.symlink_to(random.choice((".", "..", path.name, "/nowhere", "0.png", "/dev/zero")))
        elif kind == 6:
            path.mkdir()
        elif kind == 7 and classes:
            shutil.rmtree(random.choice(classes))
        else:
            some = random.choice(
                sorted(one for one in folder.rglob("*.png") if one.is_file()) or [path]
            )
            some.write_bytes(_odd_image(random, material))


def _reading(random: Random, source: str) -> list[str]:
    options = (
        *("--set", f"data.stream={random.choice(('auto', 'never', 'always'))}"),
        *("--set", f"data.on_broken={random.choice(('fail', 'skip'))}"),
        *("--set", "data.validation=0.2", "--set", "supernet.batch_size=2"),
        *("--set", "run.calibration=2", "--set", "layout.image_size=8"),
    )
    return ["train", *FEW, *options, "--data", f"folder:{source}", "--out", "out"]


def image_folders(random: Random, material: Path) -> list[str]:
    """A folder with what is no image, read by a training or by a network."""
    lay_out(material, "images")
    _harm_folder(Path("images"), random, material)
    if random.random() < 0.7:
        lay_out(material, "network.onnx")
        return ["predict", "network.onnx", "images"]
    return _reading(random, "images")


def archives(random: Random, material: Path) -> list[str]:
    """A damaged archive of images, or one that is larger than it looks."""
    buffer, size = io.BytesIO(), random.choice((0, 1, 8))
    with zipfile.ZipFile(
        buffer, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_LZMA, 8))
    ) as made:
        for name in ("a", "b")[: random.choice((1, 2, 2, 2))]:
            for number in range(size):
                made.write(material / "images" / name / f"{number}.png", f"{name}/{number}.png")
        kind = random.random()
        if kind < 0.2:
            made.writestr("a/bomb.png", bytes(1 << 24))
        elif kind < 0.6:
            odd = ("../a.png", "/a.png", "a//b.png", "a/", "a", "\\a.png", "a/../../b.png", *ODD)
            name = random.choice(odd).encode("utf-8", "replace").decode()
            made.writestr(name, _odd_image(random, material))
    content = bytearray(buffer.getvalue())
    if random.random() < 0.3 and size:
        # The size that the archive says of its first member.
        place = content.find(b"PK\x01\x02") + 24
        content[place : place + 4] = random.choice((b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xff" * 4))
    Path("images.zip").write_bytes(
        damage(bytes(content), random) if random.random() < 0.5 else content
    )
    return _reading(random, "images.zip")


def networks(random: Random, material: Path) -> list[str]:
    """A damaged file of spos export, with or without the file that describes it."""
    name = random.choices(("network.onnx", "network.safetensors", "network.pt2"), (10, 1, 3), k=1)[
        0
    ]
    lay_out(material, name, "images")
    beside = Path(f"{name}.json")
    if random.random() < 0.3:
        lay_out(material, beside.name)
        if random.random() < 0.7:
            harm(beside, random)
    path = Path(name)
    if random.random() < 0.9:
        content = path.read_bytes()
        if name.endswith(".onnx") and random.random() < 0.6:
            content = _alter_metadata(content, random)
        else:
            content = damage(content, random)
        path.write_bytes(content)
    # What is damaged in a .pt2 file is not trusted.
    return ["predict", name, random.choice(("images", "images/a/0.png", "missing.png"))]


def _alter_metadata(content: bytes, random: Random) -> bytes:
    import onnx

    model = onnx.load_from_string(content)
    chosen = random.choice(model.metadata_props)
    kind = random.randrange(4)
    if kind == 0:
        model.metadata_props.remove(chosen)
    elif kind == 1:
        chosen.value = as_json(random.choice(PLAIN)).decode()
    elif kind == 2:
        chosen.value = random.choice(("", "nan", "[", "9" * 400, "-1", "0", "\x1b[31m", "[1, 2]"))
    else:
        try:
            value = alter(json.loads(chosen.value), random)
        except ValueError:
            value = alter(chosen.value, random)
        chosen.value = (
            value if isinstance(value, str) and "\udcff" not in value else json.dumps(value)
        )
    return model.SerializeToString()


KINDS: dict[str, Callable[[Random, Path], list[str]]] = {
    "files of a run": run_files,
    "latency tables": latency_tables,
    "image folders": image_folders,
    "archives": archives,
    "exported networks": networks,
}
