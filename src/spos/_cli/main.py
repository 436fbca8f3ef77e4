"""The command line: its commands, and how its process begins and ends."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import util
from typing import NoReturn

import click

from spos._cli.catalogue import profile_command, spaces_command
from spos._cli.commands import (
    dashboard_command,
    export_command,
    predict_command,
    push_command,
    show_command,
)
from spos._cli.help import TopicGroup
from spos._cli.latency import latency_command
from spos._cli.running import (
    doctor_command,
    import_official_command,
    plan_command,
    retrain_command,
    run_command,
    search_command,
    train_command,
)
from spos._util.errors import UserError, nearest
from spos._util.interrupt import SIGNALS, handle_by, is_asked, raise_interrupt
from spos._util.streams import open_streams
from spos._util.text import printable, redact
from spos._util.version import __version__

#: Characters of the longest error line; what was given may be of any length.
LONGEST = 1000
#: What prints a script of a shell that completes commands.
SCRIPTS = ("bash_source", "zsh_source", "fish_source")


@click.group(cls=TopicGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spos")
def main() -> None:
    """Find the most accurate network within a budget, by single-path one-shot search."""


# In the order in which errors name them.
for _command in (
    train_command,
    search_command,
    retrain_command,
    run_command,
    plan_command,
    doctor_command,
    show_command,
    profile_command,
    spaces_command,
    import_official_command,
    dashboard_command,
    export_command,
    latency_command,
    predict_command,
    push_command,
):
    main.add_command(_command)


def entry() -> None:
    """Run the command line: one line and status 2 for a mistake, 130 for Ctrl-C."""
    open_streams()
    # Imported objects live until the end: search them for garbage a tenth as often.
    gc.set_threshold(*gc.get_threshold()[:2], 100)
    # Before a library is imported that reads it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A library that cannot write its own log, as wandb on a full disk, prints a traceback of it.
    logging.raiseExceptions = False
    handle_by(raise_interrupt)
    threading.excepthook = _tell_of_thread
    try:
        _perform()
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(_one_line(error))
    except KeyboardInterrupt as interrupt:
        _end_interrupted(str(interrupt))
    except BrokenPipeError:
        # Whoever reads the output has closed it, as head does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from spos._util.errors import explain

        line = explain(error)
        # A library that was being imported may have made an error of its own of it.
        if line is None and is_asked():
            _end_interrupted()
        if line is None:
            raise
        _fail(line)


def _tell_of_thread(failed: threading.ExceptHookArgs) -> None:
    """Say in one line why a thread ended, such as the one in which TensorBoard writes."""
    from spos._util.errors import explain

    line = explain(failed.exc_value) if failed.exc_value else None
    if line is None:
        threading.__excepthook__(failed)
        return
    with suppress(OSError):
        click.echo(f"spos: {redact(printable(line))}", err=True)


def _check_folder() -> None:
    """Check that the folder of the process is there, or a library of torch ends the process."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError(
            "the folder in which spos was called has been removed: change to another one, or by cd "
            '"$PWD" to the one that has taken its place'
        ) from None


def _perform() -> None:
    if instruction := os.environ.get("_SPOS_COMPLETE"):
        _complete(instruction)
        return
    try:
        _check_folder()
        # Not main(), which would print an empty line before ours on Ctrl-C.
        with main.make_context("spos", sys.argv[1:]) as context:
            main.invoke(context)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())


def _complete(instruction: str) -> None:
    """Tell a shell how to complete commands, or what a word can be completed to."""
    from click.shell_completion import shell_complete

    try:
        status = shell_complete(main, {}, "spos", "_SPOS_COMPLETE", instruction)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"_SPOS_COMPLETE={instruction}: the shell did not say what to complete ({error})"
        ) from None
    if status:
        raise UserError(f"_SPOS_COMPLETE={instruction}: {nearest(instruction, SCRIPTS)}")


def _end_interrupted(told: str = "") -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # The terminal may be closed.
        click.echo("; ".join(filter(None, ("spos: interrupted", told))), err=True)
    # os._exit leaves this out, and Python's tracker of resources would then warn of leaked
    # semaphores after the line above.
    util._run_finalizers(0)  # type: ignore[attr-defined]
    # Not sys.exit: if the signal arrived in code run by exec, Python would exit with another
    # status.
    os._exit(130)


def _fail(line: str) -> None:
    line = redact(printable(line))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    # The status says it where nobody can be told.
    with suppress(OSError):
        click.echo(f"spos: error: {line}", err=True)
    sys.exit(2)


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    if text.startswith("No such command"):
        given = text.split("'")[1]
        return f"unknown command '{given}': {nearest(given, main.commands)}"
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        name, given = error.ctx.info_name, error.option_name
        have = [
            f"spos {command.name}"
            for command in main.commands.values()
            if any(given in parameter.opts for parameter in command.params)
        ]
        if have:
            return f"spos {name} has no option {given}; commands that have it: {', '.join(have)}"
    return text
