"""The settings of a plan while they are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spos.run.config import Config, make_config, merge_sections
from spos.run.planning.plan import Choice, as_sections


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

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.choices: list[Choice] = []

    def choose(self, setting: str, value: Any, reason: str) -> Any:
        """Choose a setting, unless the user gave it; return the value that applies.

        A limit is chosen in any case: it contains the user's.
        """
        section, _, name = setting.partition(".")
        given = self.given.get(section, {})
        if name in given and setting != "constraint.maximum":
            return given[name]
        self.choices.append(Choice(setting, value, reason))
        return value

    def choose_warm_up(self, section: str, steps: int) -> None:
        """Choose the steps of warm-up of a training."""
        self.choose(f"{section}.warmup_steps", min(steps // 20, 200), "")

    def config(self) -> Config:
        """The configuration by what is given and chosen."""
        return make_config(merge_sections(as_sections(tuple(self.choices)), self.given))
