"""The supernet of a plan: the time of a step, the number of steps, and several at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from spos._util.randomness import generator
from spos.cost import CostModel
from spos.cost.latency.backend import threads_set
from spos.nn.supernet import Supernet
from spos.run.config import Config
from spos.run.planning.capacity import Capacity
from spos.run.planning.estimates import SHARES
from spos.run.planning.mixtures import measure_mixture
from spos.run.planning.plan import LEAST_STEPS, Draft
from spos.run.planning.speed import Speed, images_of_step
from spos.run.planning.trainings import most_steps, unhurried_steps
from spos.training.method import METHODS, MakeMethod, make_method
from spos.training.theta import ThetaParts

#: Seconds of one process for which each of several supernets is trained at least, and their number
#: at most: more of them hardly rank better, and supernets of minutes rank no better together.
LEAST_MEMBER, MOST_MEMBERS = 600.0, 4
#: Networks by which the multiply-adds of a random one are estimated.
SAMPLE = 500


class StepTime(NamedTuple):
    """The time of a step of the supernet, its images in memory.

    Args:
        speed (Speed): measured speed of this machine.
        flops (float): multiply-adds of a random network.
        seconds (float): time of the step.
    """

    speed: Speed
    flops: float
    seconds: float


def time_step(
    capacity: Capacity,
    config: Config,
    supernet: Supernet,
    table: CostModel,
    parts: ThetaParts | None,
) -> StepTime:
    """Measure this machine, and what a step of the supernet takes.

    Args:
        capacity (Capacity): what the machine does in the time of the run; what processes gain is
            measured too.
        config (Config): configuration of the run.
        supernet (Supernet): supernet with weights.
        table (CostModel): costs of its architectures.
        parts (ThetaParts | None): settings and cost of theta in a differentiable search.
    """
    recipe = config.supernet
    batch = recipe.batch_size
    sample = table.many(table.space.sample_many(SAMPLE, generator(0, "plan")))
    flops = float(sample[:, table.names.index("flops")].mean())
    speed = capacity.measure(supernet, table, images_of_step(batch, flops))
    capacity.share_work(supernet, table, speed)
    if parts is None:
        one = speed.training.seconds(flops, batch)
        if recipe.method == "sandwich":
            largest = float(table.range()["flops"][1])
            seconds = one * recipe.paths + speed.training.seconds(largest, batch)
        else:
            method: MakeMethod = METHODS.find(recipe.method)
            passes = make_method(method, supernet, nn.CrossEntropyLoss(), recipe, 0).passes
            seconds = one * passes
    else:
        # All options of a layer may run at once.
        few = images_of_step(batch, flops * max(table.space.option_counts))
        with threads_set(speed.threads):
            seconds = measure_mixture(config, supernet, parts, few) * batch / few
    seconds += capacity.augmenting(recipe.augment, batch, supernet.input_shape, speed)
    return StepTime(speed, flops, seconds)


def choose_members(draft: Draft, capacity: Capacity, config: Config) -> None:
    """Train a supernet in each process, where all are trained for long.

    Args:
        draft (Draft): settings so far; the number of supernets is chosen there.
        capacity (Capacity): what the machine does in the time of the run.
        config (Config): configuration of the run.
    """
    members = min(capacity.processes, MOST_MEMBERS)
    if capacity.device.type == "cuda":
        # What several do on one of them is not measured.
        members = min(members, torch.cuda.device_count())
    if members <= 1 or capacity.seconds is None:
        return
    if config.required_method or config.search.racing:
        return
    alone = SHARES[0] * capacity.seconds
    if alone / capacity.side_by_side([1.0] * members) >= LEAST_MEMBER:
        reason = "side by side; candidates are ranked better by the mean of their scores"
        draft.choose("supernet.members", members, reason)


def choose_steps(draft: Draft, capacity: Capacity, config: Config, step: float, images: int) -> int:
    """Choose the steps of the supernet, and those of its warm-up.

    Args:
        draft (Draft): settings so far; the steps are chosen there.
        capacity (Capacity): what the machine does in the time of the run.
        config (Config): configuration of the run.
        step (float): seconds of a step.
        images (int): images to train on.

    Returns:
        The steps; those that the user gave, if any.
    """
    batch, seconds = config.supernet.batch_size, capacity.seconds
    steps, share = unhurried_steps(images, batch), ""
    if seconds is not None:
        part, _ = SHARES
        least, most = LEAST_STEPS["supernet.steps"], most_steps(images, batch)
        affordable = int(part * seconds / step)
        steps = max(min(affordable, most), least)
        if least <= affordable <= most:
            share = f"{part:.0%} of the time, "
        else:
            share = "the fewest, " if affordable < least else "the most that bring anything, "
    epochs = max(round(steps * batch / images), 1)
    reason = f"{share}{epochs} epoch{'s' * (epochs > 1)}"
    steps = int(draft.choose("supernet.steps", steps, reason))
    if "steps" not in draft.given.get("supernet", {}):
        draft.choose_warm_up("supernet", steps)
    return steps
