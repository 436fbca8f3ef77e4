"""Pages that are run: each once, in a directory with the images that they speak of."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

# The processes that pages run in import the modules by these names.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "cli")]
from commands import FORKS
from documents import ROOT, blocks
from filelock import FileLock
from running import run_page
from safetensors.torch import save_file

from spos.spaces import family


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with small images under the names that the pages use."""
    folder = tmp_path_factory.mktemp("images")
    digits = load_digits()
    pictures = [Image.fromarray((image * 15.9).astype("uint8")) for image in digits.images]
    pictures = [one.resize((32, 32)).convert("RGB") for one in pictures[:96]]
    for number, (picture, digit) in enumerate(zip(pictures, digits.target, strict=False)):
        path = folder / "photos" / ("even", "odd")[digit % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    shutil.copytree(folder / "photos", folder / "flowers")
    with zipfile.ZipFile(folder / "flowers.zip", "w") as file:
        for path in sorted((folder / "flowers").rglob("*.jpg")):
            file.write(path, path.relative_to(folder / "flowers"))
    rows = [
        bytes([digit]) + np.asarray(one).transpose(2, 0, 1).tobytes()
        for one, digit in zip(pictures, digits.target, strict=False)
    ]
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
        for name in names:
            facts = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            content = b"".join(rows[:48])
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    trained = family("mobile").build(family("mobile").preset("cifar"), classes=2)
    save_file(trained.state_dict(), folder / "weights.safetensors")
    (folder / "holiday").mkdir()
    for name in ("photo.jpg", "scan.png", "holiday/beach.jpg"):
        pictures[0].save(folder / name)
    return folder


@pytest.fixture(scope="session")
def ran(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Run all blocks of a page, once for all workers; give the directory that they leave."""
    base = tmp_path_factory.getbasetemp()
    base = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pages"

    def run(page: str) -> Path:
        place = base / page.replace("/", "-")
        folder, outcome = place / "work", place / "outcome"
        base.mkdir(exist_ok=True)
        with FileLock(base / f"{place.name}.lock"):
            if not outcome.exists():
                shutil.copytree(images, folder)
                arguments = (blocks(ROOT / page), folder, outcome)
                process = FORKS.Process(target=run_page, args=arguments)
                process.start()
                process.join()
            assert outcome.exists(), f"{page}: exit status {process.exitcode}"
        assert not outcome.read_text(), outcome.read_text()
        return folder

    return run
