"""The weights that the trainings of a run begin from, where they are those of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spos._util.errors import UserError, nearest
from spos._util.files import expand_home, file_digest
from spos.run.config import check_sections
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.training.checkpoint import DamagedError, digest, read_tensors, write_tensors
from spos.training.weights import match_state, read_state, take_state

#: Where the weights of a training without a file come from.
KINDS = ("scratch", "supernet")
#: File of the run directory with the weights that a model brought.
BROUGHT = "init.safetensors"
#: Options by the section whose setting they are.
FLAGS = {"supernet": "--init", "network": "--retrain-from"}


def with_digests(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the digests of the files of weights among them.

    Args:
        given (Mapping): settings by section; ``network.weights`` may be the name of a file.

    Raises:
        UserError: a file does not exist.
    """
    sections = check_sections(given)
    network = sections.get("network", {})
    weights = network.get("weights", KINDS[0])
    if weights not in (*KINDS, "file"):
        network |= {"weights": "file", "init": str(weights)}
    for section, flag in FLAGS.items():
        settings = sections.get(section, {})
        if settings.get("init"):
            path = expand_home(str(settings["init"]))
            if not path.is_file():
                allowed = "allowed:" if section == "supernet" else f"{nearest(path, KINDS)},"
                raise UserError(f"{flag} {path}: no such file; {allowed} a file of weights")
            settings |= {"init": str(path), "init_sha256": file_digest(path)}
    return sections


def begin(context: Context, model: nn.Module, section: str, stage: str, told: bool = True) -> None:
    """Begin a training with the weights of the file of a section, where it has one.

    A training that was begun has its weights already.

    Args:
        context (Context): the run.
        model (nn.Module): fresh model, changed in place.
        section (str): ``supernet`` or ``network``.
        stage (str): folder of the checkpoints of the training.
        told (bool): whether to tell what is taken.

    Raises:
        UserError: the file is missing, was changed, or nothing in it fits.
    """
    settings = getattr(context.config, section)
    if not settings.init or any((context.directory.path / stage).glob("step-*")):
        return
    flag = f"{FLAGS[section]} {settings.init}"
    state = _read(Path(settings.init), settings.init_sha256, flag)
    matched = match_state(model, state, flag)
    take_state(model, state, matched)
    if told and context.fabric.is_global_zero:
        context.listener.message(f"{flag}: {matched.describe()}")


def check_beginning(context: Context, models: list[nn.Module], section: str) -> None:
    """Check that the file of a section fits one of several models, where it has one.

    Args:
        context (Context): the run.
        models (list[nn.Module]): models, which may be on the meta device.
        section (str): ``supernet`` or ``network``.

    Raises:
        UserError: the file is missing, was changed, or nothing in it fits.
    """
    settings = getattr(context.config, section)
    flag = f"{FLAGS[section]} {settings.init}"
    state = _read(Path(settings.init), settings.init_sha256, flag)
    refused = None
    for model in models:
        try:
            match_state(model, state, flag)
            return
        except UserError as error:
            refused = refused or error
    if refused is not None:
        raise refused


def _read(path: Path, expected: str, flag: str) -> Any:
    try:
        changed = file_digest(path) != expected
    except FileNotFoundError:
        raise UserError(f"{flag}: the file is missing; restore it") from None
    if changed:
        raise UserError(f"{flag}: the file is not the one that the run was begun with; restore it")
    return read_state(path)


@contextmanager
def brought(model: nn.Module, folder: Path) -> Iterator[None]:
    """Write the weights of a model into a run directory, where a later call finds them again.

    Args:
        model (nn.Module): the model.
        folder (Path): run directory; left as it was if no run begins in it.

    Raises:
        UserError: the run was begun with other weights, or another process uses the directory.
    """
    directory, path = RunDirectory(folder), folder / BROUGHT
    # All the time: another call may be planning here, too.
    with directory.open():
        started, state = directory.config_path, model.state_dict()
        known: dict[str, Tensor] = {}
        with suppress(DamagedError):
            known, _ = read_tensors(path)
        # Compared by what they hold: the same tensors are not always written as the same bytes.
        new = digest(known, "") != digest(state, "")
        if new and started.exists():
            raise UserError(
                f"init 'model': {folder} was begun with other weights; make those of the model the "
                "same again, with torch.manual_seed or from a file, or give another out"
            )
        try:
            if new:
                write_tensors(path, state, {})
            yield
        finally:
            if new and not started.exists():
                path.unlink(missing_ok=True)
