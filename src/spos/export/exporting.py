"""From a run to a file that runs elsewhere: written, compared with the run, then put in place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.benchmark import Timer

from spos._util.errors import UserError
from spos._util.files import as_path, put
from spos._util.modes import usual_modes
from spos.cost.latency.device import device_name
from spos.data import ImageData
from spos.export.card import model_card
from spos.export.comparing import compare, reference
from spos.export.deployed import deploy, rounds
from spos.export.formats import Format, find_format
from spos.export.onnx_file import OPSET
from spos.export.trained import RETRAIN, Trained, check_run, load_trained
from spos.run.result import check_outcomes
from spos.run.task import TOP1, Task

TIMED_SECONDS = 1.0
NETWORK_FILE = "network.onnx"
"""File in a run directory to which its network is exported by default."""


@usual_modes()
def export_run(
    run: str | Path,
    form: str = "onnx",
    out: str | Path | None = None,
    *,
    fold: bool = True,
    stage: str = RETRAIN,
    load: Callable[[], ImageData] | None = None,
    task: Task | None = None,
) -> dict[str, Any]:
    """Write a trained network of a run to a file, with its facts and a model card beside it.

    The file is written under a temporary name, opened again, and compared with the trained network
    on the test images of the run; only then it gets its name. The card is named like the file with
    ``.md`` appended, the facts with ``.json``.

    Args:
        run (str | Path): run directory.
        form (str): ``"onnx"``, ``"torch-export"`` or ``"state-dict"``.
        out (str | Path | None): file to write; None for ``network`` in the run directory, or the
            name of the stage.
        fold (bool): whether to fold batch norms into the convolutions before them.
        stage (str): training whose network it is, ``"retrain"`` or ``"compare-N"``.
        load (Callable | None): returns the images of a run on your own (:func:`dataset_data`).
        task (Task | None): task of a run whose targets are values.

    Returns:
        dict: the facts, as in the file.

    Raises:
        UserError: the network does not exist, cannot be written, or the file does not agree with
            the network. No file is left then.
    """
    run, out = as_path(run, "run"), None if out is None else as_path(out, "out")
    kind = find_format(form)
    stem = "network" if stage == RETRAIN else stage
    target = (run / f"{stem}{kind.suffix}") if out is None else out
    check_run(run)
    _check_target(target, kind)
    try:
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UserError(f"--out {target}: not writable ({error.strerror})") from error
    with folder as name:
        trained = load_trained(run, stage, load=load, task=task)
        context = trained.context
        check_outcomes(context.config, context.directory, top1=trained.task.metric == TOP1)
        return _export(trained, kind, Path(name), target, fold)


def _export(
    trained: Trained, kind: Format, folder: Path, target: Path, fold: bool
) -> dict[str, Any]:
    metadata, temporary = trained.metadata, folder / target.name
    expected = reference(trained)
    graph = deploy(trained.network, metadata, fold=fold)
    try:
        kind.write(temporary, graph, metadata, fold)
    except OSError as error:
        # Of a full disk, not every library names the file, and here it would be the temporary one.
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error
    opened = kind.open(temporary)
    content = temporary.read_bytes()
    written = sorted(path.name for path in folder.iterdir() if path != temporary)
    versions = {name: version(name) for name in kind.packages}
    facts: dict[str, Any] = {
        "file": target.name,
        "files": [target.name, *written, card_of(target).name, facts_of(target).name],
        "format": kind.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "opset": OPSET if kind.name == "onnx" else None,
        "folded": fold,
        "metadata": dataclasses.asdict(metadata),
        "check": compare(
            expected, opened.run, classifies=metadata.classifies, quantised=rounds(graph)
        ),
        "latency": {
            "engine": opened.engine,
            "machine": device_name("cpu"),
            **_latency(opened.run, expected.pixels[:1]),
        },
        "costs": dict(trained.outcome.costs),
        "test": {
            "metric": metadata.metric,
            "score": trained.outcome.test_score,
            "images": trained.outcome.test_images or len(trained.test),
        },
        "stage": trained.stage,
        "run": trained.outcome.run,
        "versions": {"python": platform.python_version(), **versions},
    }
    card = model_card(facts, trained.result, target.name)
    card_of(temporary).write_text(card, encoding="utf-8")
    text = json.dumps(facts, indent=2, allow_nan=False) + "\n"
    facts_of(temporary).write_text(text, encoding="utf-8")
    # The network is removed first and put last: where it is, all that belongs to it is its own.
    target.unlink(missing_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == target.name):
        put(path, target.with_name(path.name))
    return facts


def card_of(target: Path) -> Path:
    """The model card beside an exported network."""
    return target.with_name(f"{target.name}.md")


def facts_of(target: Path) -> Path:
    """The facts beside an exported network."""
    return target.with_name(f"{target.name}.json")


def _latency(run: Callable[[Tensor], Tensor], image: Tensor) -> dict[str, Any]:
    """Median and quartiles of one image on one thread of the CPU, in microseconds."""
    timer = Timer("run(image)", globals={"run": run, "image": image}, num_threads=1)
    measured = timer.blocked_autorange(min_run_time=TIMED_SECONDS)
    first, median, third = (np.percentile(measured.times, [25, 50, 75]) * 1e6).tolist()
    return {
        "median_us": median,
        "quartiles_us": [first, third],
        "calls": len(measured.times) * measured.number_per_run,
    }


def _check_target(target: Path, kind: Format) -> None:
    """Refuse a file that could not be written, before the images are read."""
    if target.suffix != kind.suffix:
        raise UserError(
            f"--out {target}: a file of --format {kind.name} ends in {kind.suffix}; nearest valid: "
            f"{target.with_suffix(kind.suffix) if target.name else kind.suffix}"
        )
    if target.is_dir():
        raise UserError(f"--out {target}: is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise UserError(f"--out {target}: the folder {target.parent} does not exist; create it")
    for beside in (target, card_of(target), facts_of(target)):
        if beside.exists() and not beside.is_file():
            raise UserError(f"--out {target}: {beside} exists and is not a file; give another name")
    kind.check(target)
