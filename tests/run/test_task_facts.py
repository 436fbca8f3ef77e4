"""The loss and the metric of a task, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spos import Architecture, OneShotEvaluator, Supernet, Task, UserError
from spos._util.records import to_plain
from spos.run.directory import RunDirectory
from spos.run.started import check_same_task
from spos.run.task import DEFAULT_TASK_FACTS, check_picklable
from spos.search.recalibration import recalibrate

GetSupernet = Callable[[str], Supernet]


def negative_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(outputs - targets).abs().sum()


def loader() -> list[tuple[Tensor, Tensor]]:
    return [(torch.ones(3, 1), torch.zeros(3, 1)), (torch.ones(1, 1), torch.tensor([[3.0]]))]


def images() -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    return [(torch.randn(5, 3, 9, 9, generator=random), torch.arange(5)) for _ in range(2)]


def largest_output(network: nn.Module, batches) -> float:
    assert not network.training
    # The second pass over the batches is like the first.
    list(batches)
    return max(float(network(inputs).max()) for inputs, _ in batches)


def test_without_anything_it_is_classification():
    task = Task()
    assert (task.name, task.share, task.measures_top1) == ("top-1", True, True)
    batches = [(torch.eye(3), torch.tensor([0, 1, 0]))]
    assert task.score(nn.Identity(), lambda: batches) == pytest.approx(2 / 3)
    assert Task(loss=nn.functional.cross_entropy).measures_top1
    # Runs store this: it is what one made before resumes by.
    stored = {"metric": "top-1", "share": True, "fitness": "top-1", "loss": "cross-entropy"}
    assert to_plain(task.facts()) == to_plain(DEFAULT_TASK_FACTS) == stored


def test_a_metric_is_summed_over_batches_and_divided_by_the_images():
    assert Task("error", metric=negative_error).score(nn.Identity(), loader) == -5 / 4


def test_a_function_of_the_network_is_the_score_itself():
    network = nn.Dropout(0.5).train()
    assert Task("largest", evaluate=largest_output).score(network, loader) == 1


@pytest.mark.parametrize("name", ["small", "residual", "inplace"])
def test_candidates_are_judged_as_whole_networks(name, supernet_of: GetSupernet):
    supernet = supernet_of(name)
    random = np.random.default_rng(0)
    group = [supernet.space.sample(random) for _ in range(4)]
    seen: list[tuple[int, ...]] = []

    def evaluate(network: nn.Module, batches) -> float:
        seen.extend(inputs.shape for inputs, _ in batches)
        return largest_output(network, batches)

    evaluator = OneShotEvaluator(supernet, images, images, evaluate=evaluate)
    for architecture, score in evaluator(group):
        network = supernet.extract(architecture)
        recalibrate(network, images)
        with torch.no_grad():
            assert score == largest_output(network, images())
    assert set(seen) == {(5, 3, 9, 9)}


def test_a_score_that_is_not_a_number_is_one_line(supernet_of: GetSupernet):
    def undefined(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum() * float("nan")

    with pytest.raises(UserError, match=r"^the error is nan: a score must be finite$"):
        Task("error", metric=undefined).score(nn.Identity(), loader)
    evaluator = OneShotEvaluator(supernet_of("small"), images, images, metric=undefined)
    with pytest.raises(UserError, match="score of architecture 0,0,0,0 is nan: a metric must"):
        list(evaluator([Architecture((0, 0, 0, 0))]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            torch.zeros(3),
            r"^the metric returned a tensor of shape \[3\]: it must return one number",
        ),
        (None, "^the metric returned a NoneType: it must return one number"),
    ],
)
def test_a_metric_that_is_not_a_sum_is_one_line(given, message):
    with pytest.raises(UserError, match=message):
        Task("error", metric=lambda outputs, targets: given).score(nn.Identity(), loader)


def test_an_evaluation_without_a_result_is_one_line():
    with pytest.raises(UserError, match=r"^the evaluate function returned a NoneType: it must"):
        Task("error", evaluate=lambda network, batches: None).score(nn.Identity(), loader)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"metric": negative_error}, "^a custom metric needs a name"),
        ({"name": "top-1", "metric": negative_error}, "^a custom metric needs a name"),
        ({"name": "error"}, "^the task 'error' has neither a metric nor"),
        ({"loss": nn.MSELoss}, "the loss of the task is the class MSELoss: give an instance"),
        ({"loss": 3}, "^the loss of the task is 3: must be a function$"),
        (
            {"name": "error", "metric": negative_error, "evaluate": largest_output},
            "both a metric and an evaluate function: give one",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(parts, message):
    with pytest.raises(UserError, match=message) as error:
        Task(**parts)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("task", "lacking"),
    [
        (Task(), "loss and metric"),
        (Task(loss=nn.functional.mse_loss), "metric"),
        (Task("error", metric=negative_error), "loss"),
    ],
)
def test_classification_by_default_is_for_classes_alone(task: Task, lacking: str):
    task.check(True, "dataset")
    message = f"^the targets of the dataset are values, not classes: .* custom {lacking}, such as"
    with pytest.raises(UserError, match=message):
        task.check(False, "dataset")
    Task("error", loss=nn.functional.mse_loss, metric=negative_error).check(False, "dataset")


def test_the_metric_may_change_until_something_is_judged_the_loss_never(tmp_path):
    started = Task("error", loss=nn.functional.mse_loss, metric=negative_error)
    judge = Task("largest", loss=nn.functional.mse_loss, evaluate=largest_output)
    trained = Task("error", loss=nn.functional.l1_loss, metric=negative_error)
    images = {"source": "dataset", "classes": [], "image_size": 8, "channels": 1, "outputs": 1}
    counts = {"train": 8, "validation": 2, "fingerprint": "0"}
    stored = {**images, **counts, "task": to_plain(started.facts())}
    (tmp_path / "data.json").write_text(json.dumps(stored))

    def resume(task: Task) -> None:
        check_same_task(RunDirectory(tmp_path), task.facts())

    resume(started)
    resume(judge)
    with pytest.raises(UserError, match=r"was trained with mse_loss \(.*, not l1_loss \("):
        resume(trained)
    (tmp_path / "search.json").touch()
    resume(started)
    with pytest.raises(
        UserError, match=r"was evaluated by error: negative_error \(.*the same metric, or"
    ):
        resume(judge)


def test_what_other_processes_cannot_be_sent_is_named():
    check_picklable(Task("error", loss=nn.MSELoss(), metric=negative_error), loader)
    task = Task("error", metric=lambda outputs, targets: 0)
    with pytest.raises(
        UserError, match=r"^metric cannot be sent .* top level of a module$"
    ) as error:
        check_picklable(task, loader)
    assert "\n" not in str(error.value)
