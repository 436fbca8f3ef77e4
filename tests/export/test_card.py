"""The model card: what it says about a run, and its code, which runs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spos.data import load_data
from spos.export import export_run
from spos.export.card import file_lines, model_card
from spos.report.facts import ConstraintFacts, DataFacts, SearchFacts, SpaceFacts
from spos.report.measure import Measure
from spos.report.result import ComparedNetwork, Comparison, NamedNetwork, Result, Retrained, Winner
from spos.space import Architecture

FACTS: dict[str, Any] = {
    "format": "onnx",
    "opset": 20,
    "bytes": 1000,
    "folded": True,
    "stage": "retrain",
    "metadata": {
        "architecture": "1,3",
        "space": "shufflenetv2",
        "channels": 3,
        "image_size": 224,
        "resized_side": 256,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.1, 0.2, 0.3],
        "classes": ["a*b", "<c>"],
        "outputs": 2,
        "loss": "cross-entropy",
        "spos": "0.1.0",
    },
    "check": {
        "images": 1000,
        "of": 5000,
        "agreeing": 999,
        "ties": 1,
        "correct": 900,
        "largest_difference": 0.1,
        "tolerance": 1e-5,
        "largest_output": 5.0,
        "beyond_tolerance": 4,
    },
    "latency": {
        "median_us": 1500.0,
        "quartiles_us": [1400.0, 1700.0],
        "calls": 200,
        "engine": "onnxruntime 1",
        "machine": "a machine",
    },
    "costs": {"flops": 1000000, "params": 2000, "latency": 1200000},
    "test": {"metric": "top-1", "score": 0.9, "images": 5000},
    "versions": {"python": "3.11"},
}
ONE = Architecture([1, 3])
RESULT = Result(
    spos="0.1.0",
    space=SpaceFacts(name="shufflenetv2", preset="tiny", size="65536"),
    metric=Measure(),
    data=DataFacts(
        source="folder:flowers",
        classes=("a*b", "<c>"),
        outputs=2,
        image_size=224,
        channels=3,
        train=100,
        validation=20,
        fingerprint="0",
        test=5000,
        notes=("no test/ folder",),
        skipped=("x",),
    ),
    constraint=ConstraintFacts(maximum={"flops": 1000000.0}),
    search=SearchFacts("evolution", "Evolution", evaluated=500, exhausted=False),
    winner=Winner(ONE, 0, 0, "random", 0.7, {"flops": 1000000, "params": 2000}),
    retrain=Retrained(0.9, 100),
    seeds={"run": 3, "search": 4},
    versions={"torch": "2.13.0"},
)


def test_a_card_says_what_is_known():
    card = model_card(FACTS, RESULT, "a.onnx")
    for told in (
        "classifies 90.0% of the test images correctly",
        "at most 1.000M multiply-adds",
        "2 classes: a\\*b, \\<c\\>",
        "100 training and 20 validation images",
        "no test/ folder",
        "1 broken files were left out",
        "one-shot accuracy",
        "70.0%",
        "not compared with random networks",
        "Evolution, 500 networks evaluated",
        "seeds: run 3, search 4",
        "same class on 999 of 1,000",
        "on the other 1 two classes are tied",
        "on 4 images a value on the boundary of two quantisation levels",
        "latency 1.5ms for one image on one thread",
        "latency by the run's table: 1.2ms",
        "the shorter side to 256 pixels",
    ):
        assert told in card


def test_nothing_that_others_wrote_is_markup_in_it():
    data = replace(RESULT.data, source="folder:`<img src=x>", notes=("<script>",))
    card = model_card(FACTS, replace(RESULT, data=data), "a_<b>.onnx")
    assert "- source: folder:\\`\\<img src=x\\>\n" in card and "# a\\_\\<b\\>.onnx\n" in card
    text = card.replace("".join(f"```python\n{code}```" for code in card.split("```")[1:2]), "")
    assert "<script" not in text.replace("\\<", "")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("folder:/home/ada/for a client/flowers", "folder:flowers"),
        ("folder:/home/ada/flowers/", "folder:flowers/"),
        ("folder:~/flowers", "folder:flowers"),
        ("folder:/flowers", "folder:flowers"),
        ("webdataset:/home/ada/*.tar?test=/b/c/d.tar", "webdataset:\\*.tar?test=d.tar"),
        ("hf:ada/flowers", "hf:ada/flowers"),
        ("folder:photos/flowers", "folder:photos/flowers"),
    ],
)
def test_folders_of_the_machine_are_not_in_it(source: str, shown: str) -> None:
    data = replace(RESULT.data, source=source)
    assert f"- source: {shown}\n" in model_card(FACTS, replace(RESULT, data=data), "a.onnx")


def test_notes_on_the_data_do_not_tell_of_folders_either() -> None:
    data = replace(RESULT.data, source="folder:/home/ada/a", notes=("not read: /home/ada/a/b.gif",))
    card = model_card(FACTS, replace(RESULT, data=data), "a.onnx")
    assert "- not read: a/b.gif\n" in card and "/home" not in card


def test_a_comparison_and_a_network_by_name_are_described():
    costs = {"flops": 1000000, "params": 2000}
    networks = (ComparedNetwork("random 1", "2,2", costs, 0.05, 0.6, 0.8),) * 2
    comparison = Comparison(2, networks, 0.8, 0.0, found_test_score=0.9)
    compared = replace(RESULT, comparison=comparison)
    assert "better than 2 of 2 random networks" in model_card(FACTS, compared, "a.onnx")
    random = {**FACTS, "stage": "compare-1"}
    random["metadata"] = {**FACTS["metadata"], "architecture": "2,2"}
    card = model_card(random, compared, "a.onnx")
    assert (
        "60.0%" in card and "A network that the run compares" in card and "better than" not in card
    )
    named = replace(RESULT, winner=None, search=None, network=NamedNetwork("1,3", costs))
    card = model_card(FACTS, named, "a.onnx")
    assert "not found by a search" in card and "one-shot" not in card


def test_without_a_result_it_has_what_the_file_says():
    card = model_card(FACTS, None, "a.onnx")
    assert "test top-1: 90.0%" in card and "| FLOPs (multiply-adds) | 1.000M (1,000,000) |" in card


@pytest.mark.parametrize("form", ["state-dict", "torch-export"])
def test_its_code_classifies_an_image(
    form: str,
    own_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    facts = export_run(own_run, form, tmp_path / f"network_{form[0]}{suffix(form)}")
    test = load_data("digits").test()
    # Black that is transparent where the digit is light: on white, the digit.
    light = test.pixels([5])[0, 0].numpy()
    layers = [Image.fromarray(values) for values in (0 * light, 255 - light)]
    Image.merge("LA", layers).save(tmp_path / "image.png")
    (code,) = code_of(tmp_path / f"{facts['file']}.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    exec(compile(code, "card", "exec"), {})
    sys.modules.pop(f"network_{form[0]}", None)
    said = capsys.readouterr().out.strip()
    assert (
        said in json.loads((tmp_path / f"{facts['file']}.json").read_text())["metadata"]["classes"]
    )
    assert said == expected(own_run, facts, test.pixels([5]))


def suffix(form: str) -> str:
    return {"state-dict": ".safetensors", "torch-export": ".pt2"}[form]


def code_of(card: Path) -> list[str]:
    return [part.partition("```")[0] for part in card.read_text().split("```python\n")[1:]]


def expected(run: Path, facts: dict[str, Any], pixels: Any) -> str:
    """The class by the trained network itself."""
    from spos.export.deployed import Deployed
    from spos.export.trained import load_trained

    trained = load_trained(run)
    place = int(Deployed(trained.network, trained.metadata)(pixels)[0].argmax())
    return str(facts["metadata"]["classes"][place])


def test_a_network_of_few_bits_is_said_to_be_kept_as_floats() -> None:
    few = {**FACTS, "costs": {**FACTS["costs"], "model_bits": 26496}}
    told = "weights and activations of few bits are computed and kept as float32"
    assert any(line.startswith(told) for line in file_lines(few))
    assert not any(line.startswith(told) for line in file_lines(FACTS))
    assert told in model_card(few, None, "network.onnx")
