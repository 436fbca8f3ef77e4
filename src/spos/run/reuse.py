"""The start of a run with a trained supernet: that of another run, or a published one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from spos._util.errors import UserError
from spos._util.records import read_record, write_record
from spos._util.settings import show_value
from spos.run.config import STAGE_SECTIONS, find_difference, make_config, merge_sections
from spos.run.costs import LATENCY_TABLE
from spos.run.directory import RunDirectory
from spos.run.initial import KINDS
from spos.run.outcome import StartFacts, TrainOutcome
from spos.run.passwords import refuse_password
from spos.run.started import reused_run
from spos.search import ALGORITHMS
from spos.search.sqlite import copy_database
from spos.spaces import family
from spos.spaces.official import INPUT_MEAN, INPUT_STD, classes_of, load_official, to_supernet
from spos.training.checkpoint import Checkpoints
from spos.training.recipe import SupernetRecipe


@dataclass(frozen=True)
class _Reused:
    """The run that another one started with: its folder, and the digest of its supernet."""

    reused: str = ""
    supernet: str = ""


#: File that says which run another one started with.
REUSED = "reused.json"
#: Preset of a published supernet.
PRESET = "imagenet"
#: Settings that fit the time of a run, and are not taken over by a run that has a time of its own.
FITTED = {"search": ("population", "iterations", "parents"), "retrain": ("steps", "warmup_steps")}


class Reuse(NamedTuple):
    """What a run takes over from another one.

    Args:
        settings (dict): the given settings, with those of the other run that are not given.
        told (str | None): which of them differ, in words; None if that was told before.
        undo (Callable | None): function that removes the copy; None if it was there before.
    """

    settings: dict[str, Any]
    told: str | None = None
    undo: Callable[[], None] | None = None


def warm_start(
    directory: RunDirectory, other: RunDirectory, given: Mapping[str, Any], *, timed: bool = False
) -> Reuse:
    """Copy the trained supernet and the evaluations of another run, unless already done.

    Args:
        directory (RunDirectory): directory of the run.
        other (RunDirectory): directory of the run whose supernet is reused.
        given (Mapping): settings by section.
        timed (bool): whether the settings in :data:`FITTED` are left out.

    Raises:
        UserError: the other run has no trained supernet, the run was started without it, or a given
            address has a password.
    """
    flag = f"--reuse {other.path}"
    mark = directory.path / REUSED
    if directory.config_path.exists():
        # Recognised by its supernet, because a folder of runs may be moved.
        known = read_record(_Reused, mark) if mark.exists() else _Reused()
        place = str(other.path.resolve())
        if not known.reused or (place != known.reused and known.supernet != _identify(other)):
            raise UserError(f"{flag}: {directory.path} was already started without it")
        if directory.is_finished(TrainOutcome.stage):
            # A stage that was started keeps its settings, whatever became of the other run.
            own = directory.read_config()
            stored = merge_sections(read_reused(other, timed=timed), own)
            settings = take_over(stored, given, other)
            # Its table is named by the place where the other run was then.
            table = own.get("constraint", {}).get("latency_table")
            if table and "latency_table" not in given.get("constraint", {}):
                settings["constraint"]["latency_table"] = table
            return Reuse(settings)
        # Its process was killed while it copied.
    refuse_password(given)
    check_reusable(other, given)
    stored = read_reused(other, timed=timed)
    trained = {name: stored[name] for name in STAGE_SECTIONS["train"] if name in stored}
    difference = find_difference(trained, make_config(merge_sections(trained, given)).as_plain())
    if difference:
        raise UserError(f"{flag}: its supernet has other settings: {difference}")
    settings = take_over(stored, given, other)
    config = make_config(settings)
    plain, folders = config.as_plain(), config.supernet.folders
    facts, outcome = _check_whole(other, config.supernet, flag)
    # Two runs of one supernet are two: what one of them found is not that of the other.
    facts = facts and replace(facts, run=reused_run(facts.run, config))
    made = [*(directory.path / folder for folder in folders), directory.study_path, mark]
    made += [directory.config_path, *map(directory.stage_path, ("data", "train"))]
    made = [path for path in made if not path.exists()]
    try:
        write_record(mark, _Reused(str(other.path.resolve()), _identify(other)))
        # That of an attempt that was killed may name another run than the settings.
        directory.data_path.unlink(missing_ok=True)
        # Only what the supernet was trained with: a refused bound can be mended.
        directory.write_config(trained, facts.run if facts else "")
        if other.study_path.exists():
            copy_database(other.study_path, directory.study_path)
        if facts is not None:
            write_record(directory.data_path, facts)
        for folder in folders:
            loaded = other.checkpoints(folder).load()
            assert loaded is not None, "it was checked"
            here = directory.checkpoints(folder)
            here.save(loaded.step, loaded.tensors, loaded.metadata)
        # The outcome last: until it is there, all is copied again.
        directory.finish(outcome)
    except BaseException:
        _remove(made)
        raise
    different = [
        f"{section}.{name} {show_value(value)} there, {show_value(plain[section][name])} here"
        for section, values in stored.items()
        for name, value in values.items()
        if name in plain[section] and plain[section][name] != value
    ]
    rest = "everything else as there" if different else "all settings as there"
    return Reuse(settings, f"{flag}: {'; '.join([*different, rest])}", partial(_remove, made))


def _remove(made: Sequence[Path]) -> None:
    """Leave nothing behind of a run that did not start."""
    for path in made:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def check_copied(directory: RunDirectory) -> None:
    """Check that a run which another one was copied to has all of it.

    Args:
        directory (RunDirectory): directory of the run.

    Raises:
        UserError: the copy was cut short.
    """
    mark = directory.path / REUSED
    if mark.exists() and not directory.is_finished(TrainOutcome.stage):
        place = read_record(_Reused, mark).reused
        raise UserError(f"{directory.path}: the copy of another run was cut short: --reuse {place}")


def _check_whole(
    other: RunDirectory, recipe: SupernetRecipe, flag: str
) -> tuple[StartFacts | None, TrainOutcome]:
    """Read what is about to be copied, and check that the rest can be read."""
    facts, outcome = other.start_facts(), other.outcome(TrainOutcome)
    assert outcome is not None, "it has a trained supernet"
    for folder in recipe.folders:
        loaded = other.checkpoints(folder).load()
        if loaded is None or loaded.step < recipe.steps:
            damaged = "; ".join(loaded.damaged) if loaded else ""
            step = 0 if loaded is None else loaded.step
            raise UserError(
                f"{flag}: its {folder} is not whole: its checkpoint is at step {step} of "
                f"{recipe.steps}{damaged and f' ({damaged})'}"
            )
    return facts, outcome


def read_reused(other: RunDirectory, *, timed: bool = False) -> dict[str, Any]:
    """Read the settings of a run whose supernet is reused.

    Args:
        other (RunDirectory): directory of the run.
        timed (bool): whether the settings in :data:`FITTED` are left out.
    """
    stored = other.read_config()
    for section, names in FITTED.items() if timed else ():
        for name in names:
            stored.get(section, {}).pop(name, None)
    return stored


def check_reusable(other: RunDirectory, given: Mapping[str, Any]) -> None:
    """Check that a run has a trained supernet, and one of single paths.

    Args:
        other (RunDirectory): directory of the run.
        given (Mapping): settings by section of the run that is to reuse it.

    Raises:
        UserError: it is missing or has none, or one of the two runs trains the architecture with
            the weights.
    """
    flag = f"--reuse {other.path}"
    if not other.path.exists():
        raise UserError(f"{flag}: no such folder")
    if not other.is_finished("train") or not (other.path / "supernet").is_dir():
        raise UserError(f"{flag}: it has no trained supernet")
    stored = other.read_config()
    wanted, learned = (
        str(sections.get("search", {}).get("algorithm", "")) for sections in (given, stored)
    )
    if wanted and ALGORITHMS.find(wanted).method:
        raise UserError(
            f"{flag}: --algorithm {wanted} trains its own weights; leave one of the two out"
        )
    if learned and ALGORITHMS.find(learned).method:
        raise UserError(
            f"{flag}: its supernet was trained jointly with the architecture by --algorithm "
            f"{learned}; give a run whose supernet was trained by single paths"
        )


def is_fresh(directory: RunDirectory) -> bool:
    """Whether a run was warm-started and has done nothing since."""
    if not (directory.path / REUSED).exists():
        return False
    return not directory.read_config().keys() - set(STAGE_SECTIONS["train"])


def take_over(
    stored: Mapping[str, Any], given: Mapping[str, Any], other: RunDirectory
) -> dict[str, Any]:
    """Merge the settings of another run with those that are given; a bound replaces its own cost.

    Args:
        stored (Mapping): settings of the other run by section.
        given (Mapping): settings by section, which count.
        other (RunDirectory): directory of the other run.
    """
    settings = merge_sections(stored, given)
    network = given.get("network", {})
    if network.get("weights") in KINDS:
        # The other run may have begun from a file.
        settings["network"] = {**settings["network"], "init": "", "init_sha256": "", **network}
    constraint = dict(stored.get("constraint", {}))
    anew = given.get("constraint", {})
    budgets = anew.get("budgets", {})
    # An address of a database may hold a password, and its evaluations are copied.
    constraint.pop("storage", None)
    if constraint.get("latency_table") and (other.path / LATENCY_TABLE).exists():
        constraint["latency_table"] = str(other.path / LATENCY_TABLE)
    for side in ("maximum", "minimum"):
        bounds = {**constraint.get(side, {}), **anew.get(side, {})}
        constraint[side] = {cost: value for cost, value in bounds.items() if cost not in budgets}
    if anew.get("maximum"):
        constraint.pop("budgets", None)
    rest = {name: value for name, value in anew.items() if name not in ("maximum", "minimum")}
    constraint = {name: value for name, value in {**constraint, **rest}.items() if value}
    return {**settings, "constraint": constraint}


def _identify(other: RunDirectory) -> str:
    """Digest of the trained supernet of a run; of nothing if it has none."""
    digest = hashlib.sha256()
    for folder in [other.path / "supernet", *sorted(other.path.glob("supernet-*"))]:
        for path in sorted(folder.glob("*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def import_official_run(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Create a run directory with the trained supernet of the official release.

    The run can be continued with ``spos search``. Images are normalised as in the release, in RGB
    order.

    Returns:
        Numbers of ``classes``, ``tensors`` and training ``steps``.

    Raises:
        UserError: the file is not a supernet of the release, or the directory contains a run.
    """
    state = load_official(checkpoint)
    classes = classes_of(state)
    spaces = family("shufflenetv2")
    supernet = spaces.build(spaces.preset(PRESET), classes=classes)
    to_supernet(state, supernet, rgb=True)
    directory = RunDirectory(out)
    with directory.open():
        if directory.read_config():
            raise UserError(f"--out {out} already contains a run: give another")
        data = {"mean": list(INPUT_MEAN), "std": list(INPUT_STD)}
        given = {"space": {"preset": PRESET}, "data": data}
        config, frozen = directory.resolve_config(given, ("space", "layout", "supernet"))
        directory.freeze_config(frozen)
        tensors = {f"model.{name}": value for name, value in supernet.state_dict().items()}
        steps = config.supernet.steps
        Checkpoints(out / "supernet").save(steps, tensors, {"seconds": 0.0})
        name = checkpoint.name
        directory.finish(TrainOutcome(steps=steps, seconds=0.0, imported=name, classes=classes))
    return {"classes": classes, "tensors": len(state), "steps": steps}
