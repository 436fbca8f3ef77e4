"""The check of a space with trainings that suit the images, as those of the run are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.listener import Listener, Silent
from spos._util.records import write_record
from spos.cost.latency.backend import threads_set
from spos.data.peek import peek
from spos.report.diagnosis import Diagnosis
from spos.report.words import duration
from spos.run.config import make_config, merge_sections
from spos.run.diagnosis import check_counts, doctor
from spos.run.directory import PLAN_FILE, RunDirectory
from spos.run.finalists import plan_training
from spos.run.initial import with_digests
from spos.run.latency import discard_table, measure_for_run
from spos.run.planning.execute import describe_choices
from spos.run.planning.plan import Plan, warm_up
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import read_plan
from spos.run.planning.trainings import needs_plan, unhurried_steps
from spos.run.side_by_side import Workers


def doctor_planned(
    out: Path,
    given: Mapping[str, Any],
    *,
    networks: int = 12,
    seeds: int = 2,
    threads: int | None = None,
    accelerator: str = "auto",
    listener: Listener | None = None,
    workers: Workers | None = None,
    confirm: Callable[[float], bool] | None = None,
    **execution: Any,
) -> Diagnosis:
    """Check a space by trainings whose length a plan chooses, unless it is given.

    The plan is kept for a run in the same directory, which then has the same trainings.

    Args:
        out (Path): run directory; created if missing.
        given (Mapping): settings by section; what is missing is chosen.
        networks (int): number of networks, at least 2.
        seeds (int): number of trainings of each network, at least 2.
        threads (int | None): CPU threads; None to choose them.
        accelerator (str): accelerator of Lightning Fabric.
        listener (Listener | None): receiver of progress and messages.
        workers (Workers | None): processes that train networks at the same time; None for this one.
        confirm (Callable | None): function that is told the expected time in seconds, and returns
            whether to begin.
        **execution: further arguments of :func:`spos.run.doctor`.

    Raises:
        UserError: an argument or a setting is not valid, or the check was not confirmed.
        KeyboardInterrupt: the check was interrupted; its state is saved.
    """
    networks, seeds = check_counts(networks, seeds)
    given, directory, listener = with_digests(given), RunDirectory(out), listener or Silent()
    execution |= {"accelerator": accelerator, "listener": listener, "workers": workers}

    def check(settings: Mapping[str, Any]) -> Diagnosis:
        try:
            measured = measure_for_run(
                out, settings, reuse=None, facts=None, accelerator=accelerator, listener=listener
            )
            return doctor(out, measured, networks=networks, seeds=seeds, **execution)
        except UserError:
            discard_table(out)
            raise

    plan = read_plan(out)
    if plan is None:
        if directory.config_path.exists() or not _is_open(given):
            return check(given)
        planner = Planner(
            given,
            None,
            threads=threads,
            accelerator=accelerator,
            tell=listener.message,
            processes=workers.count if workers else 1,
        )
        # Refuses a directory that cannot be used before anything is measured.
        with directory.open():
            plan = planner.plan()
        expected = _expected(plan, _complete(plan, given, directory), networks * seeds)
        for line in describe_choices(plan):
            listener.message(line)
        listener.message(f"expected: {networks * seeds} trainings in {duration(expected)}")
        if confirm is not None and not confirm(expected):
            raise UserError("not started; give --yes, fewer --networks, or --set retrain.steps=N")
    settings = _complete(plan, given, directory)
    with directory.open(), threads_set(plan.speed.threads if threads is None else threads):
        write_record(out / PLAN_FILE, plan)
        return check(settings)


def _is_open(given: Mapping[str, Any]) -> bool:
    source = given.get("data", {}).get("source")
    return needs_plan(given, peek(source).channels if source else 3)


def _complete(plan: Plan, given: Mapping[str, Any], directory: RunDirectory) -> dict[str, Any]:
    """Complete the settings, with the steps that the run will choose for its retraining."""
    settings, stored = plan.complete(given), directory.read_config()
    known = merge_sections(stored, settings)
    if not plan.fitted or "steps" in known.get("retrain", {}):
        return settings
    if plan.seconds is not None:
        raise UserError(
            f"{directory.path} has --time {duration(plan.seconds)}, and chooses the length of its "
            "trainings when they begin: give another --out"
        )
    steps = unhurried_steps(plan.images, make_config(known).retrain.batch_size)
    return merge_sections({"retrain": {"steps": steps, "warmup_steps": warm_up(steps)}}, settings)


def _expected(plan: Plan, settings: Mapping[str, Any], trainings: int) -> float:
    """Expected time of the short trainings in seconds."""
    config = make_config(settings)
    recipe, _ = plan_training(config, max(2, config.finalists.count))
    each = recipe.steps * plan.speed.training.seconds(plan.flops, recipe.batch_size)
    return trainings * each / plan.parallel
