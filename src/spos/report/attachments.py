"""What the page of a run shows besides its result, its candidates and its curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spos.report.result import StageCosts
from spos.space import Architecture


@dataclass(frozen=True)
class Mistake:
    """A test image that was classified wrongly.

    Args:
        index (int): place of the image among the test images, from 0.
        true (int): its class.
        predicted (int): the class that the network gave it.
        probability (float): probability of the predicted class, in [0, 1].
        true_probability (float): probability of the true class, in [0, 1].
        image (str): the image, reduced, as a PNG file in Base64.
    """

    index: int
    true: int
    predicted: int
    probability: float
    true_probability: float
    image: str


@dataclass(frozen=True)
class Predictions:
    """The predictions of the network on the test images.

    Args:
        classes (tuple[str, ...]): names of the classes, in the order of their numbers.
        counts (tuple[tuple[int, int, int], ...]): true class, predicted class, and the number of
            images, where there are any.
        mistakes (tuple[Mistake, ...]): the worst-classified images, the lowest probability of the
            true class first.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]
    mistakes: tuple[Mistake, ...]

    def __post_init__(self) -> None:
        numbers = {number for true, given, _ in self.counts for number in (true, given)}
        numbers |= {number for one in self.mistakes for number in (one.true, one.predicted)}
        if not numbers <= set(range(len(self.classes))):
            raise ValueError(f"a class that is none of the {len(self.classes)}")


@dataclass(frozen=True)
class CandidateStages:
    """The stages of the candidates of a search.

    Args:
        distinct (tuple[StageCosts, ...]): each different stage once.
        places (Mapping[str, str]): places of the stages of each architecture in ``distinct``, such
            as ``"0,3,7"``.
    """

    distinct: tuple[StageCosts, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = set(map(str, range(len(self.distinct))))
        if not all(known.issuperset(places.split(",")) for places in self.places.values()):
            raise ValueError(f"a stage that is none of the {len(known)}")

    def of(self, architecture: Architecture) -> list[StageCosts]:
        """The stages of an architecture, from input to output; empty where they are unknown."""
        known = self.places.get(str(architecture))
        return [self.distinct[int(place)] for place in known.split(",")] if known else []


@dataclass(frozen=True)
class Attachments:
    """What belongs to a run besides its result.

    Args:
        run (str): path of the run directory, as the user gave it; empty if it is not known.
        settings (str): text of its ``config.yaml``.
        predictions (Predictions | None): what its network says of the test images.
    """

    run: str = ""
    settings: str = ""
    predictions: Predictions | None = None
