"""From a run to a file that runs elsewhere: written, compared with the run, then put in place."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.files import put
from spos.data import ImageData
from spos.export.card import model_card
from spos.export.comparing import compare, reference
from spos.export.deployed import deploy, rounds
from spos.export.formats import Format, find_format
from spos.export.onnx_file import OPSET
from spos.export.timing import measure_latency
from spos.export.trained import RETRAIN, Trained, check_run, load_trained
from spos.run.task import Task

#: Seconds after which an export that left a folder behind has been killed.
ABANDONED = 3600.0
#: What each format is written and checked with.
_PACKAGES = {
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "torch-export": ("torch",),
    "state-dict": ("torch", "safetensors"),
}


def export_run(
    run: Path,
    form: str = "onnx",
    out: Path | None = None,
    *,
    fold: bool = True,
    stage: str = RETRAIN,
    load: Callable[[], ImageData] | None = None,
    task: Task | None = None,
) -> dict[str, Any]:
    """Write a trained network of a run to a file, with its facts and a model card beside it.

    The file is written under a temporary name, opened again, and compared with the trained network
    on the test images of the run; only then it gets its name. The card is called as the file with
    ``.md`` behind it, the facts with ``.json``.

    Args:
        run: the run directory.
        form: ``onnx``, ``torch-export`` or ``state-dict``.
        out: the file; ``network`` in the run directory without it, or the name of the stage.
        fold: put batch norms into the convolutions before them.
        stage: the training whose network it is, ``retrain`` or ``compare-N``.
        load: gives the images of a run on images of your own (:func:`spos.data.dataset_data`).
        task: the task of a run whose targets are values.

    Returns:
        What the file of facts holds.

    Raises:
        UserError: there is no such network, it cannot be written, or the file does not say what
            the network says. No file is left then.
    """
    kind = find_format(form)
    stem = "network" if stage == RETRAIN else stage
    target = (run / f"{stem}{kind.suffix}") if out is None else out
    check_run(run)
    _check_target(target, kind)
    with _beside(target) as folder:
        trained = load_trained(run, stage, load=load, task=task)
        return _export(trained, kind, folder / target.name, target, fold)


def _export(
    trained: Trained, kind: Format, temporary: Path, target: Path, fold: bool
) -> dict[str, Any]:
    metadata = trained.metadata
    expected = reference(trained)
    graph = deploy(trained.network, metadata, fold=fold)
    kind.write(temporary, graph, metadata, fold)
    read, runnable = kind.open(temporary)
    if read != metadata:
        raise UserError(f"{target}: its metadata does not come back as it was written")
    checked = compare(
        expected, runnable.run, classifies=metadata.classifies, quantised=rounds(graph)
    )
    latency = measure_latency(runnable.run, expected.pixels[:1])
    content = temporary.read_bytes()
    facts: dict[str, Any] = {
        "file": target.name,
        "files": [],
        "format": kind.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "opset": OPSET if kind.name == "onnx" else None,
        "folded": fold,
        "metadata": dataclasses.asdict(metadata),
        "check": checked,
        "latency": {"engine": runnable.engine, "machine": _processor(), **latency},
        "costs": trained.costs,
        "test": {
            "metric": metadata.metric,
            "score": trained.outcome["test_top1"],
            "images": trained.outcome.get("test_images", len(trained.test)),
        },
        "stage": trained.stage,
        "versions": {"python": platform.python_version(), **_versions(kind)},
    }
    folder = temporary.parent
    written = [path.name for path in folder.iterdir() if path != temporary]
    facts["files"] = [target.name, *written, f"{target.name}.md", f"{target.name}.json"]
    card = model_card(facts, trained.result, target.name)
    (folder / f"{target.name}.md").write_text(card, encoding="utf-8")
    text = json.dumps(facts, indent=2, allow_nan=False) + "\n"
    (folder / f"{target.name}.json").write_text(text, encoding="utf-8")
    _put_all(folder, target)
    return facts


def _put_all(folder: Path, target: Path) -> None:
    """Put a network and what belongs to it in their places."""
    # The network goes first and comes last: where it is, all that belongs to it is of its kind.
    target.unlink(missing_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == target.name):
        put(path, target.with_name(path.name))


def _check_target(target: Path, kind: Format) -> None:
    """Refuse a file that could not be written, before the images are read."""
    if target.suffix != kind.suffix:
        raise UserError(
            f"--out {target}: a file of --format {kind.name} ends in {kind.suffix}; nearest valid: "
            f"{target.with_suffix(kind.suffix) if target.name else kind.suffix}"
        )
    if target.is_dir():
        raise UserError(f"--out {target}: it is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise UserError(f"--out {target}: there is no folder {target.parent}; make it first")
    kind.check(target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder beside a file that is to be written, which is gone afterwards."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        # What a kill has left; nothing that is being written is so old.
        if left.is_dir() and time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise UserError(f"--out {target}: not writable ({error.strerror})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _versions(kind: Format) -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES[kind.name]}


def _processor() -> str:
    """The name of the processor, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
