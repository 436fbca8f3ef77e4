"""What came of a run: the record behind ``result.json``, the report and the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from spos._util.errors import UserError
from spos._util.files import as_path
from spos._util.records import check_same_run, read_record
from spos.report.facts import (
    ConstraintFacts,
    DataFacts,
    LatencyFacts,
    SearchFacts,
    SpaceFacts,
    StageName,
    TrainFacts,
)
from spos.report.former import upgrade_result
from spos.report.measure import Measure
from spos.search.candidate import Candidate


@dataclass(frozen=True)
class StageCosts:
    """A stage of the winner: its choices by name, and what it costs."""

    name: str
    choices: Mapping[str, str]
    costs: Mapping[str, int]


@dataclass(frozen=True)
class Winner(Candidate):
    """The network found: a candidate, its options by name, its stages, its published notation."""

    names: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[StageCosts, ...] = ()
    notation: str | None = None


@dataclass(frozen=True)
class Rung:
    """A short training: its steps, and its scores on the validation images.

    Args:
        steps (int): steps of the training so far.
        score (float): score by the fitness of the search.
        metric_score (float): score by the metric of the run.
    """

    steps: int
    score: float
    metric_score: float


@dataclass(frozen=True)
class Finalist(Candidate):
    """A candidate that was trained for a short while, and its rungs of successive halving."""

    rungs: Annotated[tuple[Rung, ...], Field(min_length=1)] = field(kw_only=True)


@dataclass(frozen=True)
class NamedNetwork:
    """A published network that was trained instead of a winner, its costs and its width."""

    name: str
    costs: Mapping[str, int]
    width: float = 1.0


@dataclass(frozen=True)
class Retrained:
    """The trained network: its score on the test images after so many steps.

    It began from the weights of the supernet, or from scratch.
    """

    test_score: float | None
    steps: int
    teacher: str | None = None
    weights: str = "scratch"


@dataclass(frozen=True)
class BudgetWinner:
    """What was found for one of several budgets.

    Args:
        maximum (Mapping[str, float]): bounds of the budget by cost.
        winner (Candidate): best candidate within them.
        evaluated (int): candidates that were scored for this budget.
        candidates (int): candidates of its search, those that were known before included.
        test_score (float | None): score on the test images, once it is retrained.
    """

    maximum: Mapping[str, float]
    winner: Candidate
    evaluated: int
    candidates: int
    test_score: float | None = None


@dataclass(frozen=True)
class ComparedNetwork:
    """A random network that was retrained as the winner was.

    ``within`` is how far its cost is from the winner's, as a share of it; None is any distance.
    """

    name: str
    architecture: str
    costs: Mapping[str, int]
    within: float | None
    score: float
    test_score: float


@dataclass(frozen=True)
class Comparison:
    """The winner beside random networks of its cost, by their scores on the test images.

    Args:
        asked (int): number of random networks that were asked for.
        networks (tuple[ComparedNetwork, ...]): the random networks.
        random_mean (float): mean of their test scores.
        random_std (float | None): standard deviation; None for one network.
        found_test_score (float): test score of the winner, trained as long as they are.
        uniform (ComparedNetwork | None): the costliest network within the bounds that has the same
            option everywhere.
        steps (int | None): steps of each training; None for as many as the retraining has.
    """

    asked: int
    networks: tuple[ComparedNetwork, ...]
    random_mean: float
    random_std: float | None
    found_test_score: float
    uniform: ComparedNetwork | None = None
    steps: int | None = None

    @property
    def others(self) -> list[tuple[str, ComparedNetwork]]:
        """The networks beside the winner, each with its kind: ``random`` or ``uniform``."""
        uniform = [("uniform", self.uniform)] if self.uniform else []
        return [*(("random", one) for one in self.networks), *uniform]


@dataclass(frozen=True)
class KnownNetwork:
    """A known network that was trained by the recipe of the winner.

    Args:
        name (str): name as given, such as ``mobilenet_v2@fit`` or ``timm:resnet18``.
        costs (Mapping[str, int]): costs by name, as far as they can be counted.
        test_score (float): score on the test images.
        width (float): factor of its channels.
        weights (str): ``scratch``, or the file of weights that its training began from.
    """

    name: str
    costs: Mapping[str, int]
    test_score: float
    width: float = 1.0
    weights: str = "scratch"


@dataclass(frozen=True)
class Result:
    """Everything that came of a run; what is not finished yet is None or empty.

    Args:
        spos (str): version of spos.
        space (SpaceFacts): the search space.
        metric (Measure): what scores on the test images are, and how they are written.
        data (DataFacts): the images.
        constraint (ConstraintFacts): the bounds of the search.
        primary_cost (str): the cost that the search is about.
        latency (LatencyFacts | None): where latencies come from, if the run has any.
        train (TrainFacts | None): how the supernet was trained.
        search (SearchFacts | None): how the network was searched for.
        winner (Winner | None): the network found.
        network (NamedNetwork | None): the network trained instead of a winner.
        retrain (Retrained | None): its training.
        top (tuple[Candidate, ...]): the best candidates, best first.
        front (tuple[Candidate, ...]): the front, cheapest first, if one was searched for.
        budgets (tuple[BudgetWinner, ...]): what was found for each of several budgets.
        comparison (Comparison | None): random networks beside the winner.
        known (tuple[KnownNetwork, ...]): known networks beside the winner, as they were given.
        seconds (Mapping[str, float]): wall time by stage.
        planning (float | None): wall time of the planning, if the run was planned.
        run (str): the run, as its outcomes name it; empty in former results.
        seeds (Mapping[str, int]): seeds by section.
        versions (Mapping[str, str]): versions of Python and libraries.
        device (str): device of the run.
        devices (int): processes, each with one device.
        fitness (Measure | None): what the scores of candidates are; None for the metric.
        finalists (tuple[Finalist, ...]): candidates that the winner was chosen from by short
            trainings, in the order of their one-shot scores.
    """

    spos: str
    space: SpaceFacts
    metric: Measure
    data: DataFacts
    constraint: ConstraintFacts
    primary_cost: str = "flops"
    latency: LatencyFacts | None = None
    train: TrainFacts | None = None
    search: SearchFacts | None = None
    winner: Winner | None = None
    network: NamedNetwork | None = None
    retrain: Retrained | None = None
    top: tuple[Candidate, ...] = ()
    front: tuple[Candidate, ...] = ()
    budgets: tuple[BudgetWinner, ...] = ()
    comparison: Comparison | None = None
    known: tuple[KnownNetwork, ...] = ()
    seconds: Mapping[StageName, float] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    devices: int = 1
    fitness: Measure | None = None
    finalists: tuple[Finalist, ...] = ()
    planning: float | None = None
    run: str = ""

    @property
    def times(self) -> dict[str, float]:
        """Wall time by stage, the planning included, which is ``plan``."""
        return {**({} if self.planning is None else {"plan": self.planning}), **self.seconds}

    @property
    def reused(self) -> tuple[str, ...]:
        """The stages that another run did, whose time is not that of this run."""
        return ("train",) if self.train and self.train.reused else ()

    @property
    def total_time(self) -> float:
        """Wall time of all stages that the run did itself."""
        return sum(time for stage, time in self.times.items() if stage not in self.reused)

    @property
    def one_shot(self) -> Measure:
        """What the one-shot scores of candidates are, and how they are written."""
        return self.fitness or self.metric

    def one_shot_metric(self, candidate: Candidate) -> float | None:
        """The one-shot score of a candidate by the metric of the run, if it is known."""
        if candidate.metric_score is None and self.one_shot == self.metric:
            return candidate.score
        return candidate.metric_score

    def show_one_shot(self, candidate: Candidate) -> tuple[str, str]:
        """What the best known one-shot score of a candidate is called, and the score.

        That is the metric of the run, which people know, or else the fitness of the search.
        """
        known = self.one_shot_metric(candidate)
        if known is None:
            return self.one_shot.noun, self.one_shot.show(candidate.score)
        return self.metric.noun, self.metric.show(known)

    @property
    def test_score(self) -> float | None:
        """The score of the retrained network on the test images, if it is known."""
        return self.retrain.test_score if self.retrain else None


def read_result(path: str | Path) -> Result:
    """Read a ``result.json``, of this version or of one before there were versions.

    Args:
        path (str | Path): file to read.

    Raises:
        UserError: it is missing, damaged, of a newer version, or of another run than the directory.
    """
    path, advice = as_path(path, "result"), "rerun the command of the run to write it again"
    result = read_record(Result, path, advice=advice, upgrade=upgrade_result)
    check_same_run(path, result.run, advice)
    own = {result.primary_cost, *(result.winner.costs if result.winner else ())}
    beside = {"flops"} if result.known else set()
    for name, costs in _costs_by_network(result):
        # Tables show the costs of all networks side by side, as far as those of others are counted.
        wanted = beside if name == "known network" else own | beside
        if lacking := wanted - costs.keys():
            raise UserError(f"{path} is damaged (the {name} has no cost {min(lacking)}): {advice}")
    return result


def _costs_by_network(result: Result) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The costs of the networks of a result that are compared, each with what the network is."""
    compared = result.comparison.others if result.comparison else []
    for name, network in (
        ("winner", result.winner),
        *(("candidate", one) for one in (*result.top, *result.front)),
        *(("winner of a budget", one.winner) for one in result.budgets),
        *((f"{kind} network", one) for kind, one in compared),
        *(("known network", one) for one in result.known),
    ):
        if network is not None:
            yield name, network.costs
