"""What the report of a run tells its user to do, done as it is printed."""

from __future__ import annotations

import contextlib
import html
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from commands import Ended
from PIL import Image

from spos.data import load_data

Cli = Callable[..., Ended]


def boxes(out: Path) -> dict[str, str]:
    """The texts to copy, by what they are."""
    page = (out / "report.html").read_text(encoding="utf-8")
    found = re.findall(r'<pre class="copy" data-what="(\w+)">(.*?)</pre>', page, re.DOTALL)
    return {what: html.unescape(text) for what, text in found}


def test_the_report_shows_the_network_at_work(finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    predictions = json.loads((finished_run / "predictions.json").read_text())["predictions"]
    right = sum(count for true, given, count in predictions["counts"] if true == given)
    images = sum(count for *_, count in predictions["counts"])
    assert images == result["data"]["test"]
    assert right / images == result["retrain"]["test_score"]
    page = (finished_run / "report.html").read_text()
    assert f"Of {images} test images it misclassifies {images - right}." in page
    assert page.count('src="data:image/png;base64,') == len(predictions["mistakes"]) == 10
    metrics = [json.loads(line) for line in (finished_run / "metrics.jsonl").open()]
    searched = [line for line in metrics if line["stage"] == "evaluation"]
    assert sum(line["candidates"] for line in searched) == result["search"]["evaluated"] == 18
    assert "Sharing saved" in page
    # Of the whole process, which grows with the tests before.
    assert re.search(r"<td>(\d+ MiB|\d\.\d GiB)</td>", page)


def test_a_run_without_predictions_is_shown_without(cli: Cli, finished: Path) -> None:
    (finished / "predictions.json").unlink()
    assert cli("run", "--out", finished).status == 0
    page = (finished / "report.html").read_text()
    assert "The network at work" not in page and "How to use it" in page


def test_the_settings_are_those_of_the_run(finished_run: Path) -> None:
    copied = boxes(finished_run)
    assert yaml.safe_load(copied["settings"]) == yaml.safe_load(
        (finished_run / "config.yaml").read_text()
    )
    winner = json.loads((finished_run / "result.json").read_text())["winner"]
    assert copied["architecture"].splitlines()[0] == winner["architecture"]


def test_commands_and_python_do_what_they_say(
    cli: Cli, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
    # The report names the folder of its own run.
    assert cli("run", "--out", finished).status == 0
    monkeypatch.chdir(tmp_path)
    Image.fromarray(load_data("digits").test().pixels([0])[0, 0].numpy()).save("photo.jpg")
    copied = boxes(finished)
    outputs = []
    for line in copied["commands"].splitlines():
        program, *arguments = shlex.split(line)
        ended = cli(*arguments)
        assert (program, ended.status) == ("spos", 0), ended.err
        outputs.append(ended.out)
    assert outputs[-1].startswith("photo.jpg\n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(copied["python"], {})
    best = re.search(r"'class': '(\d)'", printed.getvalue())
    assert best and f"%  {best[1]}\n" in outputs[-1].splitlines(keepends=True)[1]
