"""The comparison of a plan: how long the networks are trained that the winner is compared with."""

from __future__ import annotations

from spos.run.config import Config
from spos.run.planning.capacity import Capacity
from spos.run.planning.estimates import COMPARE_SHARE, SHARES, TRAININGS
from spos.run.planning.plan import Draft
from spos.run.planning.trainings import most_steps


def choose_compare_share(
    draft: Draft, capacity: Capacity, config: Config, step: float, images: int
) -> None:
    """Compare by shorter trainings, unless there is time for as many steps as bring anything.

    Args:
        draft (Draft): settings so far; the share is chosen there.
        capacity (Capacity): what the machine does in the time of the run.
        config (Config): configuration of the run.
        step (float): seconds of a step of the winner.
        images (int): images to train on.
    """
    if capacity.seconds is None:
        return
    longest = step * most_steps(images, config.retrain.batch_size)
    together = sum(capacity.train_all(TRAININGS - 1))
    if longest * together > (1 - sum(SHARES)) * capacity.seconds:
        reason = "others are trained for a quarter of its steps: it gets most of the time"
        draft.choose("network.compare_share", COMPARE_SHARE, reason)
