"""The result of a run, collected from the outcomes of its stages."""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from importlib.metadata import version

import torch

from spos._util.files import read_own
from spos._util.records import from_plain
from spos._util.version import __version__
from spos.report.measure import Measure
from spos.report.result import (
    ChoiceFacts,
    ConstraintFacts,
    DataFacts,
    LatencyFacts,
    NamedNetwork,
    Result,
    Retrained,
    SearchFacts,
    SpaceFacts,
    TrainFacts,
)
from spos.run.budgets import collect_budget_winners, sum_retraining_seconds
from spos.run.context import Context
from spos.run.costs import find_primary_cost, read_latency_table
from spos.run.finalists import read_found
from spos.run.outcome import (
    CompareOutcome,
    FinalistsOutcome,
    RetrainOutcome,
    SearchOutcome,
    TrainOutcome,
)
from spos.search import ALGORITHMS
from spos.spaces import family


def collect_result(context: Context) -> Result:
    """Collect the result of the finished stages of a run."""
    config, directory = context.config, context.directory
    found, retrained = read_found(directory), directory.outcome(RetrainOutcome)
    compared, trained = directory.outcome(CompareOutcome), directory.outcome(TrainOutcome)
    data = read_own(directory.path / "data.json")
    data.pop("task", None)
    member, named = family(config.space), config.network.name
    facts = from_plain(
        DataFacts,
        {"outputs": len(data["classes"]), **data},
        str(directory.path / "data.json"),
        "restore it, or give another --out",
    )
    if retrained:
        # The number of test images is known only once they were read, in the last stage.
        facts = replace(facts, test=retrained.test_images)
    with torch.device("meta"):
        space = member.build(
            config.layout, classes=facts.outputs, image_channels=facts.channels
        ).space
    winner = None
    if found:
        notation = member.notation(found.winner.names) if member.notation else None
        winner = replace(found.winner, notation=notation)
    table = read_latency_table(config, directory.path)
    finals = directory.outcome(FinalistsOutcome)
    outcomes = {
        "train": trained,
        "search": found,
        "finalists": finals,
        "retrain": retrained,
        "compare": compared,
    }
    seconds = {stage: outcome.seconds for stage, outcome in outcomes.items() if outcome}
    if retrained:
        seconds["retrain"] += sum_retraining_seconds(context, found)
    return Result(
        spos=__version__,
        space=SpaceFacts(
            name=config.space,
            preset=config.preset,
            size=str(space.size),
            choices=tuple(ChoiceFacts(one.name, tuple(one.options)) for one in space.choices),
        ),
        metric=Measure(context.task.name, context.task.share),
        data=facts,
        constraint=ConstraintFacts(
            text=str(config.bounds),
            maximum=dict(config.bounds.maximum),
            minimum=dict(config.constraint.minimum),
        ),
        primary_cost=find_primary_cost(config),
        latency=LatencyFacts(unit="ns", **asdict(table.runtime)) if table else None,
        train=TrainFacts(trained.steps, trained.method, trained.label) if trained else None,
        search=_search_facts(context, found) if found else None,
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
        budgets=collect_budget_winners(context, found) if found else (),
        comparison=compared.comparison if compared else None,
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
    )


def _search_facts(context: Context, found: SearchOutcome) -> SearchFacts:
    settings = context.config.search
    algorithm = ALGORITHMS.find(settings.algorithm)
    facts = SearchFacts(
        algorithm=settings.algorithm,
        label=algorithm.label,
        method=algorithm.method or "",
        evaluated=found.evaluated,
        exhausted=found.exhausted,
        candidates=None if found.budgets else len(found.candidates),
        pareto=settings.pareto,
    )
    if algorithm.method:
        return facts
    return replace(
        facts,
        population=settings.population,
        iterations=settings.iterations,
        parents=settings.parents,
    )
