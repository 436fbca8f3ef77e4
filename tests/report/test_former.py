"""Files of results on disk: former ones, damaged ones, and those of a newer version."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spos import UserError
from spos._cli.main import main
from spos._util.records import FORMAT, write_record
from spos.report import render
from spos.report.result import Result, read_result

# As it was written before formats had versions.
FORMER = """
{
  "spos": "0.1.0",
  "space": {
    "name": "fbnet", "preset": "tiny", "size": "6",
    "choices": [
      {"name": "stage1.0", "options": ["k3_e1", "k5_e6", "skip"]},
      {"name": "stage2.0", "options": ["k3_e1", "k5_e6"]}
    ]
  },
  "metric": {"name": "top-1", "share": true},
  "data": {
    "source": "digits", "classes": ["0", "1"], "image_size": 8, "channels": 1, "train": 100,
    "validation": 40, "skipped": [], "notes": [], "fingerprint": "80302e0fe6561e31", "test": 359
  },
  "constraint": {"text": "flops >= 1", "maximum": {}, "minimum": {"flops": 1}},
  "search": {
    "algorithm": "evolution", "population": 2, "iterations": 2, "parents": 1,
    "pareto": ["params"], "evaluated": 3, "exhausted": false
  },
  "winner": {
    "architecture": "1,0", "one_shot_top1": 0.75, "flops": 300, "params": 30, "iteration": 1,
    "origin": "mutation", "names": {"stage1.0": "k5_e6", "stage2.0": "k3_e1"},
    "stages": [
      {"name": "stem", "choices": {}, "flops": 100, "params": 10},
      {"name": "body", "choices": {"stage1.0": "k5_e6", "stage2.0": "k3_e1"}, "flops": 200,
       "params": 20}
    ]
  },
  "network": null,
  "retrain": {"test_top1": 0.9, "steps": 40},
  "top": [
    {"architecture": "1,0", "one_shot_top1": 0.75, "flops": 300, "params": 30, "iteration": 1,
     "origin": "mutation"}
  ],
  "front": [
    {"architecture": "1,0", "one_shot_top1": 0.75, "flops": 300, "params": 30, "iteration": 1,
     "origin": "mutation"}
  ],
  "budgets": [
    {"maximum": {"flops": 350}, "architecture": "1,0", "one_shot_top1": 0.75, "flops": 300,
     "params": 30, "iteration": 1, "origin": "mutation", "evaluated": 3, "candidates": 3,
     "test_top1": 0.9}
  ],
  "comparison": {
    "asked": 1,
    "networks": [
      {"name": "random 1", "architecture": "2,1", "within": 0.05, "one_shot_top1": 0.5,
       "test_top1": 0.8, "flops": 290, "params": 29}
    ],
    "random_mean": 0.8, "random_std": null, "found_test_top1": 0.9
  },
  "seconds": {"train": 5.0, "search": 7.0},
  "seeds": {"run": 0, "search": 0},
  "versions": {"python": "3.11.7"},
  "device": "cpu",
  "devices": 1
}
"""


#: A candidate that was trained for a short while, without the scores of that training.
FINALIST = {"architecture": "0,1", "iteration": 0, "position": 0, "origin": "random", "score": 0.5}


def former(**changes: Any) -> dict[str, Any]:
    return {**json.loads(FORMER), **changes}


def write(folder: Path, content: object) -> Path:
    path = folder / "result.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def show(folder: Path, *options: str) -> None:
    main.main(["show", str(folder), *options], standalone_mode=False)


def test_a_former_result_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, FORMER)
    show(tmp_path)
    told = capsys.readouterr().out
    for words in ("classifies 90.0%", "at least 1", "75.0%", "Front", "350", "random 1", "80.0%"):
        assert words in told, words


def test_a_former_result_is_a_page(tmp_path: Path) -> None:
    result = read_result(write(tmp_path, former()))
    page = render(result, result.top, [])
    assert "Evolution scored 3 of 6 architectures" in page
    assert "better than the one random network" in page
    assert "Over parameters" in page


def test_a_former_result_has_the_cost_that_it_was_about(tmp_path: Path) -> None:
    unbounded = {"text": "none", "maximum": {}, "minimum": {}}
    assert read_result(write(tmp_path, former())).primary_cost == "flops"
    assert read_result(write(tmp_path, former(constraint=unbounded))).primary_cost == "params"
    learned = {"algorithm": "fbnet", "charged": "latency", "evaluated": 1, "exhausted": False}
    timed = FORMER.replace('"params": 30,', '"params": 30, "latency": 2000,')
    timed = timed.replace('"params": 29}', '"params": 29, "latency": 1900}')
    content = {**json.loads(timed), "constraint": unbounded, "search": learned}
    result = read_result(write(tmp_path, content))
    assert result.primary_cost == "latency"
    assert result.search and result.search.label == "FBNet" and result.search.method == "fbnet"


def test_former_budgets_keep_their_scores(tmp_path: Path) -> None:
    (budget,) = read_result(write(tmp_path, FORMER)).budgets
    assert budget.maximum == {"flops": 350} and budget.test_score == 0.9
    assert budget.winner.score == 0.75 and budget.winner.costs == {"flops": 300, "params": 30}


def test_the_first_results_said_less_of_stages_and_comparisons(tmp_path: Path) -> None:
    content = former()
    del content["comparison"]["networks"][0]["within"], content["comparison"]["asked"]
    for stage in content["winner"]["stages"]:
        del stage["choices"]
    result = read_result(write(tmp_path, content))
    assert result.winner and result.comparison
    assert [stage.costs["flops"] for stage in result.winner.stages] == [100, 200]
    assert result.comparison.networks[0].within == 0.05
    assert "random 1" in render(result, result.top, [])


def test_a_result_is_read_as_it_was_written(tmp_path: Path, result: Result) -> None:
    write_record(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is damaged"),
        ("[1]", "is damaged"),
        ({"winner": None}, "is damaged"),
        (former(device=3), "is damaged (device: "),
        (former(finalists=[FINALIST]), "is damaged (finalists.0.rungs: "),
        (former(finalists=[{**FINALIST, "rungs": []}]), "is damaged (finalists.0.rungs: "),
        ({**former(), "format": FORMAT}, "is damaged"),
        ({**former(), "format": FORMAT + 1}, f"has format {FORMAT + 1} of a newer spos"),
    ],
)
def test_a_damaged_or_newer_result_gives_one_line(
    tmp_path: Path, content: object, says: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UserError) as raised:
        show(tmp_path)
    assert str(raised.value).startswith(f"{path} {says}")
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_result_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run directory"):
        show(tmp_path)


def test_json_is_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, former())
    show(tmp_path, "--json")
    assert capsys.readouterr().out == path.read_text()


def test_a_result_is_shown_without_torch(tmp_path: Path) -> None:
    write(tmp_path, former())
    code = (
        "import sys; from spos._cli.main import main; "
        f"main.main(['show', {str(tmp_path)!r}], standalone_mode=False); "
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "False"
