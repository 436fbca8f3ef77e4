"""A run by a plan: everything that the user left open is chosen, within the time given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spos._util.errors import UserError
from spos._util.listener import Listener, Silent
from spos._util.settings import show_value
from spos.data import ImageData
from spos.data.peek import ImageFacts
from spos.report.result import Result
from spos.report.words import duration
from spos.run.config import merge_sections
from spos.run.directory import RunDirectory
from spos.run.pipeline import run
from spos.run.planning.latency import discard_table, measure_for_run
from spos.run.planning.plan import Plan
from spos.run.planning.planner import Planner
from spos.run.planning.preset import needs_plan
from spos.run.planning.schedule import Schedule, read_plan
from spos.run.reuse import is_fresh


def run_planned(
    out: Path,
    given: Mapping[str, Any],
    *,
    seconds: float | None = None,
    threads: int | None = None,
    compare: int | None = None,
    listener: Listener | None = None,
    accelerator: str = "auto",
    confirm: Callable[[Plan], bool] | None = None,
    began: float | None = None,
    facts: ImageFacts | None = None,
    make_load: Callable[[Mapping[str, Any]], Callable[[], ImageData] | None] | None = None,
    **execution: Any,
) -> Result:
    """Run all stages with the settings of a plan; a run that was started is resumed by its plan.

    Args:
        out (Path): run directory; created if missing.
        given (Mapping): settings by section; what is missing is chosen.
        seconds (float | None): time for the whole run; None for as long as it takes.
        threads (int | None): CPU threads; None to choose them.
        compare (int | None): number of random networks to compare with; None to choose it.
        listener (Listener | None): receiver of progress and messages.
        accelerator (str): accelerator of Lightning Fabric.
        confirm (Callable | None): function that is shown a new plan, and returns whether to run it.
        began (float | None): time at which the process began, of ``time.monotonic``.
        facts (ImageFacts | None): what the images are like; None to look at the source.
        make_load (Callable | None): function from the settings of the plan to one that returns
            images of your own.
        **execution: further arguments of :func:`spos.run.run`.

    Returns:
        The result of the run.

    Raises:
        UserError: an argument or a setting is not valid, or the plan was not confirmed.
        KeyboardInterrupt: the run was interrupted; its state is saved.
    """
    began = time.monotonic() if began is None else began
    listener = listener or Silent()
    execution = {**execution, "listener": listener, "accelerator": accelerator}
    notes: list[str] = []

    def measured(settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return measure_for_run(
            out,
            settings,
            reuse=execution.get("reuse"),
            facts=facts,
            accelerator=accelerator,
            listener=execution["listener"],
        )

    def execute(settings: Mapping[str, Any], **more: Any) -> Result:
        taken = {} if reuse is None else reuse.read_config()
        load = None if make_load is None else make_load(merge_sections(taken, settings))
        try:
            return run(out, settings, load=load, **more, **execution)
        except UserError:
            if not given.get("constraint", {}).get("latency_table"):
                discard_table(out)
            raise

    def unplanned() -> Result:
        return execute(measured(given), compare=compare or 0)

    reuse = None if execution.get("reuse") is None else RunDirectory(execution["reuse"])
    plan = read_plan(out)
    directory = RunDirectory(out)
    # Killed before its plan was kept.
    fresh = seconds is not None and reuse is not None and is_fresh(directory)
    if plan is None and directory.config_path.exists() and not fresh:
        if seconds is not None:
            raise UserError(f"--time: {out} was started without it; leave it out to resume")
        return unplanned()
    new = plan is None
    if plan is None:
        if seconds is None and reuse is not None:
            reused = read_plan(reuse.path)
            # As many as were measured to be the fastest.
            fastest = reused.speed.threads if reused is not None else torch.get_num_threads()
            with _threads(threads or fastest):
                return unplanned()
        if seconds is None and not needs_plan(given, facts.channels if facts else 3):
            return unplanned()
        planner = Planner(
            given,
            seconds,
            reuse=reuse,
            facts=facts,
            began=began,
            accelerator=accelerator,
            threads=threads,
            compare=compare,
        )
        # Refuses a directory that cannot be used before anything is measured.
        with directory.open():
            plan = planner.plan()
        if confirm is not None and not confirm(plan):
            raise UserError("not started; give --time to limit it, or --yes to run it")
    elif seconds is not None and seconds != plan.seconds:
        planned = "no limit" if plan.seconds is None else duration(plan.seconds)
        raise UserError(
            f"--time {duration(seconds)}: {out} was planned for {planned}; give the same, or "
            "another --out"
        )
    with _threads(plan.speed.threads):
        ready = time.monotonic()
        constraint = measured(plan.complete(given)).get("constraint", {})
        if new:
            plan = plan.after(time.monotonic() - ready)
            notes = describe(plan)
        schedule = Schedule(plan, began, compare, new)
        until = began + max(plan.seconds or 0.0, plan.total) - schedule.before(out)
        execution["listener"] = Countdown(listener, until)
        settings = {**plan.complete(given), "constraint": constraint}
        return execute(settings, schedule=schedule, notes=notes)


@dataclass
class Countdown(Listener):
    """Adds the time that is left for the whole run to the progress of a stage.

    Args:
        listener (Listener): receiver of progress and messages.
        until (float): expected end of the run, of ``time.monotonic``.
    """

    listener: Listener
    until: float

    def message(self, text: str) -> None:
        """Pass a message on."""
        self.listener.message(text)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        """Pass progress on, with the time left."""
        left = max(self.until - time.monotonic(), 0.0)
        self.listener.progress(stage, done, total, f"{duration(left)} left in all  {detail}")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(plan: Plan) -> list[str]:
    """Describe a plan in lines: what was chosen and why, and how long each stage takes."""
    lines = [
        f"{choice.setting} {show_value(choice.value)}: {choice.reason}"
        for choice in plan.choices
        if choice.reason
    ]
    stages = ", ".join(f"{one.stage} {duration(one.seconds)}" for one in plan.estimates)
    lines.append(f"measured with {plan.speed.threads} thread(s); expected: {stages}")
    limit = "" if plan.seconds is None else f" of {duration(plan.seconds)}"
    lines.append(f"in all about {duration(plan.total)}{limit}")
    return lines
