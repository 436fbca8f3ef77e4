"""The result of a run, collected from the outcomes of its stages."""

from __future__ import annotations

import platform
from dataclasses import asdict, fields, replace
from importlib.metadata import version

import torch

from spos._util.errors import UserError
from spos._util.version import __version__
from spos.report.facts import (
    ChoiceFacts,
    ConstraintFacts,
    DataFacts,
    LatencyFacts,
    SearchFacts,
    SpaceFacts,
    TrainFacts,
)
from spos.report.measure import Measure
from spos.report.result import BudgetWinner, NamedNetwork, Result, Retrained
from spos.run.agreement import check_agreement
from spos.run.config import Config
from spos.run.context import Context
from spos.run.costs import find_primary_cost, read_latency_table
from spos.run.directory import RunDirectory
from spos.run.finalists import read_found
from spos.run.outcome import (
    CompareOutcome,
    FinalistsOutcome,
    KnownOutcome,
    RetrainOutcome,
    StartFacts,
    TrainOutcome,
)
from spos.run.recorder import stopwatch
from spos.run.reuse import REUSED
from spos.search import ALGORITHMS
from spos.space import SearchSpace
from spos.spaces import family


def collect_result(context: Context) -> Result:
    """Collect the result of the finished stages of a run.

    Raises:
        UserError: a file of the run is damaged, or disagrees with another one.
    """
    config, directory = context.config, context.directory
    found, retrained = read_found(directory), directory.outcome(RetrainOutcome)
    compared, trained = directory.outcome(CompareOutcome), directory.outcome(TrainOutcome)
    finals, known = directory.outcome(FinalistsOutcome), directory.outcome(KnownOutcome)
    own, named = family(config.space), config.network.name
    started = _start_facts(directory)
    data = _data_facts(started, retrained)
    space = check_outcomes(context.config, directory, top1=context.task.measures_top1)
    choices = tuple(ChoiceFacts(one.name, tuple(one.options)) for one in space.choices)
    bounds, winner, search = config.bounds, None, None
    if found:
        notation = own.notation(found.winner.names) if own.notation else None
        winner = replace(found.winner, notation=notation)
        algorithm = ALGORITHMS.find(config.search.algorithm)
        sizes = ("population", "iterations", "parents") if algorithm.method is None else ()
        search = SearchFacts(
            algorithm=config.search.algorithm,
            label=algorithm.label,
            method=algorithm.method or "",
            evaluated=found.evaluated,
            exhausted=found.exhausted,
            candidates=None if found.budgets else len(found.candidates),
            pareto=config.search.pareto,
            **{name: getattr(config.search, name) for name in sizes},
        )
    table = read_latency_table(config, directory.path)
    stages = found.retrainings if found else {}
    retrainings = {name: directory.outcome(RetrainOutcome, name) for name in stages.values()}
    outcomes = (trained, found, finals, retrained, known, compared)
    seconds = {outcome.stage: outcome.seconds for outcome in outcomes if outcome}
    if retrained:
        further = [one for stage, one in retrainings.items() if one and stage != "retrain"]
        # Of networks that may have trained side by side; former runs have only their sum.
        spent = stopwatch(directory, RetrainOutcome.stage).before
        times = [one.seconds for one in (retrained, *further)]
        # A training knows the time of attempts that were killed as well.
        seconds["retrain"] = max(spent, *times) if spent else sum(times)
    return Result(
        spos=__version__,
        space=SpaceFacts(config.space, config.preset, str(space.size), choices),
        metric=Measure(context.task.name, context.task.share),
        data=data,
        constraint=ConstraintFacts(
            str(bounds),
            dict(bounds.maximum),
            dict(bounds.minimum),
            directory.planned_limit(bounds.maximum),
        ),
        primary_cost=find_primary_cost(config),
        latency=LatencyFacts(unit="ns", **asdict(table.runtime)) if table else None,
        train=TrainFacts(
            trained.steps,
            trained.method,
            trained.label,
            config.supernet.members,
            reused=(directory.path / REUSED).exists(),
        )
        if trained
        else None,
        search=search,
        winner=winner,
        network=NamedNetwork(named, retrained.costs, config.network.width)
        if named and retrained
        else None,
        retrain=Retrained(
            retrained.test_score, retrained.steps, retrained.teacher, retrained.weights
        )
        if retrained
        else None,
        top=found.top if found else (),
        front=found.front if found else (),
        budgets=tuple(
            BudgetWinner(one.maximum, one.winner, one.evaluated, one.candidates, score)
            for one in (found.budgets if found else ())
            for done in [retrainings[stages[str(one.winner.architecture)]]]
            for score in [done.test_score if done else None]
        ),
        comparison=compared.comparison if compared else None,
        known=known.networks if known else (),
        seconds=seconds,
        seeds={"run": config.run.seed, "search": config.search.seed},
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "lightning-fabric", "optuna", "numpy")},
        },
        device=str(context.fabric.device),
        devices=context.devices,
        fitness=context.fitness.measure,
        finalists=finals.finalists if finals else (),
        planning=directory.planning_seconds(),
        run=started.run,
    )


def check_outcomes(config: Config, directory: RunDirectory, *, top1: bool) -> SearchSpace:
    """Check that the outcomes of a run agree, before anybody is told what is in them.

    Args:
        config (Config): configuration of the run.
        directory (RunDirectory): directory of the run.
        top1 (bool): whether scores on the test images are top-1 accuracies.

    Returns:
        The space of the run.

    Raises:
        UserError: a file is damaged, or disagrees with another one.
    """
    facts = _start_facts(directory)
    with torch.device("meta"):
        supernet = family(config.space).build(
            config.layout, classes=facts.outputs, image_channels=facts.channels
        )
    check_agreement(directory, supernet.space, read_found(directory), top1=top1)
    return supernet.space


def _start_facts(directory: RunDirectory) -> StartFacts:
    stored = directory.start_facts()
    if stored is None:
        raise UserError(f"{directory.data_path} is missing: restore it, or give another --out")
    return stored


def _data_facts(stored: StartFacts, retrained: RetrainOutcome | None) -> DataFacts:
    facts = {one.name: getattr(stored, one.name) for one in fields(DataFacts)}
    # The number of test images is known only once they were read, in the last stage.
    return DataFacts(**{**facts, "test": retrained.test_images if retrained else None})
