"""Settings of a run: its images, its devices, a network by name, the bounds of its search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
from typing import Annotated, Any, Literal

from pydantic import Field

from spos._util.errors import UserError
from spos._util.settings import Settings
from spos.cost import Constraint
from spos.cost.cost import find_cost


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
        workers (int): number of worker processes of a streamed source, 0 to 1024.
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
    on_broken: Literal["fail", "skip"] = "fail"
    stream: Literal["auto", "always", "never"] = "auto"
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
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
        seed (int): seed of all randomness, 0 to 1e18; that of the search as well, unless
            ``search.seed`` is given.
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
            with begin from: ``scratch`` for fresh ones, ``supernet`` for those of the supernet, or
            ``file`` for those of a file.
        init (str): path of that file; empty for no file.
        init_sha256 (str): SHA-256 of its content, which the run computes.
        hold_out (bool): whether these trainings do without the validation images, so that their
            score on them shows how well they do on images that they have not seen.
        compare_share (float): share of the steps of the retraining for which the winner and random
            networks are trained to be compared, above 0; 1 to compare with the retraining itself.
    """

    section = "network"

    name: str = ""
    width: Annotated[float, Field(gt=0)] = 1.0
    weights: Literal["scratch", "supernet", "file"] = "scratch"
    init: str = ""
    init_sha256: str = ""
    hold_out: bool = False
    compare_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.weights == "file") != bool(self.init):
            raise UserError(
                f"network.weights {self.weights} and network.init '{self.init}': give "
                "--retrain-from FILE for weights of a file"
            )
        if self.width != 1 and not self.name:
            raise UserError(
                f"network.width {self.width:g}: applies to a network by name, but --network gives "
                "none; the width of a search space is --width"
            )


@dataclass(frozen=True)
class ConstraintSettings(Settings):
    """The bounds of a search, and the storage of its evaluations.

    Args:
        maximum (Mapping[str, float]): largest value allowed, by cost.
        minimum (Mapping[str, float]): least value allowed, by cost.
        storage (str): Optuna storage URL, see :func:`spos.search.open_storage`; empty for a SQLite
            file in the run directory.
        latency_table (str): path of a file written by ``spos latency``; it adds the cost
            ``latency``.
        latency_device (str): device that the table was measured on; empty for this device.
        budgets (Mapping[str, tuple[float, ...]]): several largest values of one cost, each of which
            gets a search of its own. The other bounds apply to all searches.

    Raises:
        UserError: the budgets are of several costs, or ``maximum`` bounds the same cost.
    """

    section = "constraint"

    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    storage: str = ""
    latency_table: str = ""
    latency_device: str = ""
    budgets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.budgets) > 1:
            raise UserError(f"constraint.budgets {', '.join(self.budgets)}: allowed is one cost")
        for cost in self.budgets.keys() & self.maximum.keys():
            raise UserError(
                f"constraint.budgets and constraint.maximum bound {cost}: give one of them "
                f"(--budgets {cost}=... or --max-{cost}), not both"
            )
        if self.latency_device and not self.latency_table:
            raise UserError(
                f"--latency-device {self.latency_device} is the device of a latency table; "
                "give --latency-table FILE as well"
            )

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints of all searches, from the smallest budget; a single one without budgets.

        Example:
            >>> given = ConstraintSettings(budgets={"flops": (40e6, 60e6)})
            >>> [str(constraint) for constraint in given.constraints]
            ['flops <= 40.00M', 'flops <= 60.00M']
        """
        return tuple(
            # The cost of the budgets comes first, because the first cost is the primary one.
            Constraint(maximum={cost: value, **self.maximum}, minimum=self.minimum)
            for cost, values in self.budgets.items()
            for value in values
        ) or (Constraint(maximum=self.maximum, minimum=self.minimum),)


def read_constraint(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the quantities among the settings of a constraint, such as 330M, to numbers.

    Args:
        values (Mapping): settings as read from YAML.

    Raises:
        UserError: a bound is not a number, or a budget is given twice.

    Example:
        >>> read_constraint({"maximum": {"flops": "330M"}})
        {'maximum': {'flops': 330000000.0}}
        >>> read_constraint({"budgets": {"flops": ["60M", "40M"]}})
        {'budgets': {'flops': (40000000.0, 60000000.0)}}
    """
    read = dict(values)
    readers = {"maximum": read_bound, "minimum": read_bound, "budgets": _budgets}
    for name, reader in readers.items():
        if isinstance(values.get(name), Mapping):
            read[name] = {
                str(cost): reader(str(cost), value, f"constraint.{name}.{cost}")
                for cost, value in values[name].items()
            }
    return read


def parse_budgets(text: str) -> dict[str, tuple[float, ...]]:
    """Parse budgets as they are written on the command line.

    Args:
        text (str): a cost and its budgets, such as ``flops=40M,60M,80M``.

    Raises:
        UserError: the text has another form, or a budget is given twice.

    Example:
        >>> parse_budgets("flops=60M,40M")
        {'flops': (40000000.0, 60000000.0)}
    """
    cost, equals, values = text.partition("=")
    cost = cost.strip()
    if not equals or not cost or not values.strip() or "=" in values:
        raise UserError(
            f"--budgets {text}: write one cost and its limits, such as --budgets flops=40M,60M,80M"
        )
    return {cost: _budgets(cost, values.split(","), f"--budgets {cost}")}


def _budgets(cost: str, given: Any, key: str) -> tuple[float, ...]:
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, Sequence):
        given = [given]
    values = sorted(read_bound(cost, value, key) for value in given)
    if not values:
        raise UserError(f"{key} is empty: give limits such as 40M,60M,80M")
    for value, following in pairwise(values):
        if value == following:
            raise UserError(f"{key}: {find_cost(cost).format(value)} is given twice")
    return tuple(values)


def read_bound(cost: str, value: Any, key: str) -> float:
    """Parse a bound of a cost, a quantity in its unit or 0.

    Args:
        cost (str): name of the cost.
        value (Any): quantity such as ``"330M"`` or ``"4ms"``, or a number; times are in
            nanoseconds.
        key (str): name of the setting in error messages.

    Raises:
        UserError: the value is not a quantity in the unit of the cost.

    Example:
        >>> read_bound("latency", "4ms", "--max-latency"), read_bound("strides", "0", "--max")
        (4000000.0, 0.0)
    """
    number = isinstance(value, (str, Real)) and not isinstance(value, bool)
    if not number:
        raise UserError(f"{key}: {value!r} is not a number such as 330M")
    # A count may be bounded by 0.
    return 0.0 if str(value).strip() in ("0", "0.0") else find_cost(cost).parse(value, key)
