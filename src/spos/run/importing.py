"""Import of a published supernet as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos.run.directory import RunDirectory
from spos.run.outcome import TrainOutcome
from spos.spaces import family
from spos.spaces.official import INPUT_MEAN, INPUT_STD, classes_of, load_official, to_supernet
from spos.training.checkpoint import Checkpoints

PRESET = "imagenet"


def import_official_run(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Create a run directory with the trained supernet of the official release.

    The run can be continued with ``spos search``. Images are normalised as in the release, in RGB
    order.

    Returns:
        Numbers of ``classes``, ``tensors`` and training ``steps``.

    Raises:
        UserError: the file is not a supernet of the release, or the directory contains a run.
    """
    state = load_official(checkpoint)
    classes = classes_of(state)
    spaces = family("shufflenetv2")
    supernet = spaces.build(spaces.preset(PRESET), classes=classes)
    to_supernet(state, supernet, rgb=True)
    directory = RunDirectory(out)
    with directory.open():
        if directory.read_config():
            raise UserError(f"--out {out} already contains a run: give another")
        data = {"mean": list(INPUT_MEAN), "std": list(INPUT_STD)}
        given = {"space": {"preset": PRESET}, "data": data}
        config, frozen = directory.resolve_config(given, ("space", "layout", "supernet"))
        directory.freeze_config(frozen)
        tensors = {f"model.{name}": value for name, value in supernet.state_dict().items()}
        steps = config.supernet.steps
        Checkpoints(out / "supernet").save(steps, tensors, {"seconds": 0.0})
        directory.finish(
            TrainOutcome(steps=steps, seconds=0.0, imported=checkpoint.name, classes=classes)
        )
    return {"classes": classes, "tensors": len(state), "steps": steps}
