"""Augmentation by a function of the user's own, such as a transform of torchvision.

A function changes one image, so that each image of a batch gets draws of its own. What it draws
from the generators of torch, NumPy and Python depends on the seed, the step and the place of the
image in the batch alone, so that a resumed run and one of several processes see the same images.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from spos._util.errors import UserError, explain, nearest
from spos._util.identity import identity
from spos._util.libraries import reason
from spos._util.randomness import generator

#: From an image, uint8, shape (C, S, S), to one of the same shape, uint8 or float in 0 to 1.
Augmentation: TypeAlias = Callable[[Tensor], Tensor]
#: How the names of functions begin that a script gives.
OWN = "own:"
_GIVEN: dict[str, Augmentation] = {}


def is_own(policy: str) -> bool:
    """Whether the name of a policy is that of a function of the user's own.

    Example:
        >>> is_own("transforms:strong"), is_own("standard")
        (True, False)
    """
    return ":" in policy


def register_augmentation(function: Augmentation) -> str:
    """Make a function known in this process, and in those that it starts.

    Args:
        function (Callable): from an image, uint8, shape (C, S, S), to one of the same shape, uint8
            or float in 0 to 1.

    Returns:
        Name for the settings ``supernet.augment`` and ``retrain.augment``, with a digest of the
        function.

    Raises:
        UserError: it is not a function.

    Example:
        >>> def darker(image):
        ...     return image // 2
        >>> register_augmentation(darker)  # doctest: +ELLIPSIS
        'own:darker@...'
    """
    _check_callable(function, "augment")
    name = f"{OWN}{identity(function).rpartition(' (')[0]}@{_digest(function)}"
    _GIVEN[name] = function
    return name


def restore_augmentations(given: dict[str, Augmentation]) -> None:
    """Make functions known under the names that another process gave them."""
    _GIVEN.update(given)


def given_augmentations(policies: tuple[str, ...]) -> dict[str, Augmentation]:
    """The functions of a script among some policies, for other processes."""
    return {name: _GIVEN[name] for name in policies if name in _GIVEN}


def name_augmentation(policy: str) -> str:
    """The name of a function in a module with its digest, by which a resumed run knows it.

    Args:
        policy (str): such as ``transforms:strong``; one with a digest, or of a script, is returned
            as it is.

    Raises:
        UserError: there is no such function.
    """
    if policy.startswith(OWN) or "@" in policy:
        return policy
    return f"{policy}@{_digest(find_augmentation(policy))}"


def find_augmentation(policy: str) -> Augmentation:
    """The function of a name.

    Args:
        policy (str): ``MODULE:NAME``, with or without a digest, or what
            :func:`register_augmentation` returned.

    Raises:
        UserError: there is none, or it is another one than that of the digest.
    """
    if policy.startswith(OWN):
        if policy not in _GIVEN:
            raise UserError(
                f"augment {policy}: this process has no such function; give it to spos.search"
            )
        return _GIVEN[policy]
    place, mark, digest = policy.partition("@")
    function = _import(place)
    if mark and digest != _digest(function):
        raise UserError(
            f"augment {place}: the run was started with another function, of the digest "
            f"{digest}, not {_digest(function)}; restore it, or give another --out"
        )
    return function


def _import(place: str) -> Augmentation:
    module_name, _, name = place.partition(":")
    if os.getcwd() not in sys.path:
        # As of a script: the command spos is started from elsewhere.
        sys.path.append(os.getcwd())
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:
        # Whatever a module of the user's own raises; a script may end by sys.exit.
        raise UserError(
            f"augment {place}: {module_name} cannot be imported ({reason(error)}); write "
            "MODULE:NAME, such as transforms:strong of the file transforms.py here"
        ) from error
    try:
        function: Any = reduce(getattr, name.split("."), module)
    except AttributeError:
        known = [one for one, value in vars(module).items() if callable(value) and one[0] != "_"]
        raise UserError(f"augment {place}: no such name; {nearest(name, known)}") from None
    _check_callable(function, f"augment {place}")
    return function  # type: ignore[no-any-return]


def _check_callable(function: Any, what: str) -> None:
    if isinstance(function, type):
        raise UserError(f"{what}: it is a class; give an instance, {function.__name__}()")
    if not callable(function):
        raise UserError(f"{what}: {function!r:.50} is not a function of an image")


def _digest(function: Augmentation) -> str:
    # A transform of torchvision shows those that it consists of, and what they are set to.
    # Addresses of what has no text of its own differ from process to process.
    shown = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(function))
    facts = f"{identity(function)} {shown}"
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def apply_own(function: Augmentation, images: Tensor, seed: int, step: int, first: int) -> Tensor:
    """Change each of some images.

    Args:
        function (Callable): see :func:`register_augmentation`.
        images (Tensor): uint8, shape (n, C, S, S), on any device.
        seed (int): seed of the run.
        step (int): step of the training.
        first (int): place of the first image in the whole batch.

    Returns:
        Tensor: uint8 or float32 in 0 to 255, shape (n, C, S, S).

    Raises:
        UserError: the function returns something else than such an image.

    Example:
        >>> images = torch.full((2, 1, 4, 4), 100, dtype=torch.uint8)
        >>> apply_own(lambda image: image // 2, images, seed=0, step=0, first=0).unique()
        tensor([50], dtype=torch.uint8)
    """
    with _random_state(images.device):
        changed = []
        for row, image in enumerate(images):
            _seed_all(int(generator(seed, "own augment", step, first + row).integers(2**32)))
            changed.append(_checked(_changed(function, image), image))
    scaled = [image.float() for image in changed if image.is_floating_point()]
    if not scaled:
        return torch.stack(changed)
    low, high = (float(one) for one in torch.aminmax(torch.stack(scaled)))
    if not (low >= -1e-3 and high <= 1.001):
        raise UserError(
            f"augment: the function returns values of {low:.3g} to {high:.3g}; allowed for float: "
            "0 to 1, before any normalisation"
        )
    # A function may return either, as one that changes some images alone does.
    return torch.stack(
        [
            255 * one.float().clamp(0, 1) if one.is_floating_point() else one.float()
            for one in changed
        ]
    )


def _changed(function: Augmentation, image: Tensor) -> Any:
    try:
        return function(image.clone())
    # A function of the user's own may raise anything.
    except Exception as error:
        if explain(error) is not None:
            raise
        raise UserError(
            f"augment: the function fails for an image {list(image.shape)} ({reason(error)})"
        ) from error


def _checked(changed: Any, image: Tensor) -> Tensor:
    valid = isinstance(changed, Tensor) and changed.shape == image.shape
    if not valid or not (changed.dtype == torch.uint8 or changed.is_floating_point()):
        kind = type(changed).__name__
        given = f"{changed.dtype} {list(changed.shape)}" if isinstance(changed, Tensor) else kind
        raise UserError(
            f"augment: the function returns {given} for an image {list(image.shape)}; allowed: "
            "uint8, or float in 0 to 1, of the same shape"
        )
    # A function that goes through a library such as NumPy returns an image on the CPU.
    # Its graph of gradients, as of a library whose transforms can be learned, would grow with it.
    return torch.as_tensor(changed).detach().to(image.device)


def _seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    """Leave the generators that a function may draw from as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
