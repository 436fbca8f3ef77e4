"""Every mistake in what is given is one line and status 2, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import filelock
import pytest
import torch
import yaml
from commands import FEW, SMALL, STEPS, Ended

from spos._cli.main import main

Cli = Callable[..., Ended]

GIVEN = {
    "command": (["trian"], "unknown command 'trian': did you mean 'train'?"),
    "option": (["run", "--out", "OUT", "--sed", "1"], "No such option '--sed'"),
    "no directory": (["train"], "Missing option '--out'"),
    "address": (["run", "--out", "s3://bucket/first"], "--out s3://bucket/first: must be a path"),
    "space": (["run", "--out", "OUT", "--space", "shuflenet"], "did you mean 'shufflenetv2'?"),
    "preset": (["run", "--out", "OUT", "--preset", "tinny"], "did you mean 'tiny'?"),
    "number as a preset": (["run", "--out", "OUT", "--preset", "3"], "unknown preset '3'"),
    "setting": (
        ["run", "--out", "OUT", "--set", "supernet.step=1"],
        "unknown setting 'supernet.step': did you mean 'steps'?",
    ),
    "section": (
        ["run", "--out", "OUT", "--set", "supernets.steps=1"],
        "unknown section 'supernets': did you mean 'supernet'?",
    ),
    "no section": (["run", "--out", "OUT", "--set", "seed=1"], "unknown section 'seed'"),
    "a section as a value": (["run", "--out", "OUT", "--set", "run=1"], "section 'run'"),
    "a section as the value of a stage": (
        ["search", "--out", "OUT", "--set", "constraint=1"],
        "section 'constraint' is not a mapping",
    ),
    "no assignment": (["run", "--out", "OUT", "--set", "run.seed"], "write KEY=VALUE"),
    "type of a setting": (
        ["run", "--out", "OUT", "--set", "supernet.steps=many"],
        "supernet.steps 'many': must be a valid integer",
    ),
    "type of an option": (["run", "--out", "OUT", "--seed", "x"], "'--seed': 'x' is not a valid"),
    "size of a seed": (
        ["run", "--out", "OUT", "--seed", "1000000000000000001"],
        "run.seed 1000000000000000001: must be at most 1e+18",
    ),
    "range of a setting": (
        ["run", "--out", "OUT", "--supernet-steps", "0"],
        "supernet.steps 0: must be at least 1",
    ),
    "precision": (
        ["run", "--out", "OUT", "--precision", "bf16"],
        "unknown run.precision 'bf16': did you mean 'bf16-mixed'?",
    ),
    "precision of another device": (
        ["run", "--out", "OUT", "--precision", "16-mixed", "--accelerator", "cpu"],
        "run.precision 16-mixed: not available on the CPU",
    ),
    "precision of another device for doctor": (
        ["doctor", "--out", "OUT", *FEW, "--precision", "16-mixed", "--accelerator", "cpu"],
        "run.precision 16-mixed: not available on the CPU",
    ),
    "algorithm": (
        ["run", "--out", "OUT", "--algorithm", "evolve"],
        "unknown search algorithm 'evolve': did you mean 'evolution'?",
    ),
    "recipe": (
        ["run", "--out", "OUT", "--recipe", "papper"],
        "--recipe papper: did you mean 'paper'? allowed: paper",
    ),
    "storage": (
        ["run", "--out", "OUT", *SMALL, "--storage", "sqlite:////nowhere/at/all/study.db"],
        "storage sqlite:////nowhere/at/all/study.db cannot be opened",
    ),
    "password": (
        ["run", "--out", "OUT", *SMALL, "--storage", "mysql://me:secret@host/studies"],
        "constraint.storage mysql://me:***@host/studies has a password, which is not kept on "
        "disk; name an environment variable in its place: 'mysql://me:$PASSWORD@host/studies'",
    ),
    "password of a name with a space": (
        ["run", "--out", "OUT", *SMALL, "--storage", "mysql://my own:secret word@host/studies"],
        "constraint.storage mysql://my%20own:***@host/studies has a password, which is not kept",
    ),
    "password without a scheme": (
        ["run", "--out", "OUT", *SMALL, "--storage", "me:secret@host"],
        "constraint.storage me:***@host has a password, which is not kept on disk; name an "
        "environment variable in its place: 'me:$PASSWORD@host'",
    ),
    "password behind slashes": (
        ["run", "--out", "OUT", *SMALL, "--storage", "//me:secret@host/a"],
        "constraint.storage //me:***@host/a has a password, which is not kept on disk",
    ),
    "password in an address of weights": (
        ["run", "--out", "OUT", *SMALL, "--retrain-from", "https://me:secret@host/a"],
        "--retrain-from https:/me:***@host/a: no such file; allowed: scratch, supernet, a file of",
    ),
    "password among parameters": (
        ["run", "--out", "OUT", *SMALL, "--storage", "postgresql://h/x?user=me&password=secret"],
        "constraint.storage postgresql://h/x?user=me&password=*** has a password, which is not",
    ),
    "password in a source": (
        ["run", "--out", "OUT", *SMALL, "--data", "mine:postgresql://me:secret@host/a"],
        "data.source mine:postgresql://me:***@host/a has a password, which is not kept on disk",
    ),
    "password among other fields": (
        ["run", "--out", "OUT", *SMALL, "--storage", "host=a password=secret dbname=b"],
        "constraint.storage host=a%20password=***",
    ),
    "size of images that nobody has": (
        ["run", "--out", "OUT", *SMALL, "--set", "layout.image_size=1000000000"],
        "layout.image_size 1000000000: must be at most 65536",
    ),
    "blocks that nobody trains": (
        ["run", "--out", "OUT", "--preset", "tiny", "--depths", "100000,100000"],
        "layout.depths (100000, 100000): at most 2000 blocks in all stages together",
    ),
    "paths of a step": (
        ["run", "--out", "OUT", *SMALL, "--set", "supernet.paths=100000"],
        "supernet.paths 100000: must be at most 1000",
    ),
    "CPU cores of a worker": (
        ["run", "--out", "OUT", *SMALL, "--worker-cpus", "nan"],
        "--worker-cpus nan: must be a number, at least 0",
    ),
    "GPUs of a worker": (
        ["run", "--out", "OUT", *SMALL, "--worker-gpus", "inf"],
        "--worker-gpus inf: must be a number, at least 0",
    ),
    "variable of a password": (
        ["run", "--out", "OUT", *SMALL, "--storage", "mysql://me:$NOWHERE@host/studies"],
        "storage mysql://me:$NOWHERE@host/studies: there is no environment variable NOWHERE",
    ),
    "batch of the last stage": (
        ["run", "--out", "OUT", *SMALL, "--set", "retrain.batch_size=2000"],
        "retrain: batch_size 2000: there are only 1438 training images",
    ),
    "augmentation of the last stage": (
        ["run", "--out", "OUT", "--set", "retrain.augment=crops"],
        "unknown retrain.augment 'crops': did you mean 'crop'?",
    ),
    "width and channels": (
        ["run", "--out", "OUT", "--width", "2", "--channels", "8,16"],
        "layout.width and layout.channels",
    ),
    "layout": (["run", "--out", "OUT", "--channels", "24"], "give one of each per stage"),
    "no devices": (
        ["run", "--out", "OUT", "--devices", "0"],
        "--devices 0: must be a whole number, at least 1",
    ),
    "devices": (
        ["run", "--out", "OUT", "--devices", "two"],
        "--devices two: must be a whole number, at least 1",
    ),
    "machines that nothing has started": (
        ["train", "--out", "OUT", "--accelerator", "cpu", "--num-nodes", "2"],
        "--num-nodes 2 --devices 1: start the same command on every machine by torchrun --nnodes 2",
    ),
    "nodes and Ray": (
        ["retrain", "--out", "OUT", "--num-nodes", "2", "--workers", "ray"],
        "--num-nodes 2 and --workers ray: trainings are shared by nodes or by Ray; give one of",
    ),
    "threads": (["run", "--out", "OUT", "--threads", "0"], "--threads 0: must be a whole number"),
    "a number of more than 64 bits": (
        ["run", "--out", "OUT", *SMALL, "--population", str(2**63)],
        "search.population 9223372036854775808: must be at most 1e+18",
    ),
    "a number that float32 does not hold": (
        ["run", "--out", "OUT", *SMALL, "--set", "retrain.learning_rate=1e300"],
        "retrain.learning_rate 1e+300: must be at most 1e+37",
    ),
    "more threads than any machine has": (
        ["run", "--out", "OUT", "--threads", "9999999999"],
        "--threads 9999999999: must be a whole number, at most 1024",
    ),
    "thousands of digits": (
        ["run", "--out", "OUT", "--compare", "9" * 5000],
        "9999: must be a whole number, at most 1000000",
    ),
    "thousands of digits of a setting": (
        ["run", "--out", "OUT", "--set", f"run.seed={'9' * 5000}"],
        "9999': the value is not YAML (Exceeds the limit",
    ),
    "thousands of brackets": (
        ["run", "--out", "OUT", "--channels", "[" * 3000],
        "must be",
    ),
    "more weights than memory": (
        ["train", "--out", "OUT", *SMALL[2:4], "--preset", "cifar", "--width", "1_000"],
        "not enough memory: the weights take ",
    ),
    "compare": (["run", "--out", "OUT", "--compare", "-1"], "--compare -1: must be a whole number"),
    "accelerator": (
        ["run", "--out", "OUT", "--accelerator", "gpx"],
        "--accelerator gpx: did you mean 'gpu'? allowed: auto, cpu, cuda, gpu, mps",
    ),
    "accelerator of a package that is not installed": (
        ["train", "--out", "OUT", "--accelerator", "tpu"],
        "--accelerator tpu: ",
    ),
    "more processes than any machine has": (
        ["run", "--out", "OUT", "--data-workers", "1000000"],
        "data.workers 1000000: must be at most 1024",
    ),
    "a section as the value of a plan": (
        ["plan", "--set", "supernet=x"],
        "section 'supernet' is not a mapping",
    ),
    "quantity": (
        ["run", "--out", "OUT", "--max-flops", "330X"],
        "--max-flops '330X' is not a positive number such as 330M",
    ),
    "negative quantity": (["run", "--out", "OUT", "--min-params", "-3M"], "--min-params '-3M'"),
    "quantity of a file": (
        ["run", "--out", "OUT", "--set", "constraint.maximum={flops: lots}"],
        "constraint.maximum.flops 'lots'",
    ),
    "cost": (
        ["run", "--out", "OUT", "--set", "constraint.maximum={flop: 1M}"],
        "unknown cost 'flop': did you mean 'flops'?",
    ),
    "empty constraint": (
        ["run", "--out", "OUT", "--max-flops", "100K", "--min-flops", "120K"],
        "the constraint is empty",
    ),
    "constraint out of reach": (
        ["run", *SMALL, "--out", "OUT", "--max-flops", "1K"],
        "reachable are ",
    ),
    "constraints that exclude each other": (
        ["run", *SMALL, "--out", "OUT", "--max-flops", "104K", "--min-params", "7.5K"],
        "no architecture of the 64",
    ),
    "validation": (["run", "--out", "OUT", "--validation", "some"], "'some' is neither a number"),
    "validation out of range": (
        ["run", "--out", "OUT", "--validation", "1.5"],
        "validation 1.5: must be a fraction between 0 and 1",
    ),
    "data": (["run", "--out", "OUT", "--data", "digit"], "did you mean 'digits'?"),
    "fewer images than a batch": (
        ["run", "--out", "OUT", *SMALL, "--set", "supernet.batch_size=1500"],
        "there are only 1374 training images",
    ),
    "fewer images than a batch of a plan": (
        ["run", "--out", "OUT", "--set", "supernet.batch_size=1500"],
        "there are only 1438 training images",
    ),
    "more than the memory": (
        ["train", "--out", "OUT", *SMALL, "--set", "supernet.batch_size=900000000"],
        "not enough memory on cpu",
    ),
    "retrain first": (["retrain", "--out", "OUT"], "run spos search first"),
    "search first": (["search", "--out", "OUT"], "run spos train first"),
    "show": (["show", "OUT"], "OUT is not a run directory"),
    "no settings file": (["run", "--out", "OUT", "--config", "OUT.yaml"], "No such file"),
    "space of a profile": (
        ["profile", "mobille", "--architecture", "0"],
        "unknown space 'mobille'",
    ),
    "architecture too short": (["profile", "--architecture", "0,1"], "20"),
    "option out of range": (
        ["profile", "--preset", "tiny", "--architecture", "0,0,0,0,0,0,0,4"],
        "4",
    ),
    "no architecture": (["profile", "--preset", "tiny", "--architecture", "a,b"], "a,b"),
    "no checkpoint": (["import-official", "OUT.pth", "--out", "OUT"], "does not exist"),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    case: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, told = GIVEN[case]
    ended = cli(*arguments)
    assert told in ended.mistake and len(ended.mistake) < 1100
    assert ended.out == "" and "secret" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_is_a_module_too(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "spos", "show", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert Ended(ended.returncode, ended.stdout, ended.stderr).mistake.startswith(
        f"{tmp_path} is not a run directory"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("run: {seed: 1", "--config settings.yaml"),
        ("- 1", "not a mapping of sections"),
        ("run: 5", "--config settings.yaml: section 'run' is not a mapping"),
        ("supernet: x", "--config settings.yaml: section 'supernet' is not a mapping"),
        ("run: {1: 2}", "unknown setting 'run.1'"),
        ("1: {}", "unknown section '1'"),
        ("run: {seed: 1}\nrun: {}", "--config settings.yaml: run is given twice"),
        ("run: {seed: 1:30}", "run.seed '1:30': must be a valid integer"),
        ("layout: {channels: 'x'}", "layout.channels 'x': must be a valid integer"),
        ("\udcff", "--config settings.yaml"),
    ],
)
def test_a_damaged_settings_file_is_one_line(
    text: str, told: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("settings.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert told in cli("run", "--config", "settings.yaml", "--out", "run").mistake
    assert not Path("run").exists()


def test_a_device_in_place_of_a_settings_file_is_one_line(cli: Cli) -> None:
    assert (
        cli("run", "--config", "/dev/zero").mistake
        == "--config /dev/zero: it is not a regular file"
    )


def test_an_option_of_other_commands_names_them(cli: Cli) -> None:
    told = "spos run has no option --num-nodes; commands that have it: spos train, spos retrain"
    assert cli("run", "--num-nodes", "2").mistake == told


def test_a_directory_that_cannot_be_written_is_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/run")):
        assert f"--out {out}: " in cli("run", "--out", out).mistake
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 10 bytes"),
    ],
)
def test_memory_that_runs_out_is_a_line_with_advice(
    error: Exception, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("spos.run.planning.execute.run", run)
    mistake = cli("run", "--preset", "tiny", "--out", tmp_path / "run").mistake
    assert mistake.startswith("out of memory (")
    assert mistake.endswith("set a smaller batch_size or run.evaluation_batch")


def test_an_error_of_the_program_is_not_hidden(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: object, **options: object) -> None:
        raise KeyError("weight")

    monkeypatch.setattr("spos.run.planning.execute.run", run)
    with pytest.raises(KeyError):
        cli("run", "--preset", "tiny", "--out", tmp_path / "run")


def test_a_library_that_cannot_write_its_log_prints_no_traceback(
    cli: Cli, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    full = logging.FileHandler("/dev/full", delay=True)

    def show(run: str, as_json: bool) -> None:
        logging.getLogger("library").warning("a line")

    monkeypatch.setattr(main.commands["show"], "callback", show)
    logging.getLogger("library").addHandler(full)
    try:
        ended = cli("show", finished_run)
    finally:
        logging.getLogger("library").removeHandler(full)
        with suppress(OSError):
            full.close()
    assert (ended.status, ended.err) == (0, "")


def test_a_reader_that_has_seen_enough_is_not_a_mistake(finished_run: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "spos", "show", str(finished_run)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_run_without_a_result_yet_is_one(cli: Cli, finished: Path) -> None:
    (finished / "result.json").unlink()
    assert cli("show", finished).mistake.startswith(f"{finished} has no result yet: wait for its")
    (finished / "config.yaml").unlink()
    assert cli("show", finished).mistake.endswith("is not a run directory: it has no result.json")


def test_a_directory_with_other_things_in_it_keeps_them(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "--data digit:" in cli("run", "--data", "digit", "--out", tmp_path).mistake
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_commands_do_not_work_on_one_run(cli: Cli, finished: Path) -> None:
    with filelock.FileLock(finished / ".lock"):
        assert "another spos process" in cli("run", "--out", finished).mistake
    assert cli("run", "--out", finished).status == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--seed", "1"], "run.seed is 0 there and 1 here"),
        (["--max-flops", "120K"], "constraint.maximum is {'flops': 130000.0} there"),
        (["--population", "7"], "search.population is 6 there and 7 here"),
        (["--retrain-steps", "50"], f"retrain.steps is {STEPS} there and 50 here"),
        (["--data", "fashion-mnist"], "data.source is digits there and fashion-mnist here"),
        (["--width", "0.25"], "layout.channels is [16, 24] there and [8, 12] here"),
        (["--preset", "cifar"], "space.preset is tiny there and cifar here"),
    ],
)
def test_another_setting_than_that_of_the_run_is_refused_by_name(
    given: list[str], told: str, cli: Cli, finished: Path
) -> None:
    before = (finished / "config.yaml").read_bytes()
    assert told in cli("run", *given, "--out", finished).mistake
    assert (finished / "config.yaml").read_bytes() == before


def test_the_password_of_a_storage_is_never_on_disk(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    storage = f"sqlite:///{tmp_path}/studies.db?timeout=$SECONDS"
    given = ("search", "--storage", storage, "--out", out)
    assert cli("train", *FEW, "--out", out).status == 0
    assert "no environment variable SECONDS" in cli(*given).mistake
    monkeypatch.setenv("SECONDS", "41.25")
    assert cli(*given).status == 0
    assert (tmp_path / "studies.db").exists()
    assert storage in (out / "config.yaml").read_text()
    (out / "search.json").unlink()
    assert cli("search", "--out", out).status == 0
    for path in out.rglob("*"):
        assert path.is_dir() or b"41.25" not in path.read_bytes()


def test_a_password_that_an_earlier_version_kept_is_not_shown(cli: Cli, finished: Path) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["constraint"]["storage"] = "mysql://me:secret@host/studies"
    (finished / "config.yaml").write_text(yaml.safe_dump(config))
    ended = cli("run", "--out", finished)
    assert ended.status == 0 and "secret" not in ended.out + ended.err
    report = (finished / "report.html").read_text()
    assert "mysql://me:***@host/studies" in report and "secret" not in report
    other = cli("run", "--storage", "mysql://me:$OTHER@host/studies", "--out", finished)
    assert "constraint.storage is mysql://me:***@host/studies there" in other.mistake


def test_a_bound_that_was_refused_can_be_mended(cli: Cli, finished: Path) -> None:
    (finished / "search.json").unlink()
    stored = (finished / "config.yaml").read_text().splitlines()
    trained = "\n".join(stored[: stored.index("constraint:")]) + "\n"
    (finished / "config.yaml").write_text(trained)
    assert "reachable are" in cli("search", "--max-flops", "1K", "--out", finished).mistake
    assert (finished / "config.yaml").read_text() == trained
    assert cli("search", "--max-flops", "130K", "--out", finished).status == 0


def test_an_empty_path_is_not_taken_for_this_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = cli("run", "--data", "digits", "--out", "").mistake
    assert told == "--out is empty: give a path, or leave the option out"
    assert cli("train", *FEW, "--out", "").mistake == "--out is empty: give a path"
    assert cli("show", "").mistake == "DIR is empty: give a path"
    assert not list(tmp_path.iterdir())


def test_the_home_that_a_shell_leaves_in_an_option_is_found(
    cli: Cli, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    monkeypatch.setenv("HOME", str(finished.parent))
    assert cli("search", "--out=~/run").status == 0
    assert not (finished / "~").exists()


@pytest.mark.parametrize("columns", ["0", "1", "12"])
def test_a_terminal_of_hardly_a_column_gets_whole_words(
    columns: str, cli: Cli, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = cli("show", finished_run).out.splitlines()
    assert "Supernet training" in "\n".join(lines) and max(map(len, lines)) > 30


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_character_that_an_output_lacks_does_not_end_a_command(
    locale: dict[str, str], finished_run: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "spos", "show", str(finished_run)],
        capture_output=True,
        text=True,
        env={**os.environ, **locale},
        check=False,
    )
    assert ended.returncode == 0 and "parameters ? the search allowed" in " ".join(
        ended.stdout.split()
    )
