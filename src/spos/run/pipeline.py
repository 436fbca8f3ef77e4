"""The pipeline of a run, from images to a searched and retrained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from spos._util.errors import UserError, as_whole
from spos._util.listener import Listener, Silent
from spos._util.modes import one_run
from spos._util.records import write_record
from spos._util.text import redact
from spos.data import ImageData
from spos.report import write_report
from spos.report.attachments import Attachments
from spos.report.result import Result
from spos.run.ahead import check_ahead, check_network
from spos.run.comparison import compare_stage
from spos.run.config import STAGE_SECTIONS, check_sections, merge_sections
from spos.run.config_file import read_config_file
from spos.run.context import Context
from spos.run.costs import check_latency_table
from spos.run.directory import RunDirectory
from spos.run.following import check_loggers, following
from spos.run.initial import with_digests
from spos.run.known_comparison import check_known_networks, known_stage
from spos.run.outcome import DoctorOutcome, PredictionsOutcome, SearchOutcome
from spos.run.result import collect_result
from spos.run.reuse import Reuse, check_copied, warm_start
from spos.run.side_by_side import Machines, ThisProcess, Workers
from spos.run.stages import retrain_stage, search_stage, train_stage
from spos.run.started import check_same_task
from spos.run.task import Task
from spos.run.unused import describe_unused
from spos.training.method import MakeMethod, method_name
from spos.training.teacher import Teacher


class Schedule(Protocol):
    """Decides settings of a stage when it begins, and the size of the comparison at its end."""

    def settings(self, stage: str, context: Context) -> Mapping[str, Any]:
        """Settings of a stage that is about to begin, by section."""

    def beside(self, context: Context) -> Mapping[str, str]:
        """Networks to train at the same time as the winner, by the name of the stage of the run."""

    def networks(self, context: Context) -> int:
        """Number of random networks to compare with."""


#: Settings of a run on a data set of the user's own.
OWN_DATA = {"data": {"source": "dataset"}}
STAGES: dict[str, Callable[[Context], Any]] = {
    "train": train_stage,
    "search": search_stage,
    "retrain": retrain_stage,
}


@one_run()
def run(
    out: str | Path,
    given: Mapping[str, Any],
    stages: tuple[str, ...] = ("train", "search", "retrain"),
    *,
    listener: Listener | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    compare: int = 0,
    compare_with: Sequence[str] = (),
    reuse: str | Path | None = None,
    load: Callable[[], ImageData] | None = None,
    task: Task | None = None,
    method: str | MakeMethod | None = None,
    teacher: nn.Module | Teacher | None = None,
    schedule: Schedule | None = None,
    notes: Sequence[str] = (),
    workers: Workers | None = None,
    nodes: Machines | None = None,
    loggers: Sequence[str] = (),
) -> Result:
    """Run stages of a run; finished stages are skipped, interrupted ones are resumed.

    Args:
        out (str | Path): run directory; created if missing.
        given (Mapping): settings by section (:func:`spos.run.config.make_config`).
        stages (tuple[str, ...]): stages to run, of ``train``, ``search`` and ``retrain``, in this
            order.
        listener (Listener | None): receiver of progress and messages.
        devices (int): number of processes, each with one device, at least 1.
        accelerator (str): accelerator of Lightning Fabric: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        compare (int): number of random networks about as costly as the winner to retrain as well.
        compare_with (Sequence[str]): names of known networks to train as the winner is
            (:func:`spos.run.known_networks.parse_known`).
        reuse (str | Path | None): directory of a run whose trained supernet and evaluations a new
            run starts with.
        load (Callable | None): function that returns a data set of your own
            (:func:`spos.data.dataset_data`), the same at every call.
        task (Task | None): loss and metric of your own; None for classification by top-1 accuracy.
        method (str | MakeMethod | None): training method of the supernet: a name in
            :data:`spos.training.METHODS`, or a class of your own (:class:`spos.training.Method`),
            also as ``functools.partial``; None for the setting ``supernet.method``.
        teacher (nn.Module | Teacher | None): trained network that retrained networks learn from
            besides the labels (:class:`spos.training.Teacher`).
        schedule (Schedule | None): what decides settings of each stage when it begins.
        notes (Sequence[str]): messages for the listener once all checks have passed.
        workers (Workers | None): processes that evaluate candidates and train networks at the same
            time (:func:`spos.run.workers.make_workers`), which are left running; None for
            this one.
        nodes (Machines | None): machines among which the processes of ``devices`` are divided
            (:class:`spos.run.nodes.Nodes`); None for this one alone.
        loggers (Sequence[str]): programs that show the curves beside TensorBoard: names in
            :data:`spos.run.logger.LOGGERS`.

    Returns:
        The result of the run, as stored in ``result.json``.

    Raises:
        UserError: an argument or a setting is not valid.
        KeyboardInterrupt: the run was interrupted; its state is saved.
    """
    known = isinstance(stages, (list, tuple)) and all(one in [*STAGES] for one in stages)
    if not known or not stages:
        raise UserError(f"stages {stages!r:.80}: must be a tuple of {', '.join(STAGES)}")
    given = check_sections(given) if load is None else merge_sections(given, OWN_DATA)
    given = with_digests(given)
    if method is not None:
        given = merge_sections(given, {"supernet": {"method": method_name(method)}})
    devices, compare = as_whole(devices, "devices", 1), as_whole(compare, "compare")
    directory = RunDirectory(out)
    other = None if reuse is None else RunDirectory(reuse)
    kinds = check_loggers(loggers)
    with directory.open():
        check_latency_table(
            str(given.get("constraint", {}).get("latency_table") or ""), directory.path
        )
        reused, asked = Reuse({}), given
        if other is None:
            check_copied(directory)
        else:
            timed = schedule is not None
            reused = warm_start(directory, other, given, timed=timed)
            given = reused.settings
        sections = STAGE_SECTIONS[stages[-1 if schedule is None else 0]]
        searching = "search" in stages
        config, frozen = directory.resolve_config(given, sections, searching=searching)
        task = task or Task()
        # A plan decides later how many networks are compared.
        compared = bool(compare) or schedule is not None or "retrain" not in stages
        context = Context(
            config,
            frozen,
            directory,
            listener or Silent(),
            devices=devices,
            accelerator=accelerator,
            load=load,
            task=task,
            given_method=None if isinstance(method, str) else method,
            teacher=Teacher(teacher) if isinstance(teacher, nn.Module) else teacher,
            workers=workers or ThisProcess(),
            nodes=nodes,
            notes=[
                *notes,
                *([reused.told] if reused.told else []),
                *describe_unused(config, asked, compared=compared, own_loss=task.loss is not None),
            ],
            copied_from=other.path if other and reused.undo else None,
        )
        if reused.undo:
            try:
                _ = context.data  # Those of the other run.
            except BaseException:
                reused.undo()
                raise
        if searching and config.required_method:
            # A differentiable search depends on the training of theta, so it includes the training.
            stages = tuple(dict.fromkeys(("train", *stages)))
        check_same_task(context.directory, context.task_facts)
        if load is not None and directory.start_facts():
            _ = context.data  # A run that is finished is not that of other images.
        if config.network.name:
            check_network(context, stages, compare, compare_with)
        check_known_networks(context, compare_with)
        unfinished = not all(directory.is_finished(name) for name in stages if name != "retrain")
        if unfinished or directory.extended:
            check_ahead(context, stages)
        finished = all(map(directory.is_finished, stages))
        with following(directory, kinds, context.listener) as followed:
            for name in stages:
                if schedule is not None:
                    given = merge_sections(schedule.settings(name, context), given)
                    context.config, context.frozen = directory.resolve_config(
                        given, STAGE_SECTIONS[name]
                    )
                    context.beside = schedule.beside
                STAGES[name](context)
            result = _write(context)
            if compare_with:
                known_stage(context, compare_with)
                result = _write(context)
            if schedule is not None:
                compare = schedule.networks(context)
            if compare and compare_stage(context, compare) is not None:
                result = _write(context)
            followed.append(result)
        if finished and _may_change(context):
            context.listener.message(
                f"{directory.path} is finished: its result is of the images that were "
                "there then, which are not read again"
            )
        return result


def _may_change(context: Context) -> bool:
    """Whether the images may be others than those of the run: files that nobody has looked at."""
    return ":" in context.config.data.source and "data" not in vars(context)


def _write(context: Context) -> Result:
    """Write the result and the report of the finished stages."""
    directory = context.directory
    result = collect_result(context)
    write_record(directory.result_path, result)
    found = directory.outcome(SearchOutcome)
    if found is not None:
        checked, predicted = directory.outcome(DoctorOutcome), directory.outcome(PredictionsOutcome)
        write_report(
            directory.report_path,
            result,
            found.candidates,
            directory.metrics(),
            found.stages,
            checked.diagnosis if checked else None,
            Attachments(
                run=str(directory.path),
                settings=redact(read_config_file(directory.config_path)),
                predictions=predicted.predictions if predicted else None,
            ),
        )
    return result
