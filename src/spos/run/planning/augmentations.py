"""How long a function of the user's own takes to augment a batch, measured on a few images."""

from __future__ import annotations

import itertools

import torch

from spos.data.own_augmentation import apply_own, find_augmentation, is_own
from spos.run.planning.measuring import LEAST

#: Images of a call that is measured; such functions change one image at a time.
IMAGES = 4


def measure_augmentation(
    policy: str, batch_size: int, shape: tuple[int, ...], device: torch.device
) -> float:
    """Measure the augmentation of a batch in seconds.

    Args:
        policy (str): augmentation of a training.
        batch_size (int): images of a batch.
        shape (tuple[int, ...]): shape of an image, (C, S, S).
        device (torch.device): device on which they are augmented.

    Returns:
        Mean time of a function of the user's own; 0 for the policies of spos, which take next to
        none of a step.

    Raises:
        UserError: there is no such function, or it returns something else than such an image.

    Example:
        >>> measure_augmentation("standard", 64, (3, 32, 32), torch.device("cpu"))
        0.0
    """
    if not is_own(policy):
        return 0.0
    # Imported where it is used, because it takes a while.
    from torch.utils.benchmark import Timer

    function, steps = find_augmentation(policy), itertools.count()
    images = torch.randint(256, (IMAGES, *shape), dtype=torch.uint8, device=device)

    def work() -> None:
        apply_own(function, images, seed=0, step=next(steps), first=0)

    timer = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
    # Not the median, because some draws may take far longer than others.
    return timer.blocked_autorange(min_run_time=LEAST).mean * batch_size / IMAGES
