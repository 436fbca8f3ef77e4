"""The sections of tables and heat maps."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from spos.report import render, words
from spos.report.at_work import AtWork, collect_at_work
from spos.report.attachments import Attachments, Mistake, Predictions
from spos.report.facts import ChoiceFacts, LatencyFacts
from spos.report.learned import FEWEST, collect_shares, effects_table
from spos.report.resources import EVALUATION, collect_resources
from spos.report.result import Finalist, Result, Rung
from spos.search import Candidate
from spos.space import Architecture

from .conftest import Run


def predict(classes: int, counts: dict[tuple[int, int], int], name: str = "class") -> Predictions:
    wrong = [pair for pair in counts if pair[0] != pair[1]]
    return Predictions(
        classes=tuple(f"{name} {number}" for number in range(classes)),
        counts=tuple((*pair, count) for pair, count in counts.items()),
        mistakes=tuple(
            Mistake(place, *pair, probability=0.875, true_probability=0.0625, image="iVBORw0KGgo=")
            for place, pair in enumerate(wrong[:10])
        ),
    )


def at_work(predictions: Predictions) -> AtWork:
    collected = collect_at_work(predictions)
    assert collected
    return collected


def section(page: str, title: str) -> str:
    """A section of a page by its heading."""
    (found,) = (part for part in page.split("<section>") if f"<h2>{title}</h2>" in part)
    return found.split("</section>")[0]


def candidate(options: tuple[int, ...], iteration: int, score: float, flops: int) -> Candidate:
    return Candidate(Architecture(options), iteration, 0, "random", score, {"flops": flops})


def with_choices(run: Run, *options: tuple[str, ...]) -> Result:
    choices = tuple(ChoiceFacts(f"layer{n}", names) for n, names in enumerate(options))
    return replace(run.result, space=replace(run.result.space, choices=choices))


def test_shares_are_those_of_the_best_candidates_so_far(run: Run) -> None:
    result = with_choices(run, ("a", "b"), ("b", "c"))
    assert result.search
    result = replace(result, search=replace(result.search, parents=2))
    candidates = [
        candidate((0, 0), 0, 0.1, 1),
        candidate((0, 1), 0, 0.2, 1),
        candidate((1, 1), 0, 0.05, 1),
        candidate((1, 0), 1, 0.0, 1),
        candidate((1, 1), 2, 0.3, 1),
    ]
    learned = collect_shares(result, candidates)
    assert learned and learned.count == 2
    first, second = learned.groups
    assert (first.options, second.options) == (("a", "b"), ("b", "c"))
    assert [map.caption for map in first.maps] == [f"after iteration {n}" for n in (0, 1, 2)]
    assert [map.rows for map in first.maps] == [
        (("layer0", (1.0, 0.0)),),
        (("layer0", (1.0, 0.0)),),
        (("layer0", (0.5, 0.5)),),
    ]
    assert [map.rows[0][1] for map in second.maps] == [(0.5, 0.5), (0.5, 0.5), (0.0, 1.0)]
    assert collect_shares(result, candidates[:3]) is None


@pytest.mark.parametrize("depths", [(2, 3, 3), (4, 4, 8, 4)])
def test_the_heat_map_has_a_row_for_each_layer(
    make: Callable[..., Run], depths: tuple[int, ...]
) -> None:
    run = make(depths=depths, count=150, networks=0, scale=1)
    part = section(render(*run.arguments), "What the search learned")
    assert part.count('<table class="heat">') == 3
    assert part.count('<th scope="row">') == 3 * sum(depths)
    assert part.count('<th scope="col"><span>') == 3 * 4
    for row in re.findall(r'<th scope="row">.*?</tr>', part):
        assert sum(int(share) for share in re.findall(r"--s:(\d+)%", row)) == 100


def test_many_options_have_two_heat_maps(run: Run) -> None:
    result = with_choices(run, tuple("abcdefg"))
    candidates = [candidate((0,), iteration, 0.5, 1) for iteration in range(4)]
    for count in (4, 2):
        learned = collect_shares(result, candidates[:count])
        assert learned
        captions = [map.caption for map in learned.groups[0].maps]
        assert captions == ["after iteration 0", f"after iteration {count - 1}"]


def test_an_option_that_a_choice_lacks_is_no_share(run: Run) -> None:
    result = with_choices(run, ("skip", "3x3", "5x5"), ("3x3", "5x5"))
    candidates = [candidate((0, 0), 0, 0.5, 1), candidate((1, 1), 1, 0.4, 1)]
    learned = collect_shares(result, candidates)
    assert learned
    (group,) = learned.groups
    assert group.maps[0].rows == (("layer0", (1.0, 0.0, 0.0)), ("layer1", (None, 1.0, 0.0)))


def test_effects_are_differences_of_means_with_their_interval(run: Run) -> None:
    draw = random.Random(0)
    result = with_choices(run, ("a", "b", "c"), ("on", "off"))
    candidates = []
    for number in range(300):
        options = (draw.randrange(3), draw.randrange(2))
        score = 0.5 + 0.1 * (options[0] == 1) + 0.02 * (options[1] == 0) + draw.gauss(0, 0.01)
        candidates.append(candidate(options, number // 100, score, 100 + 10 * draw.randrange(9)))
    table = effects_table(result, candidates)
    assert table and table.left_out == 0
    effects = table.effects
    assert (effects[0].choice, effects[0].option) == ("layer0", "b")
    # Of two options the better one is listed.
    assert [one.option for one in effects if one.choice == "layer1"] == ["on"]
    largest = effects[0]
    assert abs(largest.gain - 0.1) < largest.error < 0.01
    assert largest.adjusted is not None and abs(largest.adjusted - 0.1) < 0.01
    assert [abs(one.gain) for one in effects] == sorted(
        (abs(o.gain) for o in effects), reverse=True
    )


def test_an_effect_of_the_cost_is_told_apart(run: Run) -> None:
    """Options that only cost more gain nothing among candidates of equal cost."""
    draw = random.Random(1)
    result = with_choices(run, ("small", "large"))
    candidates = []
    for _ in range(400):
        option = draw.randrange(2)
        flops = 1000 + 200 * option + draw.randrange(400)
        candidates.append(candidate((option,), 0, flops / 1e4 + draw.gauss(0, 0.002), flops))
    table = effects_table(result, candidates)
    assert table
    (effect,) = table.effects
    assert effect.option == "large" and effect.gain > 0.015 and effect.cost > 150
    assert effect.adjusted is not None and abs(effect.adjusted) < 0.002


def test_what_few_candidates_have_is_no_effect(run: Run) -> None:
    result = with_choices(run, ("a", "b", "c"))
    rare = [candidate((2,), 0, 0.9, 1) for _ in range(FEWEST - 1)]
    common = [candidate((n % 2,), 0, 0.1 + n / 100, 1) for n in range(2 * FEWEST)]
    table = effects_table(result, common + rare)
    assert table and table.left_out == 1
    assert {row.option for row in table.effects} == {"a", "b"}
    # All have the same cost.
    assert {(row.cost, row.adjusted) for row in table.effects} == {(0, None)}
    assert effects_table(result, common[:FEWEST]) is None


def test_equal_scores_have_no_effect_and_no_error(run: Run) -> None:
    result = replace(with_choices(run, ("a", "b", "c")), winner=None)
    equal = [candidate((n % 3,), 0, 0.5, n) for n in range(30)]
    part = section(render(result, equal, []), "What the search learned")
    assert part.count("<td>+0.0 ± 0.0</td>") == 3


def test_a_few_classes_have_a_whole_matrix(run: Run) -> None:
    counts = {(0, 0): 8, (0, 1): 2, (1, 1): 5, (2, 1): 3}
    shown = at_work(predict(4, counts))
    assert (shown.images, shown.wrong) == (18, 5)
    assert shown.matrix and shown.matrix.whole
    assert [row.cells for row in shown.matrix.rows] == [
        (8, 2, 0, 0),
        (0, 5, 0, 0),
        (0, 3, 0, 0),
        (0, 0, 0, 0),
    ]
    assert [(row.name, row.accuracy, row.images) for row in shown.classes] == [
        ("class 2", 0.0, 3),
        ("class 0", 0.8, 10),
        ("class 1", 1.0, 5),
    ]
    assert all(row.low <= row.accuracy <= row.high for row in shown.classes)
    assert [(one.true, one.predicted, one.share) for one in shown.confusions] == [
        ("class 2", "class 1", 1.0),
        ("class 0", "class 1", 0.2),
    ]


def test_of_many_classes_those_that_are_confused_most_are_shown(run: Run) -> None:
    draw = random.Random(0)
    counts = {(number, number): 40 for number in range(1000)}
    for _ in range(3000):
        pair = (draw.randrange(1000), draw.randrange(1000))
        counts[pair] = counts.get(pair, 0) + 1
    counts[7, 8] = 30
    shown = at_work(predict(1000, counts))
    matrix = shown.matrix
    assert matrix and not matrix.whole and {"class 7", "class 8"} <= set(matrix.names)
    assert len(matrix.names) == 12
    for row in matrix.rows:
        assert sum(row.cells) + row.other == row.images
    assert len(shown.confusions) == 10 and shown.confusions[0].images == 30
    page = render(*run.arguments, attachments=Attachments("runs/a", "", predict(1000, counts)))
    assert "The classes that are confused most" in page
    assert len(page.encode()) < 1_500_000
    # Every class has its accuracy, most of them folded away.
    assert section(page, "The network at work").count('<td class="text name">class') == 1000 + 20


def test_nothing_wrong_is_no_confusion(run: Run) -> None:
    few = predict(3, {(n, n): 5 for n in range(3)})
    page = render(*run.arguments, attachments=Attachments("", "", few))
    part = section(page, "The network at work")
    assert "classifies all 15 test images correctly" in part
    assert "confusions" not in part and "worst-classified" not in part
    many = at_work(predict(30, {(n, n): 5 for n in range(30)}))
    assert many.matrix is None


def test_the_latency_is_that_of_the_table(run: Run) -> None:
    winner = run.result.winner
    assert winner
    facts = LatencyFacts("ns", "onnxruntime", "cpu", "A CPU", 2, 1, False)
    costs = {**winner.costs, "latency": 4_080_000}
    timed = run.change(winner=replace(winner, costs=costs), latency=facts)
    attached = Attachments(predictions=predict(2, {(0, 0): 1}))
    words = " ".join(render(*timed.arguments, attachments=attached).split())
    assert "is 4.08ms for one image on A CPU (onnxruntime, 2 threads)" in words
    part = section(render(*run.arguments, attachments=attached), "The network at work")
    assert "latency" not in part


def test_an_image_is_shown_with_what_it_was_taken_for(run: Run) -> None:
    hostile = '"><script>alert(1)</script>'
    page = render(*run.arguments, attachments=Attachments("", "", predict(2, {(0, 1): 1}, hostile)))
    part = section(page, "The network at work")
    assert part.count("<img ") == part.count('src="data:image/png;base64,iVBORw0KGgo="') == 1
    assert "<script>" not in part and "&lt;script&gt;" in part
    assert "87.5%" in part and "6.2%" in part


def test_without_attachments_there_is_no_such_section(run: Run) -> None:
    page = render(*run.arguments)
    assert "The network at work" not in page and "How to use it" not in page
    assert "data:image/png" not in page


def copied(run: Run, attachments: Attachments) -> dict[str, str]:
    """The texts to copy in the section on the use of a network, by kind."""
    part = section(render(*run.arguments, attachments=attachments), "How to use it")
    texts = re.findall(r'<pre class="copy" data-what="(\w+)">(.*?)</pre>', part, re.DOTALL)
    return {kind: html.unescape(text) for kind, text in texts}


def test_commands_name_the_run_whatever_it_is_called(run: Run) -> None:
    texts = copied(run, Attachments("my runs/a", "space: {name: a}\n"))
    assert texts["commands"].splitlines() == [
        "spos export 'my runs/a'",
        "spos predict 'my runs/a' photo.jpg",
    ]
    assert len(texts["python"].splitlines()) == 3
    assert 'Path("my runs/a/network.onnx")' in texts["python"]
    assert run.result.winner and texts["architecture"] == str(run.result.winner.architecture)
    assert texts["settings"] == "space: {name: a}"
    assert 'Path("runs/café/network.onnx")' in copied(run, Attachments("runs/café/"))["python"]
    untrained = run.change(retrain=None)
    assert "How to use it" not in render(*untrained.arguments, attachments=Attachments("a"))


def test_what_was_given_in_python_is_exported_there(run: Run) -> None:
    own = run.change(data=replace(run.result.data, source="dataset"))
    texts = copied(own, Attachments("a"))
    assert texts["python"].splitlines()[-1] == 'export_run(Path("a"), load=load)'
    assert texts["commands"] == "spos predict a/network.onnx photo.jpg"


def test_time_and_memory_are_those_of_each_stage(run: Run) -> None:
    metrics = [
        {"stage": "train", "step": 1, "loss": 1.0, "peak_memory": 300 << 20},
        {"stage": "train", "step": 2, "loss": 1.0, "peak_memory": 400 << 20},
        {"stage": "compare-2", "step": 2, "loss": 1.0, "peak_memory": 3 << 30},
        *2 * [{"stage": EVALUATION, "candidates": 60, "stages": 600, "computed": 150}],
    ]
    resources = collect_resources(run.result, metrics)
    assert resources
    assert [(row.name, row.seconds, row.memory, row.work) for row in resources.rows] == [
        ("Supernet training", 33.1, 400 << 20, "3,000 steps"),
        ("Search", 10.2, 0, "120 candidates scored"),
        ("Retraining", 12.3, 0, "500 steps"),
        ("Comparison", 750.0, 3 << 30, "3 networks"),
    ]
    part = section(render(run.result, run.candidates, metrics), "Time and memory")
    for cell in ("33.1 s", "400 MiB", "–", "12 min 30 s", "3.0 GiB", "13 min 26 s"):
        assert f"<td>{cell}</td>" in part
    assert "Peak memory of the process" in part
    assert "saved 75% of the stages" in part and "300 were computed instead of 1,200" in part
    earlier = section(render(*run.arguments), "Time and memory")
    assert "memory</th>" not in earlier and "saved" not in earlier


def test_finalists_are_part_of_what_a_run_took(run: Run) -> None:
    result = run.result
    finalists = tuple(Finalist(**vars(one), rungs=(Rung(10, 0.5, 0.5),)) for one in result.top[:5])
    seconds = {"train": 1.0, "search": 1.0, "finalists": 2.0}
    metrics = [{"stage": "short-0123", "step": 1, "peak_memory": 1 << 30}]
    resources = collect_resources(replace(result, seconds=seconds, finalists=finalists), metrics)
    assert resources
    row = resources.rows[2]
    assert (row.work, row.memory, row.seconds) == ("5 networks", 1 << 30, 2.0)


def test_the_planning_is_part_of_what_a_run_took(run: Run) -> None:
    planned = run.change(seconds={"train": 30.0, "search": 10.0}, planning=20.0)
    assert planned.result.total_time == 60.0
    page = render(*planned.arguments)
    part = section(page, "Time and memory")
    assert '<td class="text">Planning and reading</td>' in part and "width:33.3%" in part
    assert "<td>1 min 0 s</td>" in part and "<dd>1 min 0 s</dd>" in page
    times = words.stage_times(planned.result.times, planned.result.reused)
    assert [time for _, time in times] == ["20.0 s", "30.0 s", "10.0 s", "1 min 0 s"]


def test_counts_of_a_reused_run_agree(run: Run) -> None:
    assert run.result.search
    reused = run.change(search=replace(run.result.search, evaluated=12, candidates=24))
    assert reused.result.train
    reused = reused.change(train=replace(reused.result.train, reused=True))
    page = render(*reused.arguments)
    assert "Evolution compared 24 of 256 architectures" in page
    assert "12 had been scored before, and 12 were new" in page
    part = section(page, "Time and memory")
    assert "12 candidates scored" in part and "3,000 steps, by the run that is reused" in part
    assert '<td class="text">Supernet training (reused)</td>' in part
    assert "<td>12 min 52 s</td>" in part and "<dd>12 min 52 s</dd>" in page
    assert "Reuse saved 12 of 24 evaluations (50%)" in part
    facts = section(page, "Data and settings")
    for name, count in (("candidates", 24), ("scored before", 12), ("scored for this search", 12)):
        assert f"<dt>{name}</dt><dd>{count}</dd>" in facts


@pytest.mark.parametrize(
    ("held_out", "told"),
    [(False, "is trained on the 150 validation images as well"), (True, "is not trained on the")],
)
def test_the_score_on_validation_images_is_drawn_beside_the_training(
    run: Run, held_out: bool, told: str
) -> None:
    without = section(render(*run.arguments), "Training")
    assert "retrain-validation" not in without and "validation images" not in without
    known = {"validation_images": 150, "held_out": held_out}
    metrics = [
        {**line, "validation": 0.5 + line["step"] / 1000, **known}
        if line["stage"] == "retrain" and line["step"] % 100 == 0
        else line
        for line in run.metrics
    ]
    drawn = section(render(run.result, run.candidates, metrics), "Training")
    # Beside the loss and the accuracy of the training.
    assert drawn.count('data-chart="retrain-') == 3
    assert "accuracy on validation images over steps. From 60.0% to 100.0% in 500 steps." in drawn
    assert told in drawn
