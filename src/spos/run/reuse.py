"""The start of a run with the trained supernet and the evaluations of another one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from spos._util.errors import UserError
from spos._util.files import read_own, write_atomically, write_json
from spos.run.config import (
    SECTIONS,
    STAGE_SECTIONS,
    find_difference,
    find_required_method,
    make_config,
    merge_sections,
)
from spos.run.directory import RunDirectory
from spos.search.sqlite import copy_database


def warm_start(directory: RunDirectory, other: RunDirectory, given: Mapping[str, Any]) -> None:
    """Copy the trained supernet and the evaluations of another run, unless already done.

    Raises:
        UserError: the other run has no trained supernet, or the run was started without it.
    """
    flag = f"--reuse {other.path}"
    origin = {"reused": str(other.path.resolve())}
    mark = directory.path / "reused.json"
    if directory.config_path.exists():
        if mark.exists() and read_own(mark) == origin:
            return
        raise UserError(f"{flag}: {directory.path} was already started without it")
    if not other.is_finished("train") or not (other.path / "supernet").is_dir():
        raise UserError(f"{flag}: it has no trained supernet")
    stored = other.read_config()
    kept = {name: stored[name] for name in STAGE_SECTIONS["train"] if name in stored}
    wanted, learned = (
        str(sections.get("search", {}).get("algorithm", "")) for sections in (given, stored)
    )
    if wanted and find_required_method(wanted):
        raise UserError(
            f"{flag}: --algorithm {wanted} trains its own weights; leave one of the two out"
        )
    if learned and find_required_method(learned):
        raise UserError(
            f"{flag}: its supernet was trained jointly with the architecture by --algorithm "
            f"{learned}; give a run whose supernet was trained by single paths"
        )
    config = make_config(merge_sections(kept, given))
    difference = find_difference(kept, config.as_plain(), SECTIONS)
    if difference:
        raise UserError(f"{flag}: its supernet has other settings: {difference}")
    shutil.copytree(other.path / "supernet", directory.path / "supernet", dirs_exist_ok=True)
    for name in ("data.json", "train.json"):
        write_atomically(directory.path / name, (other.path / name).read_bytes())
    if other.study_path.exists():
        copy_database(other.study_path, directory.study_path)
    write_json(mark, origin)
    # Last, because a run counts as started once this file exists.
    directory.write_config(kept)
