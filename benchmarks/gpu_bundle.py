"""Pack what a machine with a GPU and PyTorch but without internet needs to run `gpu.py`.

One folder below 60 MB: the sources, the wheels of what spos imports besides PyTorch, the images,
the tables, and a script that does the rest.

    python benchmarks/gpu_bundle.py --data data/cifar10-train.zip --tables data \\
        --out build/gpu-bundle
    cd build/gpu-bundle && OUT=results bash run.sh    # on the machine
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("src", "benchmarks", "tests", "pyproject.toml", "README.md")
#: What a machine with PyTorch has, by the names of distributions.
PRESENT = ("torch", "numpy", "pillow", "scipy", "scikit-learn", "tensorboard", "pyyaml", "psutil")
TESTS = ("pytest", "hypothesis")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64", "any")
LIMIT = 60_000_000

SCRIPT = """\
#!/usr/bin/env bash
# Measures the GPU of this machine; results go to $OUT.
set -e
cd "$(dirname "$0")"
OUT="${OUT:-results}"; SITE="${SITE:-/tmp/spos-site}"; mkdir -p "$OUT"
python3 -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$SITE" wheels/*
export PYTHONPATH="$SITE:$PWD/src:$PWD/benchmarks" OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
python3 benchmarks/gpu_bundle.py --unpack images.tar.xz --out images.zip
python3 benchmarks/gpu.py --data images.zip --tables tables --out "$OUT" "$@"
"""


def closure(names: Sequence[str], without: Sequence[str]) -> list[str]:
    """The distributions that others need, those included.

    Example:
        >>> "pluggy" in closure(["pytest"], []), "pytest" in closure(["pytest"], ["pluggy"])
        (True, True)
    """
    # Not on the machine, which only unpacks.
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, None] = {}
    left = list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name in found or name in without:
            continue
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # An optional part of what is there.
            continue
        found[name] = None
        needs = map(Requirement, needed)
        left += [one.name for one in needs if not one.marker or one.marker.evaluate({"extra": ""})]
    return sorted(found)


def download(names: Sequence[str], python: str, folder: Path) -> None:
    """Download the wheels of installed distributions for another version of Python on Linux."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    command += [part for one in PLATFORMS for part in ("--platform", one)]
    wanted = [f"{name}=={version(name)}" for name in names]
    subprocess.run([*command, "--dest", str(folder), *wanted], check=True)


def pack(images: Path, packed: Path) -> None:
    """Pack the images of a zip so that what their headers have in common takes no room."""
    with zipfile.ZipFile(images) as archive, tarfile.open(packed, "w:xz", preset=6) as tar:
        for name in sorted(one for one in archive.namelist() if not one.endswith("/")):
            content = archive.read(name)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def unpack(packed: Path, images: Path) -> None:
    """Undo :func:`pack`."""
    with tarfile.open(packed) as tar, zipfile.ZipFile(images, "w") as archive:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            archive.writestr(zipfile.ZipInfo(member.name), content.read())


def sources() -> Iterator[Path]:
    """The sources that git does not ignore, without results of benchmarks."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *SOURCES]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith("benchmarks/results/") and (ROOT / name).exists():
            yield Path(name)


def bundle(
    options: argparse.Namespace, fetch: Callable[[Sequence[str], str, Path], None] = download
) -> int:
    """Make the folder; its size in bytes."""
    out: Path = options.out
    shutil.rmtree(out, ignore_errors=True)
    for name in ("wheels", "tables"):
        (out / name).mkdir(parents=True)
    for path in sources():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, out / path)
    for table in sorted(options.tables.glob("nasbench*.csv")):
        shutil.copy(table, out / "tables")
    needed = [name for name in closure(["spos", *TESTS], PRESENT) if name != "spos"]
    fetch(needed, options.python, out / "wheels")
    pack(options.data, out / "images.tar.xz")
    (out / "run.sh").write_text(SCRIPT)
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="zip of images, a folder for each class")
    parser.add_argument("--tables", type=Path, help="folder of the tables of ground truth")
    parser.add_argument("--python", default="3.12", help="version of Python on the machine")
    parser.add_argument("--unpack", type=Path, help="images of a bundle to make a zip of, alone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.unpack is not None:
        unpack(options.unpack, options.out)
        return
    if options.data is None or options.tables is None:
        parser.error("give --data and --tables")
    size = bundle(options)
    print(f"{options.out}: {size / 1e6:.1f} MB")
    if size > LIMIT:
        raise SystemExit(f"larger than {LIMIT / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
