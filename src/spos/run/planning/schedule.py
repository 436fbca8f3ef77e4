"""The later stages of a planned run, fitted to the time that is left when they begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spos._util.files import read_own
from spos._util.records import from_plain, write_record
from spos.cost import CostModel
from spos.nn.supernet import Supernet
from spos.run.comparison import FOUND, UNIFORM, choose_networks, find_uniform
from spos.run.context import Context
from spos.run.directory import PLAN_FILE, RunDirectory
from spos.run.finalists import choose_finalists, read_found, share_of_retraining
from spos.run.known_networks import check_known
from spos.run.outcome import (
    FinalistsOutcome,
    KnownOutcome,
    Outcome,
    RetrainOutcome,
    SearchOutcome,
    TrainOutcome,
)
from spos.run.planning.augmentations import measure_augmentation
from spos.run.planning.estimates import SCORED_AS, SHARED, SHARES, TRAININGS, count_untrained
from spos.run.planning.measuring import measure_networks
from spos.run.planning.plan import Plan, side_by_side, train_all, warm_up
from spos.run.planning.speed import images_of_step
from spos.run.planning.streaming import loading, measure_decoding
from spos.run.planning.trainings import most_steps, unhurried_steps
from spos.run.reuse import FITTED, REUSED
from spos.search import Feasible
from spos.search.training_free import SAMPLE
from spos.space import Architecture

#: Share of the time left that is kept for reading images, tests and the report, by whether networks
#: train side by side: then each of their processes has to begin.
RESERVE = {False: 0.03, True: 0.08}
#: By how much of its time a run may be longer for one more network.
TOLERANCE = 0.03
#: By how much it may be longer at most, as the time of a training is only estimated.
MOST_OVERRUN = 0.1
#: Candidates of a population, and populations.
POPULATIONS, ITERATIONS = (10, 50), (2, 20)
#: Settings of the children of a population.
CHILDREN = ("crossover_children", "mutation_children")
MOST_COMPARED = 5
#: Outcomes of the stages before the retraining.
BEFORE_RETRAINING: tuple[type[Outcome], ...] = (TrainOutcome, SearchOutcome, FinalistsOutcome)


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of a run that was started; None if it has none."""
    path = folder / PLAN_FILE
    if not path.exists() or not (folder / "config.yaml").exists():
        return None
    return from_plain(Plan, read_own(path), str(path), "restore it, or give another --out")


@dataclass
class Schedule:
    """Decides the settings of a stage when it begins, and how many networks are compared.

    What was decided is kept in the run directory, so that a resumed run decides nothing anew.

    Args:
        plan (Plan): plan of the run.
        began (float): time at which this process began, of ``time.monotonic``.
        compare (int | None): number of random networks to compare with; None to choose it.
        new (bool): whether the run is about to start.
        known (Sequence[str]): names of known networks to compare with.
    """

    plan: Plan
    began: float
    compare: int | None = None
    new: bool = True
    known: Sequence[str] = ()
    _retraining: float = field(default=0.0, init=False, repr=False)

    def settings(self, stage: str, context: Context) -> dict[str, Any]:
        """Settings of a stage that is about to begin, by section."""
        if self.new:
            # They were read by the checks before the first stage.
            self.plan = self.plan.begun(context.reading)
            self._keep(context)
            self.new = False
        if context.directory.is_finished(stage) or not self.plan.fitted:
            return {}
        known = context.frozen.get(stage, {})
        if stage == "search" and not all(name in known for name in FITTED["search"]):
            return self._search(context)
        if stage == "retrain" and "steps" not in known:
            settings = self._retrain(context)
            self._retraining = self.used(context)
            return settings
        return {}

    def beside(self, context: Context) -> dict[str, str]:
        """Networks of the comparison that a free process trains while the winner is trained.

        All of them, if they are trained for a part of its steps, otherwise the uniform network.
        """
        wanted = self.compare if self.compare is not None else self.plan.compare
        found = read_found(context.directory)
        # A training on several devices takes them all.
        free = self.plan.processes > 1 and context.devices == 1
        if not free or not (wanted or (wanted is None and self.plan.fitted)):
            return {}
        if found is None or found.budgets:
            return {}
        if context.config.network.compare_share < 1:
            count = TRAININGS - 2 if wanted is None else wanted
            table = context.costs(context.supernet(), eager=False)
            chosen = choose_networks(context, table, found.winner, count)
            if not chosen.random:
                return {}
            return {stage: str(architecture) for architecture, stage in chosen.stages.items()}
        _, _, uniform = self._uniform(context)
        same = uniform is None or uniform == found.winner.architecture
        return {} if same else {UNIFORM: str(uniform)}

    def networks(self, context: Context) -> int:
        """Number of random networks to compare with, once the winner is trained."""
        decided = self.compare if self.compare is not None else self.plan.compare
        if decided is None:
            decided = self._timely(context) if self.plan.fitted else 0
            if self.plan.fitted and not decided:
                context.listener.message("no time is left for a comparison")
        self.plan = replace(self.plan, compare=decided)
        self._keep(context)
        return decided

    def _timely(self, context: Context) -> int:
        """As many random networks as there is time for."""
        trained = context.directory.outcome(RetrainOutcome)
        if self.plan.seconds is None or trained is None:
            return TRAININGS - 2
        used = self.used(context)
        left, most = ((1 + over) * self.plan.seconds - used for over in (TOLERANCE, MOST_OVERRUN))
        # Loading and testing take time as well, but what this process took to begin is no part of
        # it, nor what it took between the stages before.
        before = self.before(context.directory.path, (*BEFORE_RETRAINING, KnownOutcome))
        before = max(before, self._retraining)
        beside = context.directory.outcome(RetrainOutcome, UNIFORM)
        longest = max(trained.seconds, beside.seconds if beside else 0.0)
        share = context.config.network.compare_share
        each = share * trained.seconds + max(used - before - longest, 1e-3)
        done = {path.stem for path in context.directory.path.glob("compare-*.json")}
        if done:
            # In one of several processes: alone it would have taken less.
            each *= self.plan.parallel / self.plan.processes
        # The uniform network is compared wherever a random one is, and so is the winner where its
        # own training is longer.
        further = [each] if share < 1 and FOUND not in done else []
        if UNIFORM not in done:
            own, uniform = self._steps(context)
            further.append(uniform / own * each)
        random = len(done - {UNIFORM, FOUND})
        times = {random: 0.0}
        for number in range(random + 1, max(random, MOST_COMPARED) + 1):
            times[number] = self._together([*further, *[each] * (number - random)])
        timely = [number for number, taken in times.items() if taken <= most] or [random]
        # Of as many as train in the same time, the most.
        return min(timely, key=lambda number: (abs(times[number] - left), -number))

    def used(self, context: Context) -> float:
        """Seconds that the run has taken, in this process and in interrupted ones before it."""
        return max(time.monotonic() - self.began, self.before(context.directory.path))

    def before(
        self,
        folder: Path,
        kinds: tuple[type[Outcome], ...] = (*BEFORE_RETRAINING, RetrainOutcome, KnownOutcome),
    ) -> float:
        """Seconds that the plan and finished stages took; 0 for a run that is not started."""
        directory = RunDirectory(folder)
        if read_plan(folder) is None:
            return 0.0
        # The training of another run took none of the time of this one.
        skipped = TrainOutcome if (folder / REUSED).exists() else None
        spent = self.plan.spent
        for outcome in (directory.outcome(kind) for kind in kinds if kind is not skipped):
            spent += outcome.seconds if outcome is not None else 0.0
        return spent

    def _together(self, times: Sequence[float]) -> float:
        return side_by_side(times, self.plan.processes, self.plan.parallel)

    def _keep(self, context: Context) -> None:
        write_record(context.directory.path / PLAN_FILE, self.plan)

    def _slowness(self, context: Context) -> float:
        """How many times longer the supernet was trained than expected; 1 if unknown."""
        trained = context.directory.outcome(TrainOutcome)
        reused = (context.directory.path / REUSED).exists()
        if reused or trained is None or trained.imported or trained.seconds <= 0:
            return 1.0
        return trained.seconds / (trained.steps * self.plan.step_seconds)

    def _steps(self, context: Context) -> tuple[float, float]:
        """Steps of the winner and of the uniform network, 0 if there is none, with all they do."""
        complete = self._completion(context)
        own, uniform = self._networks(context)
        return complete(own), complete(uniform) if uniform else 0.0

    def _completion(self, context: Context) -> Callable[[float], float]:
        """A function that adds to the time of a step what its batch takes before it."""
        recipe, data, device = context.config.retrain, context.data, context.fabric.device
        shape, batch = (data.channels, data.image_size, data.image_size), recipe.batch_size
        augmenting = measure_augmentation(recipe.augment, batch, shape, device)
        decoding = measure_decoding(data.train)
        return lambda step: step + augmenting + loading(step, batch, decoding, device)

    def _networks(self, context: Context) -> tuple[float, float]:
        """Measure training steps of the winner and of the uniform network, 0 if there is none.

        A winner may be far cheaper than the uniform network, which is the costliest one within the
        limits, and steps of small networks depend on more than their multiply-adds.
        """
        found, batch = read_found(context.directory), context.config.retrain.batch_size
        if found is None:
            return self.plan.speed.training.seconds(self.plan.flops, batch), 0.0
        supernet, table, uniform = self._uniform(context)
        paths = [found.winner.architecture, *([uniform] if uniform else [])]
        few = images_of_step(batch, max(table.cost(path)["flops"] for path in paths))
        device, precision = context.fabric.device, context.config.run.precision
        times = measure_networks(supernet, paths, few, device, precision)
        own, most = (*(seconds * batch / few for seconds in times), 0.0)[:2]
        return own, most

    def _uniform(self, context: Context) -> tuple[Supernet, CostModel, Architecture | None]:
        """The supernet, its costs, and the uniform network that the winner is compared with."""
        supernet = context.supernet()
        table = context.costs(supernet, eager=False)
        feasible = Feasible(table.space, table, context.config.bounds)
        uniform = find_uniform(feasible, context.config)
        return supernet, table, uniform[1] if uniform else None

    def _known(self, context: Context, own: float) -> list[float]:
        """Steps of the known networks as multiples of one of the winner, by multiply-adds."""
        if not self.known:
            return []
        batch, line = context.config.retrain.batch_size, self.plan.speed.training
        flops = [check_known(context, name)[1]["flops"] for name in dict.fromkeys(self.known)]
        complete = self._completion(context)
        return [complete(line.seconds(each, batch)) / own for each in flops]

    def _search(self, context: Context) -> dict[str, Any]:
        # A differentiable search derives its networks by settings of the training.
        if self.plan.seconds is None or context.config.required_method:
            return {}
        left = self.plan.seconds - self.used(context)
        train, search = SHARES
        seconds = max(left, 0.0) * search / (1 - train)
        data, settings = context.data, context.config.run
        images = len(data.validation) + min(settings.calibration, len(data.train))
        images *= context.config.supernet.members
        batch = min(settings.evaluation_batch, images)
        added = count_untrained(context.config)
        images += SCORED_AS * added
        each = self.plan.speed.evaluation.seconds(self.plan.flops, batch) * images / batch
        count = seconds / (each * max(1.0, self._slowness(context))) * SHARED * self.plan.parallel
        # One search for each budget.
        searches = len(context.config.constraint.constraints)
        count = max(count - SAMPLE * bool(added), 1.0) / searches
        given = context.frozen.get("search", {})
        wide = count / given["iterations"] if "iterations" in given else (2.5 * count) ** 0.5
        # Children that the user gave need a population to be of.
        children = sum(int(given.get(name) or 0) for name in CHILDREN)
        fitting = max(_within(round(wide), POPULATIONS), children)
        population = int(given.get("population", fitting))
        iterations = _within(int(count / population), ITERATIONS)
        sizes = (population, iterations, max(2, population // 5))
        return {"search": dict(zip(FITTED["search"], sizes, strict=True))}

    def _retrain(self, context: Context) -> dict[str, Any]:
        batch, images = context.config.retrain.batch_size, self.plan.images
        steps = unhurried_steps(images, batch)
        if self.plan.seconds is not None:
            own, uniform = self._steps(context)
            compared = TRAININGS - 2 if self.compare is None else self.compare
            share = context.config.network.compare_share
            # Where the others are trained for a part of the steps, so is the winner once more.
            again = [1.0] if share < 1 else []
            others = [uniform / own, *again, *[1.0] * compared] if compared else []
            others = [share * one for one in others]
            processes, parallel = self.plan.processes, self.plan.parallel
            trainings = sum(train_all(others, processes, parallel, short=share < 1))
            trainings += self._together(self._known(context, own))
            found = read_found(context.directory)
            finalists, distinct = context.config.finalists, not context.fitness.by_metric
            if found is not None and not found.budgets:
                chosen = choose_finalists(found, finalists.count, distinct=distinct)
                at_once = self.plan.processes
                shorter = share_of_retraining(len(chosen), finalists.share, at_once)
                trainings += shorter * at_once / self.plan.parallel
            elif found is not None:
                # The networks of smaller budgets take no longer than that of the largest.
                trainings += self._together([1.0] * (len(found.retrainings) - 1))
            left = (self.plan.seconds - self.used(context)) * (1 - RESERVE[processes > 1])
            steps = int(max(left, 0.0) / trainings / own)
        # A warm-up that the user gave ends before the training does.
        least = max(20, int(context.frozen.get("retrain", {}).get("warmup_steps", 0)) + 1)
        steps = max(least, min(steps, most_steps(images, batch)))
        return {"retrain": {"steps": steps, "warmup_steps": warm_up(steps)}}


def _within(value: int, limits: tuple[int, int]) -> int:
    return max(limits[0], min(limits[1], value))
