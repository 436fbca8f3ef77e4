"""The choices of a plan, from the images, the limits, the machine and the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import torch

from spos._util.errors import UserError
from spos.cost import CostModel
from spos.data import DataOptions, check_batch
from spos.data.peek import ImageFacts, peek
from spos.run.config import Config
from spos.run.costs import add_bounded_costs
from spos.run.differentiable import check_theta_settings
from spos.run.directory import RunDirectory
from spos.run.fabric import make_fabric
from spos.run.known_networks import count_known_flops
from spos.run.passwords import refuse_password
from spos.run.planning.capacity import Capacity
from spos.run.planning.comparing import choose_compare_share
from spos.run.planning.estimates import estimate_stages
from spos.run.planning.layouts import build
from spos.run.planning.mixtures import choose_cooling, make_parts
from spos.run.planning.networks import choose_networks
from spos.run.planning.plan import Draft, Plan, is_open
from spos.run.planning.splits import choose_split
from spos.run.planning.streaming import choose_streaming, loading
from spos.run.planning.supernets import choose_members, choose_steps, time_step
from spos.run.planning.trainings import (
    BatchSizes,
    choose_clipping,
    choose_recipes,
    scale_recipe,
    suits,
)
from spos.run.reuse import check_reusable, read_reused, take_over
from spos.spaces import family

#: Weight of the NASWOT score beside the loss, both in standard deviations over networks.
NASWOT_WEIGHT = 0.5


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
        UserError: the supernet of the other run cannot be reused, or an address has a password.
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
        refuse_password(self.given)
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
        self._warm_up_as_given()
        base = self.config()
        if base.network.name:
            raise UserError(
                f"--network {base.network.name}: a network by name is trained alone, by spos "
                "retrain, which has no plan; leave it out"
            )
        if base.required_method:
            check_theta_settings(base)
        given = self.given.get("run", {})
        self.capacity.use(
            make_fabric(self.accelerator, base.run.precision).device,
            base.run.precision,
            # Scores of another run have its precision.
            fixed=not self.free or self.reuse is not None or "precision" in given,
        )
        facts = self._look_at_images(base)
        scaled = self.free or not suits(base, facts.count)
        images, searched = choose_split(self, facts) if scaled else (facts.count, facts.count)
        sizes = BatchSizes(images)
        table, limit = self._choose_networks(facts, sizes, base)
        if self.free:
            choose_recipes(self, facts, sizes, searched, hurried=self.limit is not None)
        elif scaled:
            scale_recipe(self, base, images, grey=facts.grey)
        config = self.config()
        supernet = build(config.space, config.layout, facts)
        if self.free:
            choose_clipping(self, supernet)
        costs = add_bounded_costs(table, supernet, config, Path(), eager=False, measured=False)
        check_batch(config.supernet.batch_size, images)
        parts = make_parts(config, supernet, costs) if config.required_method else None

        capacity = self.capacity
        speed, flops, step = time_step(capacity, config, supernet, table, parts)
        if capacity.gain > 1:
            reason = f"{capacity.gain:.1f} times as fast as 32-true here"
            self.choose("run.precision", capacity.precision, reason)
        policy, batch_size = config.retrain.augment, config.retrain.batch_size
        augmenting = capacity.augmenting(policy, batch_size, supernet.input_shape, speed)
        decoding = choose_streaming(self, config, facts, capacity.device)
        step += loading(step, config.supernet.batch_size, decoding, capacity.device)
        if self.free and not self.reuse:
            choose_members(self, capacity, config)
        config = self.config()
        # Supernets whose scores are averaged are trained side by side.
        step *= capacity.side_by_side([1.0] * config.supernet.members)
        most = min(limit, float(table.range()["flops"][1]))
        if self.compare != 0:
            own = speed.training.seconds(most, batch_size) + augmenting
            choose_compare_share(self, capacity, config, own, images)
            config = self.config()
        steps = config.supernet.steps
        if self.free:
            steps = choose_steps(self, capacity, config, step, images)
        epoch = None
        if parts is not None and scaled:
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
                training=0.0 if self.reuse else steps * step,
                flops=most,
                images=images,
                augmenting=augmenting,
                known_flops=known,
                reused=self.reuse is not None,
                free=self.free,
                sized={"population", "iterations"} <= self.given.get("search", {}).keys(),
                fixed="steps" in self.given.get("retrain", {}),
                compare=self.compare,
            ),
            fitted=self.free,
            epoch=epoch,
            processes=capacity.processes,
            parallel=capacity.parallel,
        )

    def _warm_up_as_given(self) -> None:
        for section in ("supernet", "retrain"):
            given = str(self.given.get(section, {}).get("steps", ""))
            if given.isdecimal():
                self.choose_warm_up(section, int(given))

    def _look_at_images(self, base: Config) -> ImageFacts:
        source = base.data.source
        facts = self.facts or peek(source)
        self.capacity.reading = facts.reading
        # Refuses sizes that are none before anything is measured.
        DataOptions(validation=base.data.validation, test=base.data.test)
        facts.check(source)
        self.choose("data.source", source, "example images, as no --data is given")
        return facts

    def _choose_networks(
        self, facts: ImageFacts, sizes: BatchSizes, base: Config
    ) -> tuple[CostModel, float]:
        """Choose space and layout, where they are open, and return costs and most multiply-adds."""
        if not is_open(self.given):
            with torch.device("meta"):
                supernet = build(base.space, base.layout, facts)
            table = family(base.space).costs(supernet, eager=False)
            return table, base.bounds.maximum.get("flops", table.range()["flops"][1])
        chosen = choose_networks(self, self.capacity, facts, sizes, base)
        if not self.reuse and not base.required_method and base.search.fitness != "metric":
            # Evaluations of another run have its score.
            reason = "with it networks are ranked better than by the loss alone"
            self.choose("search.naswot_weight", NASWOT_WEIGHT, reason)
        return chosen.table, chosen.limit
