"""Randomness as a function of (seed, purpose, step), never kept as state.

A resumed run draws the same numbers without restoring anything.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def _entropy(seed: int, keys: tuple[str | int, ...]) -> list[int]:
    return [seed, *(zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys)]


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A NumPy generator that depends only on its arguments.

    Args:
        seed (int): seed of the run, at least 0.
        keys (str | int): purpose, such as ``"paths"``, and step, at least 0.

    Example:
        >>> generator(0, "paths", 7).integers(100) == generator(0, "paths", 7).integers(100)
        np.True_
    """
    return np.random.default_rng(_entropy(seed, keys))


def torch_seed(seed: int, *keys: str | int) -> int:
    """A seed for ``torch.manual_seed`` that depends only on its arguments.

    Example:
        >>> torch_seed(0, "weights") == torch_seed(0, "weights")
        True
    """
    return int(np.random.SeedSequence(_entropy(seed, keys)).generate_state(1, np.uint64)[0] >> 1)


def torch_generator(seed: int, *keys: str | int) -> torch.Generator:
    """A CPU ``torch.Generator`` that depends only on its arguments.

    Example:
        >>> a, b = (torch.rand(2, generator=torch_generator(0, "crop", 3)) for _ in range(2))
        >>> torch.equal(a, b)
        True
    """
    return torch.Generator().manual_seed(torch_seed(seed, *keys))


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's own generators that computations on a device draw from.

    ``torch.manual_seed`` alone would, on a CPU, write down its callers for each kind of accelerator
    that is not in use, which takes up to a millisecond.

    Args:
        seed (int): seed, of :func:`torch_seed`.
        device (torch.device): device of the computations.

    Example:
        >>> seed_generators(0, torch.device("cpu"))
        >>> torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(0))
        tensor([True])
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
