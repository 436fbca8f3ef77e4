"""The outcomes of the stages of a run: the records behind the files of the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from spos.report.attachments import CandidateStages, Predictions
from spos.report.diagnosis import Diagnosis
from spos.report.facts import DataFacts
from spos.report.former import upgrade_comparison, upgrade_retrain, upgrade_search
from spos.report.result import Comparison, Finalist, KnownNetwork, Rung, Winner
from spos.run.task import DEFAULT_TASK_FACTS, TaskFacts
from spos.search import Candidate


@dataclass(frozen=True, kw_only=True)
class StartFacts(DataFacts):
    """What a run was started with, ``data.json``: the images, and the task.

    Args:
        task (TaskFacts): the task; classification in runs from before there was another one.
        run (str): digest of the images and of the settings that the run was started with, which its
            outcomes repeat; empty in former runs.
    """

    task: TaskFacts = DEFAULT_TASK_FACTS
    run: str = ""

    @staticmethod
    def upgrade(plain: dict[str, Any]) -> dict[str, Any]:
        """Convert a file without a format version to the current format."""
        return {"outputs": len(plain["classes"]), **plain} if "classes" in plain else plain


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a finished stage of a run.

    Args:
        seconds (float): wall time of the stage in seconds, interrupted attempts included.
        run (str): the run that it belongs to, as in :class:`StartFacts`; empty before it is kept.
    """

    #: Name of the stage, and of its file.
    stage: ClassVar[str]
    #: What the user can do where the file is damaged.
    advice: ClassVar[str] = "delete it to repeat the stage"

    seconds: float
    run: str = ""

    @staticmethod
    def upgrade(plain: dict[str, Any]) -> dict[str, Any]:
        """Convert a file without a format version to the current format."""
        return plain


@dataclass(frozen=True, kw_only=True)
class TrainOutcome(Outcome):
    """A trained supernet.

    Args:
        steps (int): steps of its training.
        method (str): name of the training method.
        label (str): name of the method in a report.
        classes (int | None): number of classes of an imported supernet; None if not imported.
        imported (str | None): name of the file that it was imported from; None if not imported.
    """

    stage: ClassVar[str] = "train"

    steps: int
    method: str = "uniform"
    label: str = ""
    classes: int | None = None
    imported: str | None = None


@dataclass(frozen=True, kw_only=True)
class BudgetOutcome:
    """The outcome of a search for one of several budgets, see :class:`SearchOutcome`."""

    maximum: Mapping[str, float]
    winner: Winner
    top: tuple[Candidate, ...]
    evaluated: int
    candidates: int
    exhausted: bool


@dataclass(frozen=True, kw_only=True)
class SearchOutcome(Outcome):
    """The outcome of a search; with several budgets, of the search for the largest one.

    Args:
        winner (Winner): best candidate; of a front the one with the highest score.
        top (tuple[Candidate, ...]): the best candidates, best first.
        candidates (tuple[Candidate, ...]): all candidates, by iteration and position.
        evaluated (int): number of candidates that were scored for this search.
        exhausted (bool): whether the search ended early for lack of further candidates.
        front (tuple[Candidate, ...]): the front, cheapest first; empty unless requested.
        budgets (tuple[BudgetOutcome, ...]): outcomes of several budgets, from the smallest.
        probabilities (Mapping): probability in [0, 1] by choice and option; empty unless trained.
        cost (str | None): name of the cost in the loss of theta; None without one.
        unit (float | None): unit of that cost, such as 1e6 for millions.
        stages (CandidateStages | None): stages of the candidates; None in former runs.
        settings (Mapping): settings and bounds of the search by section; empty in former runs.
    """

    stage: ClassVar[str] = "search"

    winner: Winner
    top: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    evaluated: int
    exhausted: bool
    front: tuple[Candidate, ...] = ()
    budgets: tuple[BudgetOutcome, ...] = ()
    probabilities: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cost: str | None = None
    unit: float | None = None
    stages: CandidateStages | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    upgrade = staticmethod(upgrade_search)

    def __post_init__(self) -> None:
        names = {frozenset(one.costs) for one in (*self.candidates, *self.top, *self.front)}
        if len(names) > 1:
            missing = sorted(frozenset.union(*names) - frozenset.intersection(*names))
            raise ValueError(f"a candidate lacks the cost {missing[0]}, which others have")

    @property
    def retrainings(self) -> dict[str, str]:
        """Stage of the run that retrains each network found, by architecture.

        It is ``retrain`` for the winner under the largest budget, and ``retrain-1``, ``retrain-2``
        and so on from the smallest budget. An architecture that wins under several budgets is
        trained once.
        """
        stages = {str(self.winner.architecture): "retrain"}
        for number, budget in enumerate(self.budgets, 1):
            stages.setdefault(str(budget.winner.architecture), f"retrain-{number}")
        return stages


@dataclass(frozen=True, kw_only=True)
class FinalistsOutcome(Outcome):
    """The best candidates after short trainings.

    Args:
        winner (Winner): finalist with the highest score of the last rung.
        finalists (tuple[Finalist, ...]): all finalists, in the order of the search.
    """

    stage: ClassVar[str] = "finalists"

    winner: Winner
    finalists: tuple[Finalist, ...]


@dataclass(frozen=True, kw_only=True)
class ShortOutcome(Outcome):
    """A network trained for a short while, and its scores on the validation images on the way."""

    stage: ClassVar[str] = "short"

    architecture: str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, kw_only=True)
class RetrainOutcome(Outcome):
    """A network that was trained and tested once.

    Args:
        architecture (str): architecture of the space, or the name of a published network.
        costs (Mapping[str, int]): costs by name.
        steps (int): steps of its training.
        test_score (float | None): score on the test images by the metric of the run.
        test_images (int | None): number of test images.
        teacher (str | None): identity of its teacher; None without one.
        weights (str): weights that it began from, ``scratch``, ``supernet`` or those of a file.
    """

    stage: ClassVar[str] = "retrain"

    architecture: str
    costs: Mapping[str, int]
    steps: int
    test_score: float | None = None
    test_images: int | None = None
    teacher: str | None = None
    weights: str = "scratch"

    upgrade = staticmethod(upgrade_retrain)


@dataclass(frozen=True, kw_only=True)
class PredictionsOutcome(Outcome):
    """The predictions of the retrained network on the test images."""

    stage: ClassVar[str] = "predictions"
    advice: ClassVar[str] = "restore it, or delete it to leave the predictions out of the report"

    predictions: Predictions


@dataclass(frozen=True, kw_only=True)
class CompareOutcome(Outcome):
    """Random networks that were retrained for comparison with the winner."""

    stage: ClassVar[str] = "compare"

    comparison: Comparison

    @staticmethod
    def upgrade(plain: dict[str, Any]) -> dict[str, Any]:
        """Convert a file without a format version to the current format."""
        return {"seconds": plain["seconds"], "comparison": upgrade_comparison(plain)}


@dataclass(frozen=True, kw_only=True)
class KnownOutcome(Outcome):
    """Known networks that were trained for comparison with the winner.

    Args:
        networks (tuple[KnownNetwork, ...]): the networks, in the order given.
        found_test_score (float): score of the winner on the test images.
    """

    stage: ClassVar[str] = "known"

    networks: tuple[KnownNetwork, ...]
    found_test_score: float


@dataclass(frozen=True, kw_only=True)
class DoctorOutcome(Outcome):
    """The outcome of the check, see :class:`spos.report.diagnosis.Diagnosis`."""

    stage: ClassVar[str] = "doctor"

    diagnosis: Diagnosis
