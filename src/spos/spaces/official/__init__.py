"""The weights of the official PyTorch release of SPOS, read into the ImageNet supernet.

The release is https://github.com/megvii-model/SinglePathOneShot; its supernet is published as
``checkpoint-150000.pth.tar``. A path computes the same output in both supernets, given the same
input. The input of the release, for supernet, search and retraining:

- evaluation: the shorter side to 256 pixels (the longer one to ``int(256 / shorter * longer +
  0.5)``) by OpenCV's ``INTER_LINEAR``, which does not antialias, then the central 224x224;
- training, and the recalibration of batch norms in the search: ``RandomResizedCrop(224)``,
  ``ColorJitter`` of 0.4 in brightness, contrast and saturation, a horizontal flip of probability
  0.5;
- both: channels in the order blue, green, red, as float32 from 0 to 255, with no mean subtracted
  and no division.

A mean of 0 and a standard deviation of 1/255 (:data:`INPUT_MEAN`, :data:`INPUT_STD`) convert images
on a scale of 0 to 1 to this input; ``rgb=True`` reverses the input channels of the first
convolution, so that it reads red, green, blue. Both are exact. Another mean could not be folded
into that convolution: it pads with zeros, which would have to become the mean.

The search of the release evaluates a path only after recalibration: the batch-norm statistics in
the checkpoint are mixed over all paths of training.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from spos._util.errors import UserError
from spos._util.text import first_few
from spos.nn.supernet import Supernet
from spos.training.weights import read_weights

#: Mean to subtract from images on a scale of 0 to 1 to get the release's input.
INPUT_MEAN = (0.0, 0.0, 0.0)

#: Standard deviation to divide such images by.
INPUT_STD = (1 / 255, 1 / 255, 1 / 255)

_FIRST = "first_conv.0.weight"
_CLASSIFIER = "classifier.0.weight"


def load_official(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a supernet checkpoint of the official release.

    Args:
        path (str | os.PathLike): a file by ``torch.save``, read without executing anything, or a
            ``.safetensors`` file. The weights are its content or its entry ``state_dict``; names
            may have the prefix ``module.`` of ``DataParallel``.

    Returns:
        dict[str, Tensor]: tensors on the CPU by the names of the release, such as
        ``first_conv.0.weight`` and ``features.0.3.branch_main.0.weight`` (block 0, option 3).

    Raises:
        UserError: the file is missing or damaged, reading it would run code, or it does not hold
            the release's supernet.

    Source: the release, ``src/Supernet``.
    """
    file = Path(path)
    content = read_weights(file)
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    other = [type(content).__name__]
    if isinstance(content, Mapping):
        other = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if other:
        raise UserError(
            f"{file} holds something else than tensors ({first_few(other)}): give a dictionary of "
            "tensors, or one with such a dictionary as its entry 'state_dict'"
        )
    state = {str(name).removeprefix("module."): tensor for name, tensor in content.items()}
    _check_supernet(state, file)
    return state


def classes_of(state: Mapping[str, Tensor]) -> int:
    """Number of classes that the weights of the release were trained on.

    Raises:
        UserError: the classifier is missing or has another shape.

    Example:
        >>> import torch
        >>> classes_of({"classifier.0.weight": torch.zeros(1000, 1024)})
        1000
    """
    weight = state.get(_CLASSIFIER)
    if weight is None or weight.dim() != 2:
        found = "no such tensor" if weight is None else f"shape {_shape(weight)}"
        raise UserError(f"{_CLASSIFIER}: {found}, the release has one of classes x 1024")
    return weight.shape[0]


def to_supernet(state: Mapping[str, Tensor], supernet: Supernet, *, rgb: bool = False) -> None:
    """Copy the weights and statistics of the release into a supernet.

    Args:
        state (Mapping[str, Tensor]): result of :func:`load_official`.
        supernet (Supernet): ``shufflenetv2(PRESETS["imagenet"], classes=classes_of(state))``; not
            changed if an error is raised.
        rgb (bool): whether images have the channels red, green, blue; otherwise the supernet
            expects blue first, like the release.

    Raises:
        UserError: tensors are missing, unexpected, or have other shapes.
    """
    ours = {_release_name(name): tensor for name, tensor in supernet.state_dict().items()}
    wrong = {
        "missing": [name for name in ours if name not in state],
        "unexpected": [name for name in state if name not in ours],
        "wrong-shaped": [
            f"{name} {_shape(state[name])} instead of {_shape(own)}"
            for name, own in ours.items()
            if name in state and state[name].shape != own.shape
        ],
    }
    told = [f"{len(names)} {kind} ({first_few(names)})" for kind, names in wrong.items() if names]
    if told:
        raise UserError(
            f"the state does not fit the supernet, tensors: {', '.join(told)}; build it as "
            f'shufflenetv2(PRESETS["imagenet"], classes={classes_of(state)}) from the '
            "release's supernet"
        )
    for name, own in ours.items():
        own.copy_(state[name].flip(1) if rgb and name == _FIRST else state[name])


def _check_supernet(state: Mapping[str, Tensor], file: Path) -> None:
    norms = [name.removesuffix("running_mean") for name in state if name.endswith(".running_mean")]
    affine = [f"{norm}weight" for norm in norms if f"{norm}weight" in state]
    if affine:
        raise UserError(
            f"{file} holds a stand-alone network, as its batch norms have affine parameters "
            f"({first_few(affine)}): give the checkpoint of the release's supernet"
        )
    lacking = [name for name in (_FIRST, _CLASSIFIER) if name not in state]
    if lacking:
        raise UserError(
            f"{file} lacks {' and '.join(lacking)}: give the checkpoint of the release's supernet"
        )


def _release_name(name: str) -> str:
    name = name.removeprefix("model.")
    name = re.sub(r"^(features\.\d+)\.options\.", r"\1.", name)
    return re.sub(r"^classifier\.\d+\.", "classifier.0.", name)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
