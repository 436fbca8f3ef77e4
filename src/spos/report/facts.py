"""How a run came to its result: the space, the images, the bounds, the training and the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field

from spos._util.errors import nearest
from spos._util.settings import LARGEST_SIDE

#: The stages of a run, as the report calls them.
RUN_STAGES = {
    "plan": "Planning and reading",
    "train": "Supernet training",
    "search": "Search",
    "finalists": "Finalists",
    "retrain": "Retraining",
    "known": "Known networks",
    "compare": "Comparison",
}


def _known(stage: str) -> str:
    if stage not in RUN_STAGES:
        raise ValueError(f"unknown stage: {nearest(stage, RUN_STAGES)}")
    return stage


#: The name of one of them, in a file that may be damaged.
StageName = Annotated[str, AfterValidator(_known)]


MOST_OUTPUTS = 1 << 31
"""Numbers that a network computes for an image: sizes beyond these overflow those of a tensor."""


@dataclass(frozen=True)
class ChoiceFacts:
    """A choice of the search space and its options."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class SpaceFacts:
    """The search space; ``size`` is the number of its architectures, which may exceed 64 bits."""

    name: str
    preset: str
    size: str
    choices: tuple[ChoiceFacts, ...] = ()


@dataclass(frozen=True)
class DataFacts:
    """The images: where they come from, how many there are, and what was decided about them.

    ``train``, ``validation`` and ``test`` are numbers of images; ``test`` is None until they are
    read, at the very end.
    """

    source: str
    classes: tuple[str, ...]
    outputs: Annotated[int, Field(ge=1, le=MOST_OUTPUTS)]
    image_size: Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
    channels: Annotated[int, Field(ge=1, le=3)]
    train: Annotated[int, Field(ge=0)]
    validation: Annotated[int, Field(ge=0)]
    fingerprint: str
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    test: int | None = None

    def __post_init__(self) -> None:
        if self.classes and len(self.classes) != self.outputs:
            raise ValueError(f"{len(self.classes)} classes, {self.outputs} outputs")


@dataclass(frozen=True)
class ConstraintFacts:
    """The bounds of the search, as a sentence and by cost, and why a plan chose one."""

    text: str = ""
    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class LatencyFacts:
    """On what the latencies of a run were measured."""

    unit: str
    backend: str
    accelerator: str
    device: str
    threads: int
    batch: int
    channels_last: bool


@dataclass(frozen=True)
class TrainFacts:
    """The training of the supernet: its steps, its method, and what the method is called.

    Args:
        steps (int): steps of each supernet.
        method (str): name of the method.
        label (str): what a report calls it.
        members (int): number of supernets, whose scores are averaged.
        reused (bool): whether another run trained it.
    """

    steps: int
    method: str = "uniform"
    label: str = ""
    members: int = 1
    reused: bool = False


@dataclass(frozen=True)
class SearchFacts:
    """How the network was searched for.

    Args:
        algorithm (str): name of the algorithm.
        label (str): what the algorithm is called in a sentence.
        method (str): the training method that the algorithm needs, if any; the supernet was then
            trained together with the choice.
        evaluated (int): candidates that this search scored.
        candidates (int | None): all candidates that it compared, those that were scored before it
            included; None with several budgets, whose searches share candidates, and in runs of
            earlier versions.
        exhausted (bool): whether it ended early for lack of further candidates.
        population (int | None): candidates an iteration, where the algorithm has iterations.
        iterations (int | None): iterations, likewise.
        parents (int | None): parents of an iteration, likewise.
        pareto (tuple[str, ...]): costs that were minimised beside the score.
    """

    algorithm: str
    label: str
    evaluated: int
    exhausted: bool
    candidates: int | None = None
    method: str = ""
    population: int | None = None
    iterations: int | None = None
    parents: int | None = None
    pareto: tuple[str, ...] = ()
