"""What identifies the evaluations of a run, so that none is taken for one of another run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from spos.nn.supernet import Supernet
from spos.run.config import SETTINGS_WITHOUT_EFFECT
from spos.run.context import Context
from spos.run.task import DEFAULT_TASK_FACTS
from spos.training.checkpoint import digest


def evaluation_fingerprint(context: Context, supernets: Sequence[Supernet]) -> str:
    """Hash everything that the score of an architecture depends on.

    Args:
        context (Context): the run.
        supernets (Sequence[Supernet]): trained supernets of the run.

    Returns:
        16 hexadecimal digits; evaluations with the same fingerprint agree.
    """
    plain = context.config.as_plain()
    for section, name in (setting.split(".") for setting in SETTINGS_WITHOUT_EFFECT):
        del plain[section][name]
    parts: dict[str, Any] = {name: plain[name] for name in ("layout", "run")}
    parts["data"] = context.data.fingerprint
    # Early versions recalibrated with batches in the order of the source.
    parts["calibration"] = "shuffled"
    if context.fitness.identity != DEFAULT_TASK_FACTS.fitness:
        parts["fitness"] = context.fitness.identity
    if context.config.search.racing:
        # By another order of the images, so other in the last digits.
        parts["racing"] = True
    first, *further = supernets
    if further:
        parts["further"] = [digest(supernet.state_dict(), "") for supernet in further]
    return digest(first.state_dict(), json.dumps(parts, sort_keys=True))[:16]
