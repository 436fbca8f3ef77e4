"""Weights from a file: read without executing anything, and taken where name and shape fit."""

from __future__ import annotations

import difflib
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spos._util.archives import find_damage
from spos._util.errors import UserError
from spos._util.text import first_few

#: Entries under which files keep their weights beside other things.
ENTRIES = ("state_dict", "model_state_dict", "model")
#: What stands before the names in files: of a wrapper, or of the checkpoints and exports of spos.
PREFIXES = ("", "model.", "model.model.", "module.", "network.")


@dataclass(frozen=True)
class Matched:
    """The tensors of a file that fit a model.

    Args:
        pairs (Mapping[str, str]): name in the file by name in the model.
        missing (tuple[str, ...]): weights of the model that the file does not have.
        left (tuple[str, ...]): tensors of the file that the model does not have.
    """

    pairs: Mapping[str, str]
    missing: tuple[str, ...]
    left: tuple[str, ...]

    def describe(self) -> str:
        """What was taken and what was left, in one line.

        Example:
            >>> Matched({"a": "a"}, ("b",), ()).describe()
            '1 of 2 tensors taken; fresh: 1 (b); left in the file: none'
        """
        of = len(self.pairs) + len(self.missing)
        fresh, left = (
            f"{len(names)} ({first_few(names)})" if names else "none"
            for names in (self.missing, self.left)
        )
        return f"{len(self.pairs)} of {of} tensors taken; fresh: {fresh}; left in the file: {left}"


def read_state(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name; nothing in it is executed.

    Args:
        file (Path): a ``.safetensors`` file, or a state dict by ``torch.save``, also as the entry
            ``state_dict`` or ``model`` of a dictionary.

    Raises:
        UserError: the file is missing or damaged, or holds something else, such as sparse tensors.
    """
    content = read_weights(file)
    if isinstance(content, Mapping):
        inner = (content[name] for name in ENTRIES if isinstance(content.get(name), Mapping))
        content = next(inner, content)
    state = content.items() if isinstance(content, Mapping) else ()
    found = {str(name): value for name, value in state if isinstance(value, Tensor)}
    if not found:
        raise UserError(
            f"{file} holds no tensors by name: give a state dict, or one of safetensors"
        )
    for name, value in found.items():
        dense = value.layout == torch.strided and not (value.is_nested or value.is_meta)
        if not dense or value.is_quantized or value.is_complex():
            raise UserError(
                f"{file}: {name} is a tensor of {value.dtype}, {value.layout}, on {value.device}; "
                "allowed: dense ones of real numbers, not quantised"
            )
    return found


def match_state(model: nn.Module, state: Mapping[str, Tensor], where: str) -> Matched:
    """Match the tensors of a file with those of a model, by name and shape.

    Names may have another beginning in the file than in the model (:data:`PREFIXES`).

    Args:
        model (nn.Module): the model, which may be on the meta device.
        state (Mapping[str, Tensor]): tensors of the file by name.
        where (str): what to call the file in an error.

    Raises:
        UserError: nothing matches, or what does holds no finite floats where the model has some.

    Example:
        >>> state = {"module.weight": torch.zeros(2, 3), "module.bias": torch.zeros(7)}
        >>> match_state(nn.Linear(3, 2), state, "a.pth")
        Matched(pairs={'weight': 'module.weight'}, missing=('bias',), left=('module.bias',))
    """
    own = model.state_dict()
    best: dict[str, str] = {}
    for given in PREFIXES:
        for ours in PREFIXES:
            pairs = {}
            for name in own:
                theirs = given + name.removeprefix(ours)
                fits = theirs in state and state[theirs].shape == own[name].shape
                if name.startswith(ours) and fits:
                    pairs[name] = theirs
            best = max(best, pairs, key=len)
    # A counter of batches alone is no weight.
    if not any(own[name].dim() for name in best):
        raise UserError(f"{where}: {_nearest(own, state)}")
    check_finite(own, state, best, where)
    taken = {*best.values()}
    return Matched(
        best,
        tuple(name for name in own if name not in best),
        tuple(name for name in state if name not in taken),
    )


def check_finite(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], pairs: Mapping[str, str], where: str
) -> None:
    """Check that what is taken from a file is finite floats where the model has floats.

    Args:
        own (Mapping[str, Tensor]): tensors of the model by name.
        state (Mapping[str, Tensor]): tensors of the file by name.
        pairs (Mapping[str, str]): name in the file by name in the model.
        where (str): what to call the file in an error.

    Raises:
        UserError: a tensor is of another kind, or holds other numbers.
    """
    for name, theirs in pairs.items():
        value, kind = state[theirs], own[name].dtype
        floats = value.is_floating_point() and bool(value.to(kind).isfinite().all())
        # Integers are those of a quantised network, which mean nothing without their scale.
        if kind.is_floating_point and not floats:
            raise UserError(
                f"{where}: {theirs} is of {value.dtype}, or not finite; allowed: finite floats "
                f"within the range of {kind}"
            )


def _nearest(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    names = [name for name, value in state.items() if value.dim()] or list(state)
    text = f"none of its {len(state)} tensors has the name and shape of one of the network's"
    pairs = ((one, difflib.get_close_matches(one, list(own), 1, 0.0)) for one in names[:50])
    close = [(one, found[0]) for one, found in pairs if found]
    if not close:
        return text
    theirs, ours = max(close, key=lambda two: difflib.SequenceMatcher(None, *two).ratio())
    there, here = (tuple(value.shape) for value in (state[theirs], own[ours]))
    return f"{text}; nearest: {theirs} {list(there)} there, {ours} {list(here)} here"


def take_state(model: nn.Module, state: Mapping[str, Tensor], matched: Matched) -> None:
    """Copy the tensors that match into a model.

    Args:
        model (nn.Module): the model.
        state (Mapping[str, Tensor]): tensors of the file by name.
        matched (Matched): which of them are taken.
    """
    own = model.state_dict()
    with torch.no_grad():
        for name, theirs in matched.pairs.items():
            own[name].copy_(state[theirs])


def read_weights(file: Path) -> Any:
    """Read a file of weights; nothing in it is executed.

    Args:
        file (Path): a ``.safetensors`` file, or a file by ``torch.save``.

    Returns:
        What the file holds, on the CPU.

    Raises:
        UserError: the file is missing or damaged, or reading it would run code.
    """
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        raise UserError(f"{file} {what}: give a checkpoint by torch.save or a .safetensors file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file, device="cpu")
        if zipfile.is_zipfile(file):
            # torch does not look: altered weights would pass for good ones.
            damaged = find_damage(file)
            if damaged:
                raise UserError(f"{file} is damaged: {damaged}")
        with warnings.catch_warnings():
            # Of how the file was written, which says less than the error.
            warnings.simplefilter("ignore")
            return torch.load(file, weights_only=True, map_location="cpu")
    except UserError:
        raise
    except PermissionError:
        raise UserError(f"{file} cannot be read: change its permissions") from None
    except SafetensorError as error:
        raise UserError(f"{file} is damaged or not a .safetensors file ({_line(error)})") from error
    # A damaged pickle can raise any exception.
    except Exception as error:
        code = _code_in(str(error))
        if code:
            raise UserError(
                f"{file} is refused: reading it would run {code}, and only tensors are read; save "
                "model.state_dict() alone"
            ) from error
        raise UserError(
            f"{file} is damaged or not a checkpoint by torch.save ({_line(error)})"
        ) from error


def _code_in(message: str) -> str | None:
    # torch raises the same exception for a damaged pickle and for one that is not allowed.
    refused = r"GLOBAL (\S+)|unrecognized function|Can only create new object|Can only build Tensor"
    found = re.search(refused, message)
    return found and (found[1] or "code")


def _line(error: Exception) -> str:
    # Without torch's advice on how to load the file unsafely.
    text = str(error).split("WeightsUnpickler error:")[-1].split("In PyTorch 2.6")[0].strip()
    return text.splitlines()[0] if text else type(error).__name__
