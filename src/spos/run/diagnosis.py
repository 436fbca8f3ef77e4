"""A check before hours are spent: whether a search can find a better network in a space at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn

from spos._util.errors import UserError, as_whole
from spos._util.files import write_atomically
from spos._util.listener import Listener, Silent
from spos._util.modes import one_run
from spos._util.randomness import generator
from spos.cost import CostModel
from spos.data import ImageData
from spos.report.diagnosis import Diagnosis, SampledNetwork, StageEstimate, doctor_page
from spos.run.config import merge_sections
from spos.run.context import Context
from spos.run.costs import find_primary_cost, narrow
from spos.run.directory import RunDirectory
from spos.run.finalists import Brief, plan_rungs, plan_training, train_briefly
from spos.run.outcome import DoctorOutcome
from spos.run.pipeline import OWN_DATA
from spos.run.recorder import timed
from spos.run.side_by_side import ThisProcess, Workers
from spos.run.started import check_same_task
from spos.run.task import Task, make_fitness
from spos.search import Feasible
from spos.space import Architecture
from spos.training.method import make_method
from spos.training.recipe import Recipe

#: Sections of the configuration that the check depends on.
SECTIONS = ("space", "layout", "data", "run")
#: Widths of the band of cost, as shares of its upper end; the first with enough networks applies.
BANDS = (0.1, 0.2, 0.4, 0.8)
#: Finalists that the short trainings are planned for if the run has none.
FINALISTS = 5
#: Time of a forward pass as a share of that of a training step on the same images.
FORWARD = 1 / 3


@one_run()
def doctor(
    out: str | Path,
    given: Mapping[str, Any],
    *,
    networks: int = 12,
    seeds: int = 2,
    listener: Listener | None = None,
    devices: int = 1,
    workers: Workers | None = None,
    accelerator: str = "auto",
    load: Callable[[], ImageData] | None = None,
    task: Task | None = None,
) -> Diagnosis:
    """Check whether a search can find a better network in a space at all.

    Random networks of about the same cost are trained for a short while, each with several seeds. A
    run in the same directory uses the trainings again for its finalists.

    Args:
        out (str | Path): run directory; created if missing.
        given (Mapping): settings by section (:func:`spos.run.config.make_config`); the recipe of
            the retraining is shortened as for finalists.
        networks (int): number of networks, at least 2.
        seeds (int): number of trainings of each network, at least 2.
        listener (Listener | None): receiver of progress and messages.
        devices (int): number of processes, each with one device, at least 1.
        workers (Workers | None): processes that train networks at the same time; None for this
            one.
        accelerator (str): accelerator of Lightning Fabric: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        load (Callable | None): function that returns a data set of your own.
        task (Task | None): loss and metric of your own; None for classification.

    Returns:
        The spread of the networks beside that of the trainings, and what follows for a search.

    Raises:
        UserError: an argument or a setting is not valid.
        KeyboardInterrupt: the check was interrupted; its state is saved.
    """
    networks, seeds = check_counts(networks, seeds)
    devices = as_whole(devices, "devices", 1)
    if load is not None:
        given = merge_sections(given, OWN_DATA)
    directory = RunDirectory(out)
    with directory.open():
        config, fixed = directory.resolve_config(given, SECTIONS)
        context = Context(
            config,
            fixed,
            directory,
            listener or Silent(),
            devices=devices,
            workers=workers or ThisProcess(),
            accelerator=accelerator,
            load=load,
            task=task or Task(),
        )
        check_same_task(context.directory, context.task_facts)
        return _diagnose(context, networks, seeds)


def check_counts(networks: int, seeds: int) -> tuple[int, int]:
    """Check that a spread of networks and of trainings can be measured.

    Returns:
        The two numbers.

    Raises:
        UserError: there are fewer than two.
    """
    networks, seeds = as_whole(networks, "--networks"), as_whole(seeds, "--seeds")
    for name, value in (("networks", networks), ("seeds", seeds)):
        if value < 2:
            raise UserError(f"--{name} {value}: must be at least 2, or no spread can be measured")
    return networks, seeds


def _diagnose(context: Context, networks: int, seeds: int) -> Diagnosis:
    config = context.config
    if config.network.name:
        raise UserError(
            f"--network {config.network.name}: spos doctor checks a search space; leave it out"
        )
    data = context.data
    table = context.costs(context.supernet(), eager=False)
    chosen, band = _draw(context, table, networks)
    recipe, rungs = plan_training(config, max(2, config.finalists.count or FINALISTS))
    sampled: list[SampledNetwork] = []
    spent = 0.0
    trainings = [(str(one), config.run.seed + seed) for one in chosen for seed in range(seeds)]
    # Judged on the way as well, because a finalist is, and its training is used again.
    with timed(context.directory, DoctorOutcome.stage) as watch:
        for _, steps in rungs:
            briefs = [
                Brief(text, recipe, steps, f"training {number} of {len(trainings)}", seed)
                for number, (text, seed) in enumerate(trainings, 1)
            ]
            trained = train_briefly(context, briefs, "trainings")
    for number, architecture in enumerate(chosen):
        repeated = trained[number * seeds : (number + 1) * seeds]
        spent += sum(one.seconds for one in repeated)
        scores = tuple(one.rungs[-1].metric_score for one in repeated)
        sampled.append(SampledNetwork(str(architecture), table.cost(architecture), scores))
    metric, chance = make_fitness(context.task, "metric").measure, None
    if metric.top1 and data.classes:
        chance = float(data.validation.labels.bincount().max() / len(data.validation))
    diagnosis = Diagnosis(
        cost=find_primary_cost(config),
        band=band,
        steps=recipe.steps,
        metric=metric,
        networks=tuple(sampled),
        estimates=_estimate(context, table, sampled, spent / len(sampled) / seeds, recipe),
        chance=chance,
    )
    context.directory.finish(DoctorOutcome(seconds=watch.seconds, diagnosis=diagnosis))
    page = doctor_page(diagnosis, (config.space, config.preset, data.source))
    write_atomically(context.directory.path / "doctor.html", page)
    return diagnosis


def _draw(
    context: Context, table: CostModel, count: int
) -> tuple[list[Architecture], tuple[float, float]]:
    """Draw random networks of a band of cost below the budget, or around the middle of the space.

    Returns:
        The networks, and the band.
    """
    config, cost = context.config, find_primary_cost(context.config)
    random = generator(config.run.seed, "doctor")
    upper = config.bounds.maximum.get(cost)
    if upper is None:
        values = table.many(table.space.sample_many(1000, generator(0, "middle")))
        upper = float(np.quantile(values[:, table.names.index(cost)], 0.6))
    upper = min(upper, table.range()[cost][1])
    for width in BANDS:
        band = narrow(config.bounds, cost, upper * (1 - width), upper)
        try:
            found = Feasible(table.space, table, band).draw(count, random)
        except UserError:
            if width == BANDS[-1]:
                raise
            continue
        if len(found) == count:
            break
    if len(found) < 2:
        raise UserError(f"{config.space}: fewer than two networks satisfy {band}")
    return found, (band.minimum[cost], upper)


def _estimate(
    context: Context,
    table: CostModel,
    rows: Sequence[SampledNetwork],
    seconds: float,
    short: Recipe,
) -> tuple[StageEstimate, ...]:
    """Estimate the stages of the run from the time of a short training of its networks.

    A step is taken to cost as much as the multiply-adds of its images.
    """
    config, data = context.config, context.data
    values = table.many(table.space.sample_many(1000, generator(0, "estimate")))
    random = float(values[:, table.names.index("flops")].mean())
    mean = fmean(row.costs["flops"] for row in rows)
    per_image = seconds / short.steps / short.batch_size
    supernet = config.supernet
    with torch.device("meta"):
        model = context.supernet()
    method = make_method(context.method, model, nn.CrossEntropyLoss(), supernet, 0)
    images = supernet.steps * supernet.batch_size * method.passes * supernet.members
    calibration = min(config.run.calibration, len(data.train))
    evaluated = config.candidates * supernet.members * (calibration + len(data.validation))
    retraining = config.retrain.steps * config.retrain.batch_size * per_image
    rungs = plan_rungs(max(config.finalists.count, 1))
    # Of all finalists, as a multiple of those of the last rung.
    shares = sum(
        count * (share - before)
        for (count, share), (_, before) in zip(rungs, [(0, 0.0), *rungs], strict=False)
    )
    estimates = {
        "train": images * per_image * random / mean,
        "search": evaluated * per_image * FORWARD,
        "finalists": retraining * config.finalists.share * shares,
        # One network for each budget.
        "retrain": retraining * len(config.constraint.constraints),
    }
    return tuple(StageEstimate(stage, value) for stage, value in estimates.items() if value)
