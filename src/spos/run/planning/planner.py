"""The choices of a plan, from the images, the limits, the machine and the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import torch

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost.latency.backend import threads_set
from spos.cost.units import COUNT
from spos.data import DataOptions, check_batch
from spos.data.peek import ImageFacts, peek
from spos.run.config import Config
from spos.run.costs import add_bounded_costs
from spos.run.differentiable import check_theta_settings
from spos.run.directory import RunDirectory
from spos.run.fabric import make_fabric
from spos.run.known_networks import count_known_flops
from spos.run.latency import needs_table
from spos.run.planning.augmentations import measure_augmentation
from spos.run.planning.capacity import Capacity
from spos.run.planning.estimates import SHARES, TRAININGS, estimate_stages
from spos.run.planning.layouts import SPACE, Chosen, build, choose_layout
from spos.run.planning.measuring import latency_line
from spos.run.planning.mixtures import choose_cooling, make_parts, measure_mixture
from spos.run.planning.plan import LEAST_STEPS, Draft, Plan, is_open
from spos.run.planning.speed import images_of_step
from spos.run.planning.splits import choose_split
from spos.run.planning.streaming import choose_streaming, loading
from spos.run.planning.trainings import (
    GREY,
    BatchSizes,
    choose_clipping,
    choose_recipes,
    most_steps,
    scale_recipe,
    suits,
    trained_images,
    unhurried_steps,
)
from spos.run.reuse import check_reusable, read_reused, take_over
from spos.spaces import family
from spos.spaces.mobile import layout_for

#: Weight of the NASWOT score beside the loss, both in standard deviations over networks.
NASWOT_WEIGHT = 0.5
#: Seconds of one process for which each of several supernets is trained at least, and their number
#: at most: more of them hardly rank better, and supernets of minutes rank no better together.
LEAST_MEMBER, MOST_MEMBERS = 600.0, 4
#: Multiply-adds of a network where neither time nor a limit is given.
COMFORTABLE = 60e6
#: Share of an image outside of its middle square that is worth a word.
MUCH = 0.4
#: Side of the images on whose networks the speed is measured at first.
REFERENCE = 32


@dataclass
class Planner(Draft):
    """Chooses the settings that a user left open.

    Args:
        given (Mapping): settings by section that the user gave; they are never replaced.
        limit (float | None): seconds for the whole run; None for as long as it takes.
        facts (ImageFacts | None): what the images are like; None to look at the source.
        began (float): time from which the seconds count, of ``time.monotonic``.
        accelerator (str): accelerator of Lightning Fabric.
        threads (int | None): CPU threads that the user gave; None to choose them.
        compare (int | None): number of random networks to compare with; None to choose it.
        known (Sequence[str]): names of known networks to compare with.
        reuse (RunDirectory | None): run whose supernet is reused, with the settings that are not
            given anew; None to train one.
        processes (int): processes of this machine that the run may use for independent work.
        tell (Callable | None): function that is told what takes a while; None for nobody.

    Raises:
        UserError: the supernet of the other run cannot be reused.
    """

    limit: float | None
    _: KW_ONLY
    facts: ImageFacts | None = None
    began: float = field(default_factory=time.monotonic)
    accelerator: str = "auto"
    threads: int | None = None
    compare: int | None = None
    known: Sequence[str] = ()
    reuse: RunDirectory | None = None
    processes: int = 1
    tell: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        self.capacity = Capacity(self.limit, self.began, self.threads, self.processes, self.tell)
        if self.reuse:
            check_reusable(self.reuse, self.given)
            self.given = take_over(read_reused(self.reuse, timed=True), self.given, self.reuse)
        # Whether the recipes are chosen, and not those of a preset.
        self.free = self.limit is not None or is_open(self.given)

    def plan(self) -> Plan:
        """Look at the images, measure this machine, and choose.

        Raises:
            UserError: the images cannot be read, a setting is not valid, or no network is within
                the limits.
        """
        for section in ("supernet", "retrain"):
            given = str(self.given.get(section, {}).get("steps", ""))
            if given.isdecimal():
                self.choose_warm_up(section, int(given))
        base = self.config()
        if base.required_method:
            check_theta_settings(base)
        self.capacity.use(make_fabric(self.accelerator, base.run.precision).device)
        source = base.data.source
        facts = self.facts or peek(source)
        self.capacity.reading = facts.reading
        # Refuses sizes that are none before anything is measured.
        DataOptions(validation=base.data.validation, test=base.data.test)
        if facts.classes == 1:
            raise UserError(f"--data {source}: only one class; a classifier needs at least 2")
        self.choose("data.source", source, "")
        other = self.free or not suits(base, facts.count)
        images, searched = choose_split(self, facts) if other else (facts.count, facts.count)
        sizes = BatchSizes(images)
        if is_open(self.given):
            chosen = self._lay_out(facts, sizes, base)
            table, limit = chosen.table, chosen.limit
        else:
            with torch.device("meta"):
                supernet = build(base.space, base.layout, facts)
            table = family(base.space).costs(supernet, eager=False)
            limit = base.bounds.maximum.get("flops", table.range()["flops"][1])
        if self.free:
            choose_recipes(self, facts, sizes, searched, hurried=self.limit is not None)
        elif other:
            scale_recipe(self, base, images)
            for section in ("supernet", "retrain"):
                if facts.grey and getattr(base, section).augment == "standard":
                    self.choose(f"{section}.augment", "crop", GREY)
        config = self.config()
        batch = config.supernet.batch_size
        supernet = build(config.space, config.layout, facts)
        if self.free:
            choose_clipping(self, supernet)
        costs = add_bounded_costs(table, supernet, config, Path(), eager=False, measured=False)
        check_batch(batch, images)
        parts = make_parts(config, supernet, costs) if config.required_method else None
        sample = table.many(table.space.sample_many(500, generator(0, "plan")))
        flops = float(sample[:, table.names.index("flops")].mean())
        largest = float(table.range()["flops"][1])
        capacity = self.capacity
        speed = capacity.measure(supernet, table, images_of_step(batch, flops))
        capacity.share_work(supernet, table, speed)
        sandwich = config.supernet.method == "sandwich"
        if parts is None:
            step = speed.training.seconds(flops, batch) * config.supernet.paths
            step += speed.training.seconds(largest, batch) if sandwich else 0.0
        else:
            # All options of a layer may run at once.
            few = images_of_step(batch, flops * max(table.space.option_counts))
            with threads_set(speed.threads):
                step = measure_mixture(config, supernet, parts, few) * batch / few
        step += capacity.augmenting(config.supernet, supernet, speed)
        augmenting = capacity.augmenting(config.retrain, supernet, speed)
        decoding = choose_streaming(self, config, facts, capacity.device)
        step += loading(step, batch, decoding, capacity.device)
        self._choose_members(config)
        config = self.config()
        # Supernets whose scores are averaged are trained side by side.
        step *= capacity.side_by_side([1.0] * config.supernet.members)
        steps = self._supernet_steps(config, step, images) if self.free else config.supernet.steps
        training = 0.0 if self.reuse else steps * step
        epoch = None
        if parts is not None and other:
            epoch = choose_cooling(self, self.config(), searched)
        known = count_known_flops(
            self.known,
            classes=facts.classes or 1,
            image_channels=facts.channels,
            image_size=config.layout.image_size,
            maximum=config.bounds.maximum,
        )
        return Plan(
            seconds=self.limit,
            spent=time.monotonic() - self.began,
            images=images,
            flops=flops,
            step_seconds=step,
            speed=speed,
            choices=tuple(self.choices),
            estimates=estimate_stages(
                config,
                capacity,
                speed,
                training=training,
                flops=min(limit, largest),
                images=images,
                augmenting=augmenting,
                known_flops=known,
                reused=self.reuse is not None,
                free=self.free,
                compare=self.compare,
            ),
            fitted=self.free,
            epoch=epoch,
            processes=capacity.processes,
            parallel=capacity.parallel,
        )

    def _lay_out(self, facts: ImageFacts, sizes: BatchSizes, base: Config) -> Chosen:
        """Choose space, layout and limit."""
        space, bounds = family(SPACE), base.bounds
        supernet = build(SPACE, layout_for(min(facts.side, REFERENCE)), facts)
        most, why = COMFORTABLE, "moderate, as no time is given"
        step: float | None = None
        table = space.costs(supernet)
        capacity = self.capacity
        if capacity.seconds is not None:
            why = "what the time allows"
            speed = capacity.measure(supernet, table)
            capacity.share_work(supernet, table, speed)
            rest = capacity.seconds * (1 - sum(SHARES["scratch"]))
            rest /= sum(capacity.train_all(TRAININGS - 1))
            trained = trained_images(sizes.images)
            sizes.grow(capacity.device, speed, lambda batch: rest * batch / trained)
            step = rest * sizes.network / trained
            most = speed.training.flops(step, sizes.network)
        if needs_table(base) and "latency" in bounds.maximum:
            fast = latency_line(supernet, table, capacity.device)
            fitting = fast.flops(bounds.maximum["latency"] / 1e9, 1)
            if fitting < most:
                most, why = fitting, "what is fast enough for your limit"

        def affordable(side: int) -> float:
            if step is None:
                return most
            # A function of the user's own may take longer than the network, by the image's size.
            with threads_set(speed.threads):
                shape, policy = (facts.channels, side, side), base.retrain.augment
                own = measure_augmentation(policy, sizes.network, shape, capacity.device)
            return min(most, speed.training.flops(step - own, sizes.network))

        chosen = choose_layout(facts, affordable, bounds)
        if self.limit is not None:
            line = speed.training
            sizes.grow(capacity.device, speed, lambda batch: line.seconds(chosen.limit, batch))
        self.choose("space.name", SPACE, "depth, kernels and expansions are searched")
        self.choose("space.preset", "small", "")
        if not self.reuse and not base.required_method:
            # Evaluations of another run have its score.
            reason = "with it networks are ranked better than by the loss alone"
            self.choose("search.naswot_weight", NASWOT_WEIGHT, reason)
        side = chosen.layout.image_size
        shrunk = "" if side == facts.side else f" of {facts.side} (median)"
        size = "the images' own" if not shrunk else f"{side} pixels{shrunk}: {why}"
        if facts.cut > MUCH:
            size += f"; the middle square, without {facts.cut:.0%} of an image"
        own = bounds.maximum.get("flops")
        below = f" (below your {COUNT.format(own)})" if own and own != chosen.limit else ""
        several = self.given.get("constraint", {}).get("budgets")
        several = several or self.given.get("search", {}).get("pareto")
        width = f"width {chosen.width:g}"
        if several and own != chosen.limit:
            width += f": {why}{below}"
        for name, value in vars(chosen.layout).items():
            # The other values of the layout follow from these two.
            reason = {"image_size": size, "channels": width}.get(name, "")
            if reason or value != vars(space.preset("small"))[name]:
                plain = list(value) if isinstance(value, tuple) else value
                self.choose(f"layout.{name}", plain, reason)
        if own != chosen.limit and not several:
            reason = f"at most {COUNT.format(chosen.limit)} multiply-adds{below}: {why}"
            limits = {**bounds.maximum, "flops": round(chosen.limit)}
            self.choose("constraint.maximum", limits, reason)
        return chosen

    def _choose_members(self, config: Config) -> None:
        """Train a supernet in each process, where all are trained for long."""
        capacity = self.capacity
        members = min(capacity.processes, MOST_MEMBERS)
        if capacity.device.type == "cuda":
            # What several do on one of them is not measured.
            members = min(members, torch.cuda.device_count())
        if members <= 1 or capacity.seconds is None or self.reuse or not self.free:
            return
        if config.required_method or config.search.racing:
            return
        alone = SHARES[config.network.weights][0] * capacity.seconds
        if alone / capacity.side_by_side([1.0] * members) >= LEAST_MEMBER:
            reason = "side by side; candidates are ranked better by the mean of their scores"
            self.choose("supernet.members", members, reason)

    def _supernet_steps(self, config: Config, step: float, images: int) -> int:
        batch, seconds = config.supernet.batch_size, self.capacity.seconds
        steps, share = unhurried_steps(images, batch), ""
        if seconds is not None:
            part, _ = SHARES[config.network.weights]
            least, most = LEAST_STEPS["supernet.steps"], most_steps(images, batch)
            affordable = int(part * seconds / step)
            steps = max(min(affordable, most), least)
            if least <= affordable <= most:
                share = f"{part:.0%} of the time, "
            else:
                share = "the fewest, " if affordable < least else "the most that bring anything, "
        epochs = max(round(steps * batch / images), 1)
        reason = f"{share}{epochs} epoch{'s' * (epochs > 1)}"
        steps = int(self.choose("supernet.steps", steps, reason))
        if "steps" not in self.given.get("supernet", {}):
            self.choose_warm_up("supernet", steps)
        return steps
