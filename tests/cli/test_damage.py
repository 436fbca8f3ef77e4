"""Damaged run directories: one line names what is lost, and what can be saved is saved."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import FEW, SAVED_ONCE, SMALL, Ended, Started, files_of, result_of, until
from safetensors.torch import load

from spos._util.files import read_json, write_json
from spos.run.config_file import write_config_file
from spos.search.sqlite import open_file

Cli = Callable[..., Ended]


def newest(folder: Path) -> Path:
    return max(folder.glob("step-*.safetensors"))


def forget(out: Path, *stages: str) -> None:
    """Leave a run as it is before the end of some stages."""
    for stage in stages:
        (out / f"{stage}.json").unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, alter])
def test_of_two_checkpoints_the_undamaged_one_is_used(
    harm: Callable[[Path], None], cli: Cli, finished: Path
) -> None:
    last = newest(finished / "supernet")
    weights = load(last.read_bytes())
    result = result_of(finished)
    previous = int(min((finished / "supernet").iterdir()).name[5:13])
    harm(last)
    forget(finished, "train")
    ended = cli("run", "--threads", "1", "--out", finished)
    assert ended.status == 0
    (told,) = ended.told
    assert told.startswith(f"spos: damaged checkpoint: {last} ")
    assert told.endswith(f"resuming from step {previous} instead")
    again = load(last.read_bytes())
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert result_of(finished) == result


def test_without_an_undamaged_checkpoint_nothing_is_trained(cli: Cli, finished: Path) -> None:
    forget(finished, "train")
    for path in (finished / "supernet").iterdir():
        cut(path)
    mistake = cli("train", "--out", finished).mistake
    assert mistake.startswith(f"every checkpoint in {finished / 'supernet'} is damaged")
    assert mistake.endswith("delete the folder to train from scratch")


def test_a_supernet_that_is_lost_after_its_training_is_missed_by_the_search(
    cli: Cli, finished: Path
) -> None:
    newest(finished / "supernet").unlink()
    assert cli("run", "--out", finished).status == 0
    forget(finished, "search")
    mistake = cli("run", "--out", finished).mistake
    assert "no longer has a trained supernet" in mistake
    assert "delete train.json" in mistake
    # The advice is good.
    forget(finished, "train")
    assert cli("run", "--threads", "1", *SAVED_ONCE, "--out", finished).status == 0


def test_a_run_without_its_configuration_is_not_restarted(cli: Cli, finished: Path) -> None:
    (finished / "config.yaml").unlink()
    before = files_of(finished)
    assert "config.yaml is missing" in cli("run", *SMALL, "--out", finished).mistake
    assert [name for name in files_of(finished) if name != ".lock"] == [
        name for name in before if name != ".lock"
    ]


def test_a_study_that_is_lost_in_a_search_is_missed(cli: Cli, finished: Path) -> None:
    forget(finished, "search")
    for path in finished.glob("study.db*"):
        path.unlink()
    mistake = cli("run", "--out", finished).mistake
    assert mistake.startswith(f"{finished / 'study.db'} is missing although the search was started")
    (finished / ".search-seconds").unlink()
    result = result_of(finished)
    assert cli("search", "--threads", "1", "--out", finished).status == 0
    assert result_of(finished) == result


def test_a_study_of_another_search_is_told(cli: Cli, finished: Path) -> None:
    forget(finished, "search")
    for path in finished.glob("study.db-*"):
        path.unlink()
    with closing(sqlite3.connect(finished / "study.db")) as study, study:
        study.execute("UPDATE studies SET study_name = 'of another'")
    result = result_of(finished)
    told = f"{finished / 'study.db'} has the evaluations of another search, and none of this one"
    assert told in cli("search", "--threads", "1", "--out", finished).err
    assert result_of(finished) == result
    forget(finished, "search")
    assert told not in cli("search", "--threads", "1", "--out", finished).err


@pytest.mark.parametrize("content", [b"", b"x" * 9000, None])
def test_a_damaged_study_stops_the_search(content: bytes | None, cli: Cli, finished: Path) -> None:
    forget(finished, "search")
    study = finished / "study.db"
    for path in finished.glob("study.db-*"):
        path.unlink()
    study.write_bytes(study.read_bytes()[:20000] if content is None else content)
    before = study.read_bytes()
    mistake = cli("run", "--out", finished).mistake
    assert mistake.startswith(f"study file {study} is damaged")
    assert study.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ["", "run: [", "- 1", "text", "ran: {}", "run: 5", "run: " + "[" * 3000, "run: 2026-13-01"],
)
def test_a_damaged_configuration_is_refused(content: str, cli: Cli, finished: Path) -> None:
    config = finished / "config.yaml"
    config.write_text(content)
    assert cli("run", "--out", finished).mistake.startswith(f"{config} is damaged: ")
    assert config.read_text() == content


def test_a_changed_configuration_is_refused_unless_it_is_kept_on_purpose(
    cli: Cli, finished: Path
) -> None:
    config = finished / "config.yaml"
    stored = config.read_text()
    changed = stored.replace("evaluation_batch: 64", "evaluation_batch: 32")
    config.write_text(changed)
    mistake = cli("run", "--out", finished).mistake
    assert mistake.startswith(f"{config} is damaged: its digest differs: it does not hold")
    config.write_text(changed.replace("# digest: ", "# was: "))
    assert cli("run", "--out", finished).status == 0
    # Not what would be untrue of a search that is finished.
    config.write_text(stored.replace("seed: 0", "seed: 3").replace("# digest: ", "# was: "))
    told = f"{finished / 'search.json'} disagrees with the rest of the run: search.seed 0, 3 in"
    assert cli("run", "--out", finished).mistake.startswith(told)
    config.write_bytes(stored.encode().replace(b"\n", b"\r\n"))
    assert cli("run", "--out", finished).status == 0


def test_the_configuration_of_another_run_is_refused(cli: Cli, finished: Path) -> None:
    config = finished / "config.yaml"
    write_config_file(config, yaml.safe_load(config.read_text()), "another run")
    mistake = cli("run", "--out", finished).mistake
    assert mistake.startswith(f"{config} is damaged: its digest differs: ")
    assert "or is of another run; restore it" in mistake
    assert cli("train", *FEW, "--seed", "1", "--out", finished.parent / "other").status == 0
    shutil.copyfile(finished.parent / "other" / "config.yaml", config)
    assert cli("run", "--out", finished).mistake == mistake


@pytest.mark.parametrize("name", ["train.json", "search.json", "retrain.json", "data.json"])
@pytest.mark.parametrize(
    "content",
    ["", '{"seconds": 1', "{}", "[]", "\x00\xff", "[" * 100_000, '{"seconds": ' + "1" * 5000 + "}"],
)
def test_a_damaged_outcome_is_refused(name: str, content: str, cli: Cli, finished: Path) -> None:
    (finished / name).write_bytes(content.encode("latin-1"))
    mistake = cli("run", "--out", finished).mistake
    assert mistake.startswith(f"{finished / name} is damaged")
    assert "delete it" in mistake or "restore it" in mistake


@pytest.mark.parametrize("content", ["", '{"winner": ', "[]", "{}", "\xff", "[" * 100_000])
def test_a_damaged_result_is_refused_and_written_again(
    content: str, cli: Cli, finished: Path
) -> None:
    path = finished / "result.json"
    before = path.read_bytes()
    path.write_bytes(content.encode("latin-1"))
    assert cli("show", finished).mistake.startswith(f"{path} is damaged")
    assert cli("show", finished, "--json").status == 2
    assert cli("run", "--out", finished).status == 0
    assert path.read_bytes() == before


def test_a_network_without_the_costs_of_the_others_is_damage(cli: Cli, finished: Path) -> None:
    path = finished / "result.json"
    content = read_json(path)
    costs = content["comparison"]["uniform"]["costs"]
    costs["FLOPS"] = costs.pop("flops")
    write_json(path, content)
    told = f"{path} is damaged (the uniform network has no cost flops): "
    assert cli("show", finished).mistake.startswith(told)


def test_a_candidate_without_the_costs_of_the_others_is_damage(cli: Cli, finished: Path) -> None:
    path = finished / "search.json"
    content = read_json(path)
    del content["candidates"][3]["costs"]["flops"]
    write_json(path, content)
    told = f"{path} is damaged (a candidate lacks the cost flops, which others have)"
    assert cli("run", "--out", finished).mistake.startswith(told)


def test_a_stage_that_is_none_is_damage(cli: Cli, finished: Path) -> None:
    path = finished / "result.json"
    content = read_json(path)
    content["seconds"]["trian"] = 1
    write_json(path, content)
    assert cli("show", finished).mistake.startswith(f"{path} is damaged (seconds.trian")


def test_a_file_of_another_kind_in_the_way_is_one_line(cli: Cli, finished: Path) -> None:
    for name in ("result.json", "train.json"):
        (finished / name).unlink()
        (finished / name).mkdir()
        assert f"{finished / name}: Is a directory" in cli("run", "--out", finished).mistake
    assert cli("show", finished).mistake == f"{finished / 'result.json'}: Is a directory"


@pytest.mark.parametrize(
    ("name", "digit"),
    [
        ("train.json", '"steps": 3'),
        ("search.json", '"score": -'),
        ("retrain.json", '"test_score": 0.'),
        ("compare.json", '"random_mean": 0.'),
        ("predictions.json", '"true_probability": 0.'),
        ("data.json", '"train": 1'),
        ("result.json", '"test_score": 0.'),
        ("compare-1.json", '"test_score": 0.'),
        ("compare-uniform.json", '"flops": 1'),
    ],
)
def test_an_altered_digit_is_noticed(name: str, digit: str, cli: Cli, finished: Path) -> None:
    path = finished / name
    text = path.read_text()
    assert digit in text
    path.write_text(text.replace(digit, f"{digit}9"))
    command = ("show", finished) if name == "result.json" else ("run", "--out", finished)
    mistake = cli(*command).mistake
    assert mistake.startswith(f"{path} is damaged (it does not hold what was written to it")


@pytest.mark.parametrize(
    ("key", "value"),
    [("channels", -1), ("outputs", 0), ("outputs", 10**30), ("image_size", 2**63), ("train", -5)],
)
def test_images_that_nobody_has_are_refused(
    key: str, value: int, cli: Cli, finished: Path, tmp_path: Path
) -> None:
    path = finished / "data.json"
    write_json(path, {**read_json(path), key: value})
    ended = cli("latency", "--run", finished, "--out", tmp_path / "latency.json")
    assert ended.mistake.startswith(f"{path} is damaged ({key}: Input should be ")


def test_more_outputs_than_classes_are_damage(cli: Cli, finished: Path) -> None:
    path = finished / "data.json"
    write_json(path, {**read_json(path), "outputs": 11})
    mistake = cli("train", "--out", finished).mistake
    assert mistake.startswith(f"{path} is damaged (10 classes, 11 outputs)")


def of_another_candidate(content: dict[str, Any]) -> None:
    content["candidates"][0]["score"] -= 1


def of_another_bound(content: dict[str, Any]) -> None:
    content["settings"]["constraint"]["maximum"] = {"flops": 1000}


def of_another_option(content: dict[str, Any]) -> None:
    stages = content["stages"]["distinct"]
    next(one for one in stages if "stage1.0" in one["choices"])["choices"]["stage1.0"] = "nothing"


def of_another_name(content: dict[str, Any]) -> None:
    content["winner"]["names"]["stage1.0"] = "nothing"


def of_another_cost(content: dict[str, Any]) -> None:
    content["winner"]["costs"]["flops"] = 1


def of_another_mean(content: dict[str, Any]) -> None:
    content["comparison"]["random_mean"] = 0.9


def of_another_space(content: dict[str, Any]) -> None:
    content["candidates"][2]["architecture"] = "1000000,0,0"


def of_another_network(content: dict[str, Any]) -> None:
    content["architecture"] = "3,3,3"


def of_another_training(content: dict[str, Any]) -> None:
    content["comparison"]["found_test_score"] += 0.5


def of_another_network_compared(content: dict[str, Any]) -> None:
    content["comparison"]["networks"][1]["test_score"] += 0.5


def of_other_images(content: dict[str, Any]) -> None:
    content["predictions"]["counts"][0][2] += 1


@pytest.mark.parametrize(
    ("stage", "change", "told"),
    [
        ("search", of_another_candidate, "in study.db"),
        ("search", of_another_bound, "maximum flops=1000, flops=130000 in config.yaml"),
        ("search", of_another_option, "stage1.0 nothing, none of the space in config.yaml"),
        ("search", of_another_name, "stage1.0 nothing, "),
        ("search", of_another_cost, "flops=1,params="),
        ("compare", of_another_mean, "mean test score 0.9 of the random networks"),
        ("search", of_another_space, "architecture 1000000,0,0, none of the space"),
        ("retrain", of_another_network, "network 3,3,3, the network "),
        ("compare", of_another_training, "in retrain.json"),
        ("compare", of_another_network_compared, "in compare-*.json"),
        ("predictions", of_other_images, "of 359 in retrain.json"),
    ],
)
@pytest.mark.parametrize("former", [False, True])
def test_files_of_two_runs_disagree(
    stage: str,
    change: Callable[[dict[str, Any]], None],
    told: str,
    former: bool,
    cli: Cli,
    finished: Path,
) -> None:
    path = finished / f"{stage}.json"
    content = read_json(path)
    change(content)
    path.write_text(json.dumps(content)) if former else write_json(path, content)
    mistake = cli("run", "--out", finished).mistake
    assert mistake.startswith(f"{path} disagrees with the rest of the run: ")
    assert told in mistake


@pytest.mark.parametrize("stage", ["train", "search", "compare-uniform"])
def test_the_outcome_of_another_run_is_refused(
    stage: str, cli: Cli, finished: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    command = ("run", *FEW, "--max-flops", "130K", "--compare", "1")
    assert cli(*command, "--seed", "1", "--out", other).status == 0
    shutil.copy(other / f"{stage}.json", finished)
    forget(finished, "compare")
    mistake = cli("run", "--compare", "2", "--out", finished).mistake
    path, started = finished / f"{stage}.json", finished / "data.json"
    assert mistake.startswith(f"{path} is of another run than {started}: restore the one ")


def test_the_result_of_another_run_is_not_shown(cli: Cli, finished: Path) -> None:
    path, started = finished / "result.json", finished / "data.json"
    content = read_json(path)
    assert content["run"] == read_json(started)["run"]
    write_json(path, {**content, "run": "0"})
    mistake = cli("show", finished).mistake
    assert mistake.startswith(f"{path} is of another run than {started}: rerun the command ")
    # Alone it may be anybody's, and so may former ones.
    assert cli("run", "--out", finished).status == cli("show", finished).status == 0
    write_json(path, {**content, "run": ""})
    assert cli("show", finished).status == 0
    write_json(path, {**content, "run": "0"})
    started.unlink()
    assert cli("show", finished).status == 0


@pytest.mark.parametrize("stage", ["train", "search", "retrain"])
def test_the_checkpoints_of_another_run_are_refused(
    stage: str, cli: Cli, finished: Path, tmp_path: Path
) -> None:
    other, folder = tmp_path / "other", "retrain" if stage == "retrain" else "supernet"
    command = ("run", *SMALL, *SAVED_ONCE, "--max-flops", "130K")
    assert cli(*command, "--seed", "1", "--out", other).status == 0
    shutil.rmtree(finished / folder)
    shutil.copytree(other / folder, finished / folder)
    forget(finished, stage)
    mistake = cli("run", "--out", finished).mistake
    path = newest(finished / folder)
    assert mistake.startswith(f"{path} is a checkpoint of another run: restore those of this one")


@pytest.mark.parametrize("number", [-1, 10, 10**30])
def test_predictions_of_a_class_that_is_none_are_damage(
    number: int, cli: Cli, finished: Path
) -> None:
    path = finished / "predictions.json"
    content = read_json(path)
    content["predictions"]["counts"][0][1] = number
    write_json(path, content)
    assert cli("run", "--out", finished).mistake.startswith(f"{path} is damaged (predictions")


@pytest.mark.parametrize("places", ["5x", "", "0,9999", "-1"])
def test_a_stage_of_a_candidate_that_is_none_is_damage(
    places: str, cli: Cli, finished: Path
) -> None:
    path = finished / "search.json"
    content = read_json(path)
    content["stages"]["places"][content["winner"]["architecture"]] = places
    write_json(path, content)
    assert cli("run", "--out", finished).mistake.startswith(f"{path} is damaged (stages")


def test_files_without_a_digest_are_read(cli: Cli, finished: Path) -> None:
    result = result_of(finished)
    for path in finished.glob("*.json"):
        path.write_text(json.dumps(read_json(path)))
    assert cli("run", "--out", finished).status == 0
    assert result_of(finished) == result
    for path in finished.glob("study.db*"):
        path.unlink()
    assert cli("run", "--out", finished).status == 0


def test_damaged_lines_of_the_curves_are_left_out(cli: Cli, finished: Path) -> None:
    assert cli("run", "--out", finished).status == 0
    report = (finished / "report.html").read_bytes()
    lines = (
        *('{"stage": 5}', '{"stage": "train", "step": "x"}', '{"loss": 1}', "[" * 100_000),
        *(f'{{"stage": "retrain", "step": 1, "validation_images": {n}}}' for n in (5, '"x"')),
    )
    with (finished / "metrics.jsonl").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    assert cli("run", "--out", finished).status == 0
    assert (finished / "report.html").read_bytes() == report


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("config.yaml", "is damaged: it is not a regular file"),
        ("metrics.jsonl", "cannot be read (it is not a regular file): restore or delete it"),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_not_read(
    name: str, told: str, cli: Cli, finished: Path
) -> None:
    path = finished / name
    path.unlink()
    os.mkfifo(path)
    assert cli("run", "--out", finished).mistake == f"{path} {told}"


@pytest.mark.parametrize("content", ["inf", "nan", "half"])
def test_a_damaged_stopwatch_begins_anew(content: str, cli: Cli, finished: Path) -> None:
    forget(finished, "search")
    (finished / ".search-seconds").write_text(content)
    assert cli("search", "--threads", "1", "--out", finished).status == 0


def test_a_pipe_in_the_place_of_a_stopwatch_is_not_read(cli: Cli, finished: Path) -> None:
    forget(finished, "search")
    path = finished / ".search-seconds"
    path.unlink()
    os.mkfifo(path)
    assert cli("search", "--threads", "1", "--out", finished).status == 0


def test_a_loss_that_is_not_a_number_stops_the_training_and_keeps_what_was_good(
    cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    settings = (*SMALL, "--set", "supernet.learning_rate=1e30", "--set", "run.save_every=0")
    for _ in range(2):
        mistake = cli("run", *settings, "--out", out).mistake
        assert mistake.startswith(("the loss became ", "non-finite weights "))
        step = int(mistake.split(" at step ")[1].split()[0])
        assert newest(out / "supernet").name == f"step-{step - 1:08d}.safetensors"
        weights = load(newest(out / "supernet").read_bytes())
        assert all(tensor.isfinite().all() for tensor in weights.values())
    assert not (out / "train.json").exists()


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    """A disk that is full, as far as a process can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_a_training_with_one_line(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with no_file_larger_than(8192):
        mistake = cli("train", *SMALL, "--out", out).mistake
    assert mistake.endswith("File too large")
    assert list((out / "supernet").iterdir()) == []


def test_a_thread_that_cannot_write_curves_ends_in_one_line(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = start("train", *SMALL, "--set", "supernet.steps=20000", "--out", out)
    until(lambda: list(out.glob("supernet/step-*")), run.process)
    shutil.rmtree(out / "tensorboard")
    ended = run.wait()
    assert ended.status == 2 and "Traceback" not in ended.err
    assert str(out / "tensorboard") in ended.told[-1]


@pytest.mark.parametrize("started", [False, True])
def test_a_full_disk_stops_a_search_with_one_line(
    started: bool, cli: Cli, finished: Path, finished_run: Path
) -> None:
    forget(finished, "search")
    study = finished / "study.db"
    for path in (*finished.glob("study.db*"), finished / ".search-seconds"):
        path.unlink()
    if started:
        open_file(study)
    # Enough for the file as it is, not for its log of changes.
    with no_file_larger_than(study.stat().st_size + 20_000 if started else 8192):
        mistake = cli("search", "--threads", "1", "--out", finished).mistake
    assert str(study) in mistake and "Background on" not in mistake
    assert not (finished / "search.json").exists()
    assert cli("search", "--threads", "1", "--out", finished).status == 0
    assert result_of(finished) == result_of(finished_run)


def test_leftovers_of_a_kill_are_removed(cli: Cli, finished: Path) -> None:
    left = (
        "supernet/.step-00000044.safetensors.a1b2",
        ".result.json.a1b2",
        ".metrics.jsonl.a1b2",
        ".study.db.123",
        "..search-seconds.a1b2",
    )
    for name in left:
        (finished / name).write_text("half")
    (finished / ".gitignore").write_text("mine")
    assert cli("run", "--out", finished).status == 0
    assert not [name for name in left if (finished / name).exists()]
    assert (finished / ".gitignore").read_text() == "mine"


def test_half_a_line_of_the_curves_is_dropped_when_the_training_resumes(
    cli: Cli, finished: Path
) -> None:
    forget(finished, "retrain")
    metrics = finished / "metrics.jsonl"
    newest(finished / "retrain").unlink()
    before = metrics.read_text().splitlines()
    metrics.write_text("\n".join(before) + '\n{"stage": "retr')
    shutil.rmtree(finished / "tensorboard")
    assert cli("run", "--threads", "1", "--out", finished).status == 0
    assert '{"stage": "retr\n' not in metrics.read_text()
    assert all(line.endswith("}") for line in metrics.read_text().splitlines())
