"""Checkpoints of a training: safetensors files with a digest, of which the last few are kept."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.files import check_regular, parse_json, write_atomically

#: What stands before the names of buffers that are not persistent.
_UNSAVED = "buffer."


class DamagedError(Exception):
    """A checkpoint is unreadable, or its content does not match its digest."""


@dataclass(frozen=True)
class Loaded:
    """A loaded checkpoint.

    Args:
        step (int): number of finished steps.
        tensors (dict[str, Tensor]): state of the training by name, on the CPU.
        metadata (dict[str, Any]): metadata that was saved with the tensors.
        damaged (tuple[str, ...]): reasons why later checkpoints could not be loaded.
    """

    step: int
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    damaged: tuple[str, ...] = ()


def digest(tensors: dict[str, Tensor], text: str) -> str:
    """Compute the SHA-256 of tensors, their names and a text.

    Returns:
        64 hexadecimal digits.
    """
    hashed = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        hashed.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        hashed.update(tensor.flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata atomically to a safetensors file, with a digest of both."""
    # Copied, because safetensors refuses tied weights, which are written under all their names.
    ours = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    text = json.dumps(metadata, sort_keys=True)
    header = {"spos": text, "sha256": digest(ours, text)}
    write_atomically(path, save(ours, metadata=header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file written by :func:`write_tensors`.

    Returns:
        Tensors by name, on the CPU, and the metadata.

    Raises:
        DamagedError: the file is truncated, was altered, or is of another kind.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> write_tensors(path, {"weight": torch.ones(2)}, {"step": 3})
        >>> read_tensors(path)
        ({'weight': tensor([1., 1.])}, {'step': 3})
    """
    try:
        check_regular(path)
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise DamagedError(f"{path} cannot be read ({error})") from error
    if "spos" not in header or header.get("sha256") != digest(tensors, header["spos"]):
        raise DamagedError(f"{path} does not contain what was written to it")
    try:
        metadata = parse_json(header["spos"])
    except ValueError as error:
        raise DamagedError(f"{path} holds metadata that is not JSON ({error})") from error
    if not isinstance(metadata, dict):
        raise DamagedError(f"{path} holds metadata without names")
    return tensors, metadata


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    Args:
        folder (Path): folder of the checkpoints; created by the first :meth:`save`.
        keep (int): number of latest checkpoints to keep, at least 1.
        run (str): digest of the run that they belong to, which each of them holds; empty for none.

    Example:
        >>> import tempfile
        >>> checkpoints = Checkpoints(Path(tempfile.mkdtemp()) / "supernet")
        >>> checkpoints.load() is None
        True
        >>> checkpoints.save(5, {"weight": torch.ones(2)}, {"seconds": 1.5})
        >>> checkpoints.load().step
        5
    """

    def __init__(self, folder: Path, keep: int = 2, run: str = "") -> None:
        self.folder = folder
        self.keep = keep
        self.run = run

    def _paths(self) -> list[Path]:
        try:
            # Not glob, which takes a folder that cannot be read for an empty one.
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(self.folder / one for one in fnmatch.filter(names, "step-*.safetensors"))

    def save(self, step: int, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        """Write a checkpoint, and delete the oldest beyond ``keep``.

        Args:
            step (int): number of finished steps.
            tensors (dict[str, Tensor]): state of the training by name.
            metadata (dict[str, Any]): anything that JSON can represent.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _file_name(step)
        owner = {"run": self.run} if self.run else {}
        write_tensors(path, tensors, {**metadata, "step": step, **owner})
        # Later ones are damaged, or later than this training was asked to go. Partial files of a
        # process that was killed are deleted as well.
        kept = [one for one in self._paths() if one.name <= path.name][-self.keep :]
        for old in {*self._paths(), *self.folder.glob(".step-*")} - {*kept}:
            old.unlink()

    def load(self, until: int | None = None) -> Loaded | None:
        """Load the latest undamaged checkpoint.

        Args:
            until (int | None): step that it is not to be later than; None for any.

        Returns:
            The checkpoint, with the reasons why later ones are damaged; None if the folder has no
            checkpoints.

        Raises:
            OSError: the folder cannot be read.
            UserError: every checkpoint is damaged, or the latest one is of another run.
        """
        damaged: list[str] = []
        for path in reversed(self._paths()):
            if until is not None and path.name > _file_name(until):
                continue
            try:
                tensors, metadata = read_tensors(path)
            except DamagedError as error:
                damaged.append(str(error))
                continue
            # Those of former runs do not say it.
            if self.run and metadata.get("run", self.run) != self.run:
                raise UserError(
                    f"{path} is a checkpoint of another run: restore those of this one, or give "
                    "another --out"
                )
            return Loaded(metadata["step"], tensors, metadata, tuple(damaged))
        if damaged:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged: {'; '.join(damaged)}; delete the "
                "folder to train from scratch"
            )
        return None


def _file_name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name the weights, statistics and optimiser state of a training, for a checkpoint."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, buffer in model.named_buffers():
        # A training may change them as well, though state dicts leave them out.
        if f"model.{name}" not in tensors:
            tensors[f"{_UNSAVED}{name}"] = buffer
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{key}.{name}"] = value
    return tensors


def load_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    """Restore a training from the tensors of a checkpoint.

    Raises:
        UserError: the checkpoint belongs to another model.
    """
    load_model(model, tensors)
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, key, path = name.split(".", 2)
            parameter = parameters[path]
            optimizer.state[parameter][key] = value.to(parameter.device)


def load_model(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load the weights and statistics of a checkpoint into a model.

    Raises:
        UserError: the checkpoint belongs to another model.
    """
    prefix = "model."
    state = {name[len(prefix) :]: v for name, v in tensors.items() if name.startswith(prefix)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the checkpoint belongs to another model: {reason}") from error
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            kept = tensors.get(f"{_UNSAVED}{name}")
            if kept is not None and kept.shape == buffer.shape:
                buffer.copy_(kept)
