"""A plan: the settings of a run that the user left open, each with its reason, and its times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spos._util.errors import UserError
from spos.cost.cost import format_cost
from spos.report.diagnosis import StageEstimate
from spos.run.config import Config, make_config, merge_sections
from spos.run.planning.speed import Speed
from spos.run.settings import read_constraint

#: Steps of the supernet and of its warm-up at least.
LEAST_STEPS = {"supernet.steps": 20, "supernet.warmup_steps": 0}
#: Setting that is chosen by the number of epochs.
COOLING = "differentiable.temperature_decay"


@dataclass(frozen=True)
class PlannedSetting:
    """A setting that was chosen for the user.

    Args:
        setting (str): section and name, such as ``layout.image_size``.
        value (Any): its value.
        reason (str): why, in a few words; empty if it follows from another choice.
    """

    setting: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a run will do, and how long it takes.

    Args:
        seconds (float | None): time that the user gave; None without.
        spent (float): seconds that the plan itself took, and the images, once they are read.
        images (int): images to train on, without those of the test.
        flops (float): multiply-adds of a random network.
        step_seconds (float): expected time of a step of the supernet.
        speed (Speed): measured speed of this machine.
        choices (tuple[PlannedSetting, ...]): settings that are fixed from the start.
        estimates (tuple[StageEstimate, ...]): expected time of each stage.
        compare (int | None): number of random networks to compare with; None until it is known
            how long a training takes.
        fitted (bool): whether the later stages are fitted to the time when they begin; otherwise
            their settings are among the choices, or those of the preset.
        epoch (int | None): steps of an epoch, where a temperature falls with each; None elsewhere.
        processes (int): processes that evaluate candidates and train networks at the same time.
        parallel (float): work that they do in the time in which this process alone does 1.
    """

    seconds: float | None
    spent: float
    images: int
    flops: float
    step_seconds: float
    speed: Speed
    choices: tuple[PlannedSetting, ...]
    estimates: tuple[StageEstimate, ...]
    compare: int | None = None
    fitted: bool = True
    epoch: int | None = None
    processes: int = 1
    parallel: float = 1.0

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Add the chosen settings to those that the user gave.

        Raises:
            UserError: a limit is below that of the plan.
        """
        chosen = as_sections(self.choices)
        planned = chosen.get("constraint", {}).get("maximum")
        own = read_constraint(given.get("constraint", {})).get("maximum")
        for cost, bound in own.items() if planned and own else ():
            if bound < planned.get(cost, math.inf):
                there = format_cost(cost, planned[cost]) if cost in planned else "no limit"
                raise UserError(
                    f"{cost} at most {format_cost(cost, bound)}: the run was planned for {there}; "
                    "give the same limits, or another --out"
                )
        # The plan's limits contain the user's.
        limits = {"constraint": chosen["constraint"]} if "constraint" in chosen else {}
        return merge_sections(merge_sections(chosen, given), limits)

    def after(self, seconds: float) -> Plan:
        """The plan once something else has taken time before the training.

        Example:
            >>> from spos.run.planning.speed import Line
            >>> line = Line(0.0, 1.0)
            >>> steps = (PlannedSetting("supernet.steps", 100, "because"),)
            >>> train = (StageEstimate("train", 50.0),)
            >>> plan = Plan(110.0, 10.0, 64, 1e6, 0.5, Speed(1, line, line), steps, train)
            >>> plan.after(20.0).choices[0].value, plan.after(20.0).total
            (80, 70.0)
        """
        if self.seconds is None:
            return replace(self, spent=self.spent + seconds)
        before = self.seconds - self.spent
        rest = min(1.0, max(before - seconds, before / 10) / before) if before > 0 else 1.0
        choices = tuple(
            replace(one, value=max(int(one.value * rest), least))
            if (least := LEAST_STEPS.get(one.setting)) is not None
            else one
            for one in self.choices
        )
        return replace(
            self,
            spent=self.spent + seconds,
            choices=self._cooled(choices),
            estimates=tuple(replace(one, seconds=one.seconds * rest) for one in self.estimates),
        )

    def begun(self, reading: float) -> Plan:
        """The plan once the images are read, which took some seconds."""
        left = tuple(one for one in self.estimates if one.stage != "read")
        return replace(self, spent=self.spent + reading, estimates=left)

    def _cooled(self, choices: tuple[PlannedSetting, ...]) -> tuple[PlannedSetting, ...]:
        """Let a temperature fall as far in fewer epochs."""
        before, after = (
            as_sections(ones).get("supernet", {}).get("steps") for ones in (self.choices, choices)
        )
        if self.epoch is None or before is None:
            return choices
        factor = count_falls(before, self.epoch) / max(count_falls(after, self.epoch), 1)
        return tuple(
            replace(one, value=one.value * factor) if one.setting == COOLING else one
            for one in choices
        )

    @property
    def machine(self) -> str:
        """What was measured: the number of threads, and what several processes gain."""
        several, threads = "", self.speed.threads
        if self.processes > 1:
            several = f"; {self.processes} processes do {self.parallel:.1f} times as much"
        return f"measured with {threads} thread{'s' * (threads > 1)}{several}"

    @property
    def total(self) -> float:
        """Expected time of the whole run in seconds."""
        return self.spent + sum(one.seconds for one in self.estimates)


def side_by_side(times: Sequence[float], processes: int, parallel: float) -> float:
    """Time that trainings take of which several run at the same time, the longest ones first.

    Args:
        times (Sequence[float]): time of each, alone in this process.
        processes (int): number of processes, at least 1.
        parallel (float): work that they do in the time in which this process alone does 1.

    Example:
        >>> side_by_side([1.0, 1.0, 2.0], 2, 1.6), side_by_side([], 2, 1.6)
        (2.5, 0.0)
    """
    ends = [0.0] * processes
    for seconds in sorted(times, reverse=True):
        ends[ends.index(min(ends))] += seconds
    return max(ends) * processes / parallel


def train_all(
    others: Sequence[float], processes: int, parallel: float, *, short: bool = False
) -> tuple[float, float]:
    """Times of the training of the winner, and of others after it.

    Where there are several processes, the first of the others is trained beside the winner, or all
    of them if they are shorter.

    Args:
        others (Sequence[float]): times of the others, alone in this process, if the winner takes 1.
        processes (int): number of processes, at least 1.
        parallel (float): work that they do in the time in which this process alone does 1.
        short (bool): whether they are shorter than that of the winner.

    Example:
        >>> train_all([1.0, 1.0, 1.0], 1, 1.0), train_all([1.0, 1.0, 1.0], 2, 1.6)
        ((1.0, 3.0), (1.25, 1.25))
        >>> train_all([0.25] * 4, 2, 1.6, short=True)
        (1.25, 0.0)
    """
    beside = (len(others) if short else 1) if processes > 1 else 0
    first = side_by_side([1.0, *others[:beside]], processes, parallel) if others else 1.0
    return first, side_by_side(others[beside:], processes, parallel)


def as_sections(choices: tuple[PlannedSetting, ...]) -> dict[str, Any]:
    """Arrange settings by section.

    Example:
        >>> limit = PlannedSetting("constraint.maximum", {"flops": 5}, "")
        >>> as_sections((limit, PlannedSetting("run.seed", 1, "")))
        {'constraint': {'maximum': {'flops': 5}}, 'run': {'seed': 1}}
    """
    sections: dict[str, Any] = {}
    for choice in choices:
        section, _, name = choice.setting.partition(".")
        sections.setdefault(section, {})[name] = choice.value
    return sections


def count_falls(steps: int, epoch: int) -> int:
    """Number of epochs that a training begins after its first one.

    Args:
        steps (int): steps of the training, at least 1.
        epoch (int): steps of an epoch, at least 1.

    Example:
        >>> count_falls(10, 10), count_falls(11, 10)
        (0, 1)
    """
    return (steps - 1) // epoch


def warm_up(steps: int) -> int:
    """Steps of the warm-up of a training.

    Example:
        >>> warm_up(100), warm_up(100_000)
        (5, 200)
    """
    return min(steps // 20, 200)


def is_open(given: Mapping[str, Any]) -> bool:
    """Whether the user left the space and its layout to the plan.

    Example:
        >>> is_open({"data": {"source": "digits"}}), is_open({"space": {"preset": "tiny"}})
        (True, False)
    """
    named = given.get("network", {}).get("name")
    return not given.get("space") and not given.get("layout") and not named


@dataclass
class Draft:
    """What the user gave, and what was chosen so far.

    Args:
        given (Mapping): settings by section that the user gave; they are never replaced.

    Example:
        >>> draft = Draft({"supernet": {"steps": 7}})
        >>> draft.choose("supernet.steps", 100, "long"), draft.choose("run.seed", 3, "odd")
        (7, 3)
        >>> draft.config().supernet.steps, [choice.setting for choice in draft.choices]
        (7, ['run.seed'])
    """

    given: Mapping[str, Any]
    choices: list[PlannedSetting] = field(init=False, default_factory=list)

    def choose(self, setting: str, value: Any, reason: str) -> Any:
        """Choose a setting, unless the user gave it; return the value that applies.

        A limit is chosen in any case: it contains the user's.
        """
        section, _, name = setting.partition(".")
        given = self.given.get(section, {})
        if name in given and setting != "constraint.maximum":
            return given[name]
        self.choices.append(PlannedSetting(setting, value, reason))
        return value

    def choose_warm_up(self, section: str, steps: int) -> None:
        """Choose the steps of warm-up of a training."""
        self.choose(f"{section}.warmup_steps", warm_up(steps), "")

    def config(self) -> Config:
        """The configuration by what is given and chosen."""
        return make_config(merge_sections(as_sections(tuple(self.choices)), self.given))
