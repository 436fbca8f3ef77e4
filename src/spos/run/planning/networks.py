"""The networks of a plan that leaves the space open."""

from __future__ import annotations

from collections.abc import Mapping

from spos.cost import CostModel
from spos.cost.units import COUNT
from spos.data.peek import ImageFacts
from spos.nn.supernet import Supernet
from spos.run.config import Config
from spos.run.latency import needs_table
from spos.run.planning.capacity import Capacity
from spos.run.planning.estimates import COMPARE_SHARE, SHARES, TRAININGS
from spos.run.planning.layouts import SPACE, Chosen, build, choose_layout
from spos.run.planning.measuring import latency_line
from spos.run.planning.plan import Draft
from spos.run.planning.speed import Speed
from spos.run.planning.trainings import HURRIED, BatchSizes, trained_images
from spos.spaces import family
from spos.spaces.mobile import layout_for

#: Multiply-adds of a network where neither time nor a limit is given.
COMFORTABLE = 60e6
#: Share of an image outside of its middle square that is worth a word.
MUCH = 0.4
#: Side of the images on whose networks the speed is measured at first.
REFERENCE = 32


def choose_networks(
    draft: Draft, capacity: Capacity, facts: ImageFacts, sizes: BatchSizes, config: Config
) -> Chosen:
    """Choose space, layout and the limit of the multiply-adds.

    Args:
        draft (Draft): settings so far; those of the networks are chosen there.
        capacity (Capacity): what the machine does in the time of the run.
        facts (ImageFacts): what the images are like.
        sizes (BatchSizes): batch sizes for the images, which may grow.
        config (Config): configuration with what the user gave.

    Raises:
        UserError: no network is within the limits.
    """
    supernet = build(SPACE, layout_for(min(facts.side, REFERENCE)), facts)
    table, maximum = family(SPACE).costs(supernet), config.bounds.maximum
    most, why = COMFORTABLE, "moderate, as no time is given"
    speed, step = None, 0.0
    if capacity.seconds is not None:
        speed, step = _time_step(capacity, supernet, table, sizes)
        most, why = speed.training.flops(step, sizes.network), "what the time allows"
    if needs_table(config) and "latency" in maximum:
        fitting = latency_line(supernet, table, capacity.device).flops(maximum["latency"] / 1e9, 1)
        if fitting < most:
            most, why = fitting, "what is fast enough for your limit"

    def affordable(side: int) -> float:
        if speed is None:
            return most
        # A function of the user's own may take longer than the network, by the image's size.
        shape, policy = (facts.channels, side, side), config.retrain.augment
        own = capacity.augmenting(policy, sizes.network, shape, speed)
        return min(most, speed.training.flops(step - own, sizes.network))

    chosen = choose_layout(facts, affordable, config.bounds)
    if speed is not None:
        line = speed.training
        sizes.grow(capacity.device, speed, lambda batch: line.seconds(chosen.limit, batch))
    draft.choose("space.name", SPACE, "depth, kernels and expansions are searched")
    draft.choose("space.preset", "small", "")
    _choose_layout(draft, facts, chosen, maximum, why)
    return chosen


def _time_step(
    capacity: Capacity, supernet: Supernet, table: CostModel, sizes: BatchSizes
) -> tuple[Speed, float]:
    """Measure the machine, and divide the time of the trainings by their steps."""
    assert capacity.seconds is not None
    speed = capacity.measure(supernet, table)
    capacity.share_work(supernet, table, speed)
    rest = capacity.seconds * (1 - sum(SHARES))
    rest /= sum(capacity.train_all(TRAININGS - 1, COMPARE_SHARE))
    images = HURRIED * trained_images(sizes.images)
    sizes.grow(capacity.device, speed, lambda batch: rest * batch / images)
    return speed, rest * sizes.network / images


def _choose_layout(
    draft: Draft, facts: ImageFacts, chosen: Chosen, maximum: Mapping[str, float], why: str
) -> None:
    """Choose the settings of a layout and its limit, beside limits of the user's own."""
    own = maximum.get("flops")
    lower = own != chosen.limit
    below = f" (below your {COUNT.format(own)})" if own and lower else ""
    several = draft.given.get("constraint", {}).get("budgets")
    several = several or draft.given.get("search", {}).get("pareto")
    width = f"width {chosen.width:g}"
    if several and lower:
        width += f": {why}{below}"
    # The other values of the layout follow from these two.
    reasons = {"image_size": _describe_size(facts, chosen, why), "channels": width}
    preset = vars(family(SPACE).preset("small"))
    for name, value in vars(chosen.layout).items():
        if name in reasons or value != preset[name]:
            plain = list(value) if isinstance(value, tuple) else value
            draft.choose(f"layout.{name}", plain, reasons.get(name, ""))
    if lower and not several:
        reason = f"at most {COUNT.format(chosen.limit)} multiply-adds{below}: {why}"
        limits = {**maximum, "flops": round(chosen.limit)}
        draft.choose("constraint.maximum", limits, reason)


def _describe_size(facts: ImageFacts, chosen: Chosen, why: str) -> str:
    side = chosen.layout.image_size
    size = "the images' own"
    if side != facts.side:
        size = f"{side} pixels of {facts.side} (median): {why}"
    if facts.cut > MUCH:
        size += f"; the middle square, without {facts.cut:.0%} of an image"
    return size
