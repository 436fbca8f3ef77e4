"""What the stages of a run are where its search trains the weights itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos.run.config import make_config, merge_sections
from spos.run.directory import RunDirectory
from spos.search import DIFFERENTIABLE


def without_training(
    directory: RunDirectory, given: Mapping[str, Any], stages: tuple[str, ...], reuse: Path | None
) -> tuple[str, ...]:
    """The stages that there are to do: with a differentiable algorithm the training is none.

    Args:
        directory: of the run.
        given: sections of the configuration.
        stages: asked for.
        reuse: a run to begin with, if any.

    Raises:
        UserError: the training alone, or another run to begin with, is asked for all the same.
    """
    # A copy of another run that was cut short has no configuration yet, and is made again.
    begun = reuse is None or directory.config_path.exists()
    stored = directory.stored() if begun else {}
    algorithm = make_config(merge_sections(stored, given)).search.algorithm
    if algorithm not in DIFFERENTIABLE:
        return stages
    if stages == ("train",):
        raise UserError(
            f"--algorithm {algorithm}: its search trains the weights, there is no supernet to "
            "train before; use spos search, or spos run for everything"
        )
    if reuse is not None:
        raise UserError(
            f"--reuse {reuse}: --algorithm {algorithm} trains weights of its own, leave it out"
        )
    return tuple(stage for stage in stages if stage != "train")
