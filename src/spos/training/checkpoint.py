"""Training states on disk: safetensors files with a digest of their own, the last few kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from spos._util.errors import UserError
from spos._util.files import write_atomically


class DamagedError(Exception):
    """A checkpoint that cannot be read, or whose content is not what was written."""


@dataclass(frozen=True)
class Loaded:
    """A training state as it was read back.

    Args:
        step: the number of steps done.
        tensors: the state by name.
        metadata: what was saved beside it.
        damaged: later checkpoints that could not be used, with the reason.
    """

    step: int
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    damaged: tuple[str, ...] = ()


def digest(tensors: dict[str, Tensor], text: str) -> str:
    """SHA-256 of tensors, their names and a text, in hexadecimal."""
    hashed = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        hashed.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        hashed.update(tensor.flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata to a safetensors file, atomically, with a digest of both.

    Args:
        path: the file to write.
        tensors: by name, on any device.
        metadata: anything that JSON holds.
    """
    # Copies: weights that are tied are written under each of their names.
    ours = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    text = json.dumps(metadata, sort_keys=True)
    header = {"spos": text, "sha256": digest(ours, text)}
    write_atomically(path, save(ours, metadata=header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that :func:`write_tensors` wrote.

    Raises:
        DamagedError: the file is truncated, altered, or of another kind.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> write_tensors(path, {"weight": torch.ones(2)}, {"step": 3})
        >>> read_tensors(path)
        ({'weight': tensor([1., 1.])}, {'step': 3})
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise DamagedError(f"{path} cannot be read ({error})") from error
    if "spos" not in header or header.get("sha256") != digest(tensors, header["spos"]):
        raise DamagedError(f"{path} does not hold what was written to it")
    return tensors, json.loads(header["spos"])


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    Args:
        folder: where they lie; made when the first is written.
        keep: how many of the latest stay.

    Example:
        >>> import tempfile
        >>> checkpoints = Checkpoints(Path(tempfile.mkdtemp()) / "supernet")
        >>> checkpoints.load() is None
        True
        >>> checkpoints.save(5, {"weight": torch.ones(2)}, {"seconds": 1.5})
        >>> checkpoints.load().step
        5
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))

    def save(self, step: int, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        """Write the state after a number of steps, and drop the oldest beyond those kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:08d}.safetensors"
        write_tensors(path, tensors, {**metadata, "step": step})
        # What a kill has left half written goes too.
        for old in [*self._paths()[: -self.keep], *self.folder.glob(".step-*")]:
            old.unlink()

    def load(self) -> Loaded | None:
        """Read the latest undamaged checkpoint.

        Returns:
            It, with the names of later ones that are damaged; None where there is none.

        Raises:
            UserError: there are checkpoints, and every one of them is damaged.
        """
        damaged: list[str] = []
        for path in reversed(self._paths()):
            try:
                tensors, metadata = read_tensors(path)
            except DamagedError as error:
                damaged.append(str(error))
                continue
            return Loaded(metadata["step"], tensors, metadata, tuple(damaged))
        if damaged:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged: {'; '.join(damaged)}; delete the "
                "folder to train again from the start"
            )
        return None
