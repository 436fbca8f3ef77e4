"""Settings common to all stages of a run: its images, its devices, a network by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from spos._util.errors import UserError
from spos._util.settings import Settings


@dataclass(frozen=True)
class DataSettings(Settings):
    """The source of the images and their split.

    Args:
        source (str): data source, such as ``digits`` or ``folder:flowers``.
        validation (int | float): training images held out for the search, a number or a fraction.
        test (int | float): images held out for the test if the source has no test images, a number
            or a fraction.
        on_broken (str): handling of unreadable images, ``fail`` or ``skip``.
        stream (str): whether images are decoded in worker processes during training: ``auto``,
            ``always`` or ``never``.
        workers (int): number of worker processes of a streamed source, at least 0.
        mean (tuple[float, ...]): mean of each channel on the scale 0 to 1, subtracted from the
            images; empty for that of the training images.
        std (tuple[float, ...]): standard deviation of each channel, above 0, that images are
            divided by; empty for that of the training images.

    Raises:
        UserError: ``mean`` and ``std`` differ in length, or a deviation is not above 0.
    """

    section = "data"

    source: str = "digits"
    validation: int | float = 0.1
    test: int | float = 0.1
    on_broken: str = "fail"
    stream: str = "auto"
    workers: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.mean) != len(self.std) or any(value <= 0 for value in self.std):
            raise UserError(
                f"data.mean {self.mean} and data.std {self.std}: give one of each per channel, the "
                "deviations above 0, or neither"
            )


@dataclass(frozen=True)
class RunSettings(Settings):
    """Settings common to all stages of a run.

    Args:
        seed (int): seed of all randomness, at least 0.
        precision (str): precision of Lightning Fabric: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        channels_last (bool): whether tensors are stored in the memory format channels last, which
            is faster on most devices.
        evaluation_batch (int): batch size of evaluation and of batch-norm recalibration, at least
            2.
        calibration (int): training images for batch-norm recalibration, at least 2, rounded down to
            whole batches.
        save_every (float): seconds of training between checkpoints, at least 0.

    Raises:
        UserError: a value is out of range.
    """

    section = "run"

    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = True
    evaluation_batch: Annotated[int, Field(ge=2)] = 256
    calibration: Annotated[int, Field(ge=2)] = 20000
    save_every: Annotated[float, Field(ge=0, allow_inf_nan=True)] = 60.0


@dataclass(frozen=True)
class FinalistSettings(Settings):
    """Short trainings of the best candidates, of which the best one is retrained.

    Args:
        count (int): number of finalists; 0 or 1 retrains the best candidate of the search.
        share (float): share of the steps of the retraining that the last two finalists are trained
            for, in (0, 1]; the others are trained for less.
    """

    section = "finalists"

    count: Annotated[int, Field(ge=0)] = 0
    share: Annotated[float, Field(gt=0, le=1)] = 0.2


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """A network to train instead of the winner of a search.

    Args:
        name (str): name of a published network (:data:`spos.spaces.zoo.NETWORKS`), or an
            architecture of the space as a published name, option indices, or JSON of option names;
            empty for the winner.
        width (float): factor of all channels of a published network, above 0.
        weights (str): weights that the trainings of the winner and of the networks it is compared
            with begin from: ``scratch`` for fresh ones, or ``supernet`` for those of the supernet.
    """

    section = "network"

    name: str = ""
    width: Annotated[float, Field(gt=0)] = 1.0
    weights: Literal["scratch", "supernet"] = "scratch"
