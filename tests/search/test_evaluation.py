"""One-shot accuracy, against recalibrating and measuring each network on its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spos import Architecture, OneOf, OneShotEvaluator, Supernet, UserError
from spos.search.recalibration import recalibrate
from spos.search.score import correct, score
from spos.search.sharing import SharedStages

GetSupernet = Callable[[str], Supernet]
Batch = tuple[Tensor, Tensor]

MODELS = ["small", "residual", "shared", "strides", "nested", "reused", "inplace", "pair"]
MEMORIES = [0, 3_000, 8_000, 1 << 30]


def batches(seed: int, *sizes: int) -> Callable[[], list[Batch]]:
    """Random images with labels; the same ones at every call, in tensors of their own."""

    def load() -> list[Batch]:
        generator = torch.Generator().manual_seed(seed)
        return [
            (
                torch.randn(size, 3, 9, 9, generator=generator),
                torch.randint(10, (size,), generator=generator),
            )
            for size in sizes
        ]

    return load


CALIBRATION = batches(1, 6, 6)
VALIDATION = batches(2, 5, 5, 3)


def likelihood(outputs: Tensor, targets: Tensor) -> Tensor:
    """Tells networks apart that classify the same images correctly."""
    return -nn.functional.cross_entropy(outputs, targets, reduction="sum")


def naive(supernet: Supernet, architecture: Architecture) -> float:
    network = supernet.extract(architecture)
    recalibrate(network, CALIBRATION)
    return score(network, VALIDATION, likelihood)


def groups(supernet: Supernet) -> st.SearchStrategy[list[Architecture]]:
    options = [st.integers(0, min(2, count) - 1) for count in supernet.space.option_counts]
    return st.lists(st.tuples(*options).map(Architecture), min_size=1, max_size=6)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6)
@given(data=st.data())
def test_a_score_is_that_of_the_network_on_its_own(name, supernet_of: GetSupernet, data):
    supernet = supernet_of(name)
    group = data.draw(groups(supernet))
    memory = data.draw(st.sampled_from(MEMORIES))
    evaluator = OneShotEvaluator(
        supernet, CALIBRATION, VALIDATION, metric=likelihood, memory=memory
    )
    scores = dict(evaluator(group))
    # To the last digit those of a group of one, and in all others those without folded batch norms.
    assert scores == {
        architecture: dict(evaluator([architecture])).popitem()[1] for architecture in group
    }
    expected = {architecture: naive(supernet, architecture) for architecture in group}
    assert scores == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_candidate_is_evaluated_once_whatever_the_order(memory, supernet_of: GetSupernet):
    supernet = supernet_of("small")
    group = [Architecture(one) for one in itertools.product((0, 3), (1, 2), (0, 1), (2,))]
    evaluator = OneShotEvaluator(supernet, CALIBRATION, VALIDATION, memory=memory)
    expected = dict(evaluator(group))
    assert set(expected) == set(group)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(group))
        shuffled = [group[number] for number in order] + group[:2]
        assert sorted(evaluator(shuffled)) == sorted(expected.items())
    assert list(evaluator([])) == []


def test_the_supernet_stays_as_it_is(make_supernet: GetSupernet):
    supernet = make_supernet("small").train()
    supernet.activate([1, 2, 3, 0])
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    evaluator = OneShotEvaluator(supernet, CALIBRATION, VALIDATION)
    dict(evaluator([Architecture((0, 0, 0, 0)), Architecture((0, 0, 1, 2))]))
    after = supernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert supernet.active == Architecture((1, 2, 3, 0))
    assert all(module.training for module in supernet.modules())
    assert {module.momentum for module in supernet.modules() if hasattr(module, "momentum")} == {
        0.1
    }


def test_what_the_data_gives_is_not_changed(supernet_of: GetSupernet):
    # The first stage changes its input in place; the loaders give the same tensors every time.
    supernet = supernet_of("inplace")
    kept = {loader: loader() for loader in (CALIBRATION, VALIDATION)}
    evaluator = OneShotEvaluator(
        supernet,
        lambda: kept[CALIBRATION],
        lambda: kept[VALIDATION],
        metric=likelihood,
    )
    for architecture, value in evaluator(list(supernet.space)[:12]):
        assert value == pytest.approx(naive(supernet, architecture), rel=1e-5)
    for loader, held in kept.items():
        assert all(torch.equal(x, y) for (x, _), (y, _) in zip(held, loader(), strict=True))


def test_candidates_that_begin_alike_share_the_beginning(make_supernet: GetSupernet):
    supernet = make_supernet("small")
    runs: list[int] = []

    class Counted(nn.Identity):
        def forward(self, x: Tensor) -> Tensor:
            runs.append(len(x))
            return x

    assert isinstance(supernet.model, nn.Sequential)
    model = nn.Sequential(Counted(), *supernet.model)
    group = [Architecture((0, 1, 2, option)) for option in range(4)]
    counts = []
    for memory in (0, 1 << 30):
        runs.clear()
        counted = Supernet(model, supernet.input_shape)
        dict(OneShotEvaluator(counted, CALIBRATION, VALIDATION, memory=memory)(group))
        counts.append(sum(runs))
    # Without memory the beginning runs for each candidate, and once to find that it does not fit.
    assert counts[1] == 12 + 13
    assert counts[0] >= 4 * counts[1]


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_what_is_shared_is_counted(memory: int, supernet_of: GetSupernet):
    supernet = supernet_of("small")
    depth, counts = len(supernet.stages), supernet.space.option_counts
    first = Architecture([0] * len(counts))
    last = Architecture([*[0] * (len(counts) - 1), 1])
    shared = SharedStages()
    evaluator = OneShotEvaluator(
        supernet, CALIBRATION, VALIDATION, metric=likelihood, memory=memory, sharing=shared
    )
    list(evaluator([first, last]))
    assert shared.candidates == 2 and shared.stages == 2 * depth
    assert (shared.computed < shared.stages) == bool(memory)
    begin = next(
        place
        for place, one in enumerate(supernet.stages)
        if one.options(first) != one.options(last)
    )
    if memory:
        assert shared.computed == begin + 2 * (depth - begin)
    assert shared.take()["stages"] == 2 * depth and shared.stages == 0


def test_weights_are_read_anew_by_every_call(make_supernet: GetSupernet):
    supernet = make_supernet("small")
    evaluator = OneShotEvaluator(supernet, CALIBRATION, VALIDATION, metric=likelihood)
    architecture = Architecture((0, 0, 0, 0))
    before = dict(evaluator([architecture]))[architecture]
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.mul_(1.5)
    after = dict(evaluator([architecture]))[architecture]
    assert after == pytest.approx(naive(supernet, architecture), rel=1e-5)
    assert abs(after - before) > 1e-5


def test_the_mode_of_gradients_is_that_of_the_caller_between_results(supernet_of: GetSupernet):
    supernet = supernet_of("small")
    evaluator = OneShotEvaluator(supernet, CALIBRATION, VALIDATION)
    for _ in evaluator([Architecture((0, 0, 0, 0)), Architecture((0, 0, 0, 1))]):
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")


def test_the_precision_is_that_asked_for(supernet_of: GetSupernet):
    seen = set()

    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.add(outputs.dtype)
        return correct(outputs, targets)

    evaluator = OneShotEvaluator(
        supernet_of("small"),
        CALIBRATION,
        VALIDATION,
        metric=metric,
        autocast=lambda: torch.autocast("cpu", torch.bfloat16),
    )
    dict(evaluator([Architecture((0, 0, 0, 0))]))
    assert seen == {torch.bfloat16}


def test_a_score_is_the_share_of_correct_images():
    outputs = torch.eye(4)
    batch = [(outputs, torch.tensor([0, 1, 0, 3])), (outputs[:1], torch.tensor([0]))]
    assert score(nn.Identity(), lambda: batch) == 0.8
    nothing = [(torch.full((3, 4), torch.nan), torch.zeros(3, dtype=torch.long))]
    assert score(nn.Identity(), lambda: nothing) == 0


@settings(max_examples=20)
@given(count=st.integers(1, 20), seed=st.integers(0, 2**16))
def test_recalibration_is_the_mean_over_batches(count, seed):
    load = batches(seed, *[4] * count)
    norm = nn.BatchNorm2d(3)
    # What a training has left counts for nothing, however long it was.
    nn.init.constant_(norm.running_mean, 50)
    norm.num_batches_tracked.fill_(1000)
    recalibrate(norm, load)
    channels = [images.double().transpose(0, 1).flatten(1) for images, _ in load()]
    mean = torch.stack([channel.mean(1) for channel in channels]).mean(0)
    variance = torch.stack([channel.var(1) for channel in channels]).mean(0)
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-5, atol=1e-6)


def test_recalibration_keeps_dropout_off_and_the_momentum():
    network = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.9))
    twin = nn.Sequential(nn.Identity(), nn.BatchNorm2d(3, momentum=0.3))
    for one in (network, twin):
        recalibrate(one, CALIBRATION)
        assert one[1].momentum == 0.3
        assert not any(module.training for module in one.modules())
    assert torch.equal(network[1].running_mean, twin[1].running_mean)


class StaysFrozen(nn.BatchNorm2d):
    def train(self, mode: bool = True) -> StaysFrozen:
        return super().train(mode=False)


def test_recalibration_leaves_batch_norms_alone_that_stay_in_evaluation_mode():
    frozen, norm = StaysFrozen(3), nn.BatchNorm2d(3)
    nn.init.constant_(frozen.running_mean, 50)
    recalibrate(nn.Sequential(frozen, norm), CALIBRATION)
    assert frozen.running_mean.tolist() == [50, 50, 50]
    assert norm.running_mean.mean() < -40


@pytest.mark.parametrize(
    ("which", "told"), [("calibration", "statistics of batch norm"), ("validation", "to score")]
)
def test_images_that_are_given_only_once_are_told(which, told, make_supernet: GetSupernet):
    supernet, once = make_supernet("small"), iter(CALIBRATION())
    loaders = {"calibration": CALIBRATION, "validation": VALIDATION, which: lambda: once}
    evaluate = OneShotEvaluator(supernet, **loaders)
    first, *_, last = supernet.space
    with pytest.raises(
        UserError, match=f"no images .*{told}.* must start from the first image each time"
    ):
        [list(evaluate([one])) for one in (first, last)]


def test_a_model_without_batch_norm_needs_no_calibration():
    def never() -> Iterator[Batch]:
        raise AssertionError("there is nothing to calibrate")
        yield

    model = nn.Sequential(nn.Flatten(), OneOf({"a": nn.Linear(243, 10), "b": nn.Linear(243, 10)}))
    supernet = Supernet(model, (3, 9, 9))
    evaluator = OneShotEvaluator(supernet, never, VALIDATION)
    architecture = Architecture((1,))
    scores = dict(evaluator([architecture]))
    assert scores == {architecture: score(supernet.extract([1]), VALIDATION)}


def test_what_is_given_to_an_evaluator_is_checked(supernet_of: GetSupernet):
    supernet = supernet_of("small")
    evaluator = OneShotEvaluator(supernet, CALIBRATION, VALIDATION)
    choices = len(supernet.space)
    scores = dict(evaluator([Architecture([0] * choices)]))
    assert dict(evaluator([[0] * choices, np.zeros(choices, int)])) == scores
    with pytest.raises(UserError, match=f"has 1 options, this space has {choices} choices"):
        list(evaluator([(0,)]))
    with pytest.raises(UserError, match="calibration of type list: must be a function that retur"):
        OneShotEvaluator(supernet, CALIBRATION(), VALIDATION)
