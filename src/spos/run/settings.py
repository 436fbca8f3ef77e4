"""Settings of a run that are no stage's own: its images, its devices, a network by name."""

from __future__ import annotations

from dataclasses import dataclass

from spos._util.errors import UserError, nearest

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from and how they are split.

    Args:
        source: such as ``digits`` or ``folder:flowers``.
        validation: images split off the training images for the search: a number, or a fraction.
        test: images split off where the source has no test images of its own.
        on_broken: ``fail`` or ``skip``.
        stream: ``auto``, ``always`` or ``never``: decode in worker processes while training.
        workers: worker processes of a streamed source.
        mean: of each channel on the scale 0 to 1, to subtract; the training images' if empty.
        std: of each channel, to divide by; the training images' if empty.
    """

    source: str = "digits"
    validation: int | float = 0.1
    test: int | float = 0.1
    on_broken: str = "fail"
    stream: str = "auto"
    workers: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or any(value <= 0 for value in self.std):
            raise UserError(
                f"data.mean {self.mean} and data.std {self.std}: give one of each per channel, the "
                "deviations above 0, or neither"
            )


@dataclass(frozen=True)
class RunSettings:
    """What holds for every stage.

    Args:
        seed: of everything random.
        precision: of Lightning Fabric: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        channels_last: lay images out with channels last, which is faster on most devices.
        evaluation_batch: images a batch in evaluation, and in batch-norm recalibration.
        calibration: training images for the recalibration of batch norm; whole batches are used.
        save_every: seconds of training between checkpoints.
    """

    seed: int = 0
    precision: str = "32-true"
    channels_last: bool = True
    evaluation_batch: int = 256
    calibration: int = 20000
    save_every: float = 60.0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(
                f"unknown precision '{self.precision}': {nearest(self.precision, PRECISIONS)}"
            )
        least_values = {"seed": 0, "evaluation_batch": 2, "calibration": 2, "save_every": 0}
        for name, least in least_values.items():
            if not getattr(self, name) >= least:
                raise UserError(f"run.{name} {getattr(self, name)}: must be at least {least}")


@dataclass(frozen=True)
class NetworkSettings:
    """A network to train instead of one that a search finds.

    Args:
        name: of a published network (:data:`spos.spaces.zoo.NETWORKS`), or an architecture of the
            space: a published one by name, option indices, or JSON of names. Empty: the winner's.
    """

    name: str = ""
