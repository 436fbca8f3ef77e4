"""Runs the blocks of a page, in order, in a directory of its own."""

from __future__ import annotations

import configparser
import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path
from typing import Any

import click
import yaml
from documents import ROOT, Block

import spos._api
import spos.run
from spos._cli import costs
from spos._cli.main import entry, main
from spos.export import exporting
from spos.run import latency
from spos.run.config import merge_sections
from spos.run.planning import measuring
from spos.search import training_free
from spos.spaces import SPACES

SHORT = Path(__file__).with_name("short.yaml")
#: Environment variable; where it is ``full``, every block has the steps and the time that it says.
SCALE = "SPOS_PAGES"
#: First line of a block that is a file.
FILE = re.compile(r"# ([\w/]+\.py)\n")
#: Options that every command gets that knows them, unless the page gives them.
ADDED = {"--config": str(SHORT), "--threads": "1", "--rounds": "1", "--workers": "1"}
#: Options that have these values where the page gives them.
SMALLER = {
    "--population": "4",
    "--iterations": "3",
    "--compare": "1",
    "--supernet-steps": "4",
    "--retrain-steps": "4",
}


def is_short() -> bool:
    return os.environ.get(SCALE) != "full"


def run_page(page: list[Block], folder: Path, outcome: Path) -> None:
    """Run the blocks of a page in this process; write what fails, or nothing."""
    os.chdir(folder)
    names: dict[str, Any] = {"__name__": "page"}
    sys.path.insert(0, str(folder))
    shorten()
    check = OutputChecker().check_output
    for block in page:
        # Commands may use files that the page shows further down.
        if file := FILE.match(block.text):
            (folder / file[1]).parent.mkdir(exist_ok=True)
            (folder / file[1]).write_text(block.text)
    for block in page:
        printed = io.StringIO()
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                run_block(block, folder, names)
            if block.language == "console" and not block.needs:
                same = check(block.printed, printed.getvalue().strip(), ELLIPSIS)
                assert same, "another output"
        except BaseException:
            text = "".join(traceback.format_exc().splitlines(keepends=True)[-12:])
            outcome.write_text(f"{block.place}\n{block.text}\n{printed.getvalue()}\n{text}")
            return
    outcome.write_text("")


def run_block(block: Block, folder: Path, names: dict[str, Any]) -> None:
    """Run one block, or parse it."""
    if block.language in ("bash", "console"):
        for command in block.commands:
            parse_command(command) if block.needs else run_command(command)
    elif block.language == "python":
        code = compile(block.text, block.place, "exec")
        if not block.needs and not FILE.match(block.text):
            exec(code, names)
    elif block.language == "toml":
        install(block.text, folder)


def install(project: str, folder: Path) -> None:
    """Make a package in this directory known, as pip does."""
    points = configparser.ConfigParser()
    points.read_string(project)
    facts = folder / "page-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: page\nVersion: 1.0\n")
    with (facts / "entry_points.txt").open("w") as file:
        for section in points.sections():
            group = section.removeprefix('project.entry-points."').removesuffix('"')
            file.write(f"[{group}]\n")
            file.writelines(
                f"{n} = {value.strip(chr(34))}\n" for n, value in points[section].items()
            )


def run_command(words: list[str]) -> None:
    """Run a command of a page."""
    program = Path(words[0]).name
    if program == "spos":
        run_spos(words[1:])
    elif program == "make":
        # What the target does, without setting up an environment.
        for command in recipe(words[1:]):
            if Path(command[0]).name == "spos":
                run_spos(command[1:])
            else:
                parse_command(command)
    else:
        parse_command(words)


#: What the run directories of this page came from, by their path; those that were changed are not.
ORIGINS: dict[str, str] = {}


def run_spos(arguments: list[str]) -> None:
    """Run a command of spos, or take what the same one left on another page."""
    kept = keep_at(arguments)
    out = value_of("--out", arguments)
    if kept is not None and kept.exists():
        shutil.copytree(kept, out)
        return
    sys.argv = ["spos", *shortened(arguments)]
    try:
        entry()
    except SystemExit as ended:
        if ended.code:
            raise AssertionError(f"exit status {ended.code}: {' '.join(sys.argv)}") from None
    if kept is not None:
        shutil.copytree(out, kept)


def keep_at(arguments: list[str]) -> Path | None:
    """Where a new run is kept for the pages that begin with the same one."""
    out, reused = value_of("--out", arguments), value_of("--reuse", arguments)
    if not out or Path(out).exists() or (reused and reused not in ORIGINS):
        ORIGINS.pop(out, None)
        return None
    words = [ORIGINS.get(word, word) for word in shortened(arguments) if word != out]
    ORIGINS[out] = hashlib.sha256(" ".join(words).encode()).hexdigest()
    kept = arguments[0] in ("run", "train", "doctor")
    return Path.cwd().parents[1] / "kept" / ORIGINS[out] if kept else None


def value_of(option: str, arguments: list[str]) -> str:
    return arguments[arguments.index(option) + 1] if option in arguments else ""


def shortened(arguments: list[str]) -> list[str]:
    """Add the settings of a short run to those of a command, which count more."""
    if not is_short() or arguments[0] not in main.commands:
        return arguments
    added = dict(ADDED)
    if "--validate" in arguments:
        # The table that is validated says how many threads.
        added = {"--rounds": "2", "--networks": "4"}
    elif "--time" in arguments:
        added["--compare"] = "1"
    elif arguments[0] == "doctor":
        added["--networks"] = "2"
    # Of an option that is given twice, the second counts.
    for flag, value in SMALLER.items():
        arguments = [*arguments, flag, value] if flag in arguments else arguments
    known = {option for one in main.commands[arguments[0]].params for option in one.opts}
    for flag, value in added.items():
        if flag in known and flag not in arguments:
            arguments = [*arguments, flag, value]
    return arguments


def shorten() -> None:
    """Let the functions that run everything begin with the settings of a short run."""
    if not is_short():
        return
    short, run, search = yaml.safe_load(SHORT.read_text()), spos.run.run, spos._api.search

    def short_run(out: Path, given: Any, *rest: Any, **named: Any) -> Any:
        return run(out, merge_sections(short, given), *rest, **named)

    def short_search(*given: Any, settings: Any = None, **named: Any) -> Any:
        settings = merge_sections(short, settings or {})
        return search(*given, settings=settings, **{"threads": 1, **named})

    spos.run.run, spos._api.search = short_run, short_search
    # Few measurements and two spaces of the catalogue show that a page works.
    measuring.LEAST, latency.QUICK_ROUNDS, latency.QUICK_NETWORKS = 0.0, 2, 4
    exporting.TIMED_SECONDS = 0.01
    training_free.SAMPLE = 4
    costs.SPACES = {name: SPACES[name] for name in ("mobile", "nasbenchmacro")}


def recipe(arguments: list[str]) -> list[list[str]]:
    """The commands of a make target whose environment is there."""
    with tempfile.TemporaryDirectory() as there:
        given = ["make", "-n", "--no-print-directory", *arguments, f"VENV={there}"]
        (Path(there) / ".installed").touch()
        done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=True)
    return Block("", 0, "bash", done.stdout).commands


def parse_command(words: list[str]) -> None:
    """Check a command against what it calls, without running it."""
    program, arguments = Path(words[0]).name, words[1:]
    if program == "spos":
        parse_spos(arguments)
    elif program == "make":
        assert recipe(arguments)
    elif program == "pip":
        parse_pip(arguments)
    elif program.startswith("python"):
        module = arguments[:1] == ["-m"]
        script = arguments[1] if module else arguments[0]
        assert importlib.util.find_spec(script) if module else (ROOT / script).exists(), script
    elif program == "torchrun":
        from torch.distributed.run import get_args_parser

        given = get_args_parser().parse_args(arguments)
        assert (given.module, given.training_script) == (True, "spos"), arguments
        parse_spos(given.training_script_args)
    elif program in ("ray", "wandb"):
        scripts = {"ray": "ray.scripts.scripts", "wandb": "wandb.cli.cli"}
        command = importlib.import_module(scripts[program]).cli.commands[arguments[0]]
        command.make_parser(click.Context(command)).parse_args(arguments[1:])
    else:
        raise AssertionError(f"{program}: a command that the tests do not know")


def parse_spos(arguments: list[str], *, complete: bool = True) -> None:
    """Parse a command of spos.

    Args:
        arguments (list[str]): its words.
        complete (bool): whether everything that the command requires is there.
    """
    with main.make_context("spos", list(arguments), resilient_parsing=not complete) as context:
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, rest = main.resolve_command(context, rest)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        if complete:
            with command.make_context(name, rest, parent=context):
                return
        command.make_parser(inner).parse_args(args=rest)


def parse_pip(arguments: list[str]) -> None:
    """Check that the files and the extras of an installation are there."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert arguments[:3] == ["install", "-c", "constraints.txt"], arguments
    assert (ROOT / "constraints.txt").exists()
    for target in arguments[3:]:
        extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", target)
        assert extras, target
        for extra in filter(None, (extras[1] or "").split(",")):
            assert extra in project["optional-dependencies"], extra
