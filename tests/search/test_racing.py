"""Candidates that trail the best so far are dropped before they are scored on all images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from numpy.typing import NDArray
from optuna.trial import TrialState
from sklearn.datasets import load_digits
from torch import Tensor, nn

from spos import Architecture, OneShotEvaluator, Supernet, UserError
from spos.cost import Constraint
from spos.search import SearchResult, SearchSettings, evaluations, open_study, search
from spos.search.racing import FEWEST, Race, trails
from spos.search.sharing import SharedStages
from spos.search.start import count_evaluations

Scores = NDArray[np.float64]


@pytest.fixture(scope="module")
def losses() -> Scores:
    """Negative losses of classifiers of digits with more or less noise, by classifier and image."""
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    weights = torch.zeros(64, 10, requires_grad=True)
    for _ in range(60):
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(x @ weights, y), weights)
        weights = (weights - 2 * gradient).detach().requires_grad_()
    found = []
    for _ in range(60):
        noise = torch.tensor(random.normal(size=(64, 10)) * random.uniform(0.1, 0.5))
        outputs = x @ (weights.detach() + noise.float())
        found.append(-nn.functional.cross_entropy(outputs, y, reduction="none").double().numpy())
    return np.stack(found)


def is_dropped(
    values: Scores, rival: Scores, confidence: float, *, batch: int = 50, ahead: float = 0.0
) -> bool:
    one = Architecture([0])
    race = Race(confidence, lambda outputs, _: outputs, rival, ahead={one: ahead})
    ends = race.enter(one)
    return any(ends(part, part) for part in torch.from_numpy(values).split(batch))


@pytest.mark.parametrize(("confidence", "least"), [(0.9, 0.03), (0.99, 0.002)])
def test_one_that_is_as_good_is_dropped_no_more_often_than_promised(
    losses: Scores, confidence: float, least: float
) -> None:
    random = np.random.default_rng(1)
    drops = []
    for _ in range(1500):
        one, other = random.choice(len(losses), 2, replace=False)
        order = random.permutation(losses.shape[1])
        # As good as the rival on all images: the hardest case.
        tie = float(np.mean(losses[other]) - np.mean(losses[one]))
        drops.append(is_dropped(losses[one][order], losses[other][order], confidence, ahead=tie))
    error = 1 - confidence
    assert least <= np.mean(drops) <= error + 3 * np.sqrt(error * (1 - error) / len(drops))


@pytest.mark.parametrize("hits", [False, True])
def test_who_is_dropped_is_not_among_the_best(losses: Scores, hits: bool) -> None:
    values = (losses > np.log(0.5)).astype(float) if hits else losses
    means = values.mean(axis=1)
    ranked = np.argsort(-means)
    rival = ranked[9]
    random = np.random.default_rng(2)
    best = dropped = wrong = 0
    for _ in range(30):
        order = random.permutation(values.shape[1])
        for number in ranked:
            out = is_dropped(values[number][order], values[rival][order], 0.95)
            dropped += out
            wrong += out and means[number] >= means[rival]
            best += means[number] >= means[rival]
    assert wrong <= 0.05 * best
    # Half of the others at least: racing is worth its while.
    assert dropped > 30 * len(values) / 3


def test_nobody_is_dropped_by_few_images_or_after_the_last() -> None:
    worse = np.tile([-2.0, -1.0], 400)
    assert is_dropped(worse, np.zeros(800), 0.99)
    few = worse[: FEWEST - 1]
    assert not is_dropped(few, np.zeros(len(few)), 0.99, batch=10)
    # All images are one batch.
    assert not is_dropped(worse, np.zeros(800), 0.99, batch=800)
    same = np.full(800, -1.0)
    assert not is_dropped(same, same, 0.99)
    assert not trails(np.full(200, np.nan), 800, 0.99)


class Racer:
    """Scores candidates on images, as a run does; may be killed."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.kill_after, self.calls = kill_after, 0

    def images(self, architecture: Architecture) -> Scores:
        random = np.random.default_rng(list(architecture))
        return sum(architecture) / 30 + random.normal(size=800)

    def evaluate(self, candidates: Sequence[Architecture]) -> Iterator[tuple[Architecture, float]]:
        for one in candidates:
            self._count()
            yield one, float(self.images(one).mean())

    def race(
        self, candidates: Sequence[Architecture], rival: Architecture
    ) -> Iterator[tuple[Architecture, float, int | None]]:
        race = Race(0.9, lambda outputs, _: outputs, self.images(rival))
        for one in reversed(candidates):
            self._count()
            ends = race.enter(one)
            any(ends(part, part) for part in torch.from_numpy(self.images(one)).split(50))
            seen = race.dropped.get(one)
            yield one, float(self.images(one)[:seen].mean()), seen

    def _count(self) -> None:
        if self.calls == self.kill_after:
            raise KeyboardInterrupt
        self.calls += 1


HOW = SearchSettings(population=10, iterations=5, parents=4, racing=0.9)
WITHIN = Constraint(maximum={"flops": 20})


def race(table: Any, study: optuna.Study, how: SearchSettings = HOW, **given: Any) -> SearchResult:
    racer = Racer(**given)
    return search(table.space, table, WITHIN, racer.evaluate, study, how, race=racer.race)


def test_dropped_candidates_are_estimates_and_never_among_the_best(
    tower: Any, new_study: Callable[..., optuna.Study]
) -> None:
    study = new_study()
    result = race(tower, study)
    dropped = [one for one in result.candidates if one.dropped_after]
    assert dropped and len(result.candidates) == 50
    assert {one.iteration for one in dropped} == {1, 2, 3, 4}
    full = [one for one in result.candidates if one.dropped_after is None]
    assert (
        list(result.top)
        == sorted(full, key=lambda one: (-one.score, one.iteration, one.position))[:4]
    )
    for one in dropped:
        assert 100 <= one.dropped_after < 800
        assert one.score == Racer().images(one.architecture)[: one.dropped_after].mean()
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert {trial.user_attrs["architecture"]: trial.value for trial in pruned} == {
        str(one.architecture): one.score for one in dropped
    }
    assert {trial.user_attrs["dropped_after"] for trial in pruned} == {
        one.dropped_after for one in dropped
    }
    assert set(evaluations(study)) == {one.architecture for one in full}
    assert count_evaluations(study, HOW, WITHIN) == 50


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_killed_race_resumes_exactly(
    tower: Any, new_study: Callable[..., optuna.Study], tmp_path: Any, on_disk: bool
) -> None:
    whole = race(tower, new_study())
    for kill_after in (13, 29) if on_disk else (5, 10, 13, 29, 44):
        place = str(tmp_path / f"{kill_after}.db") if on_disk else optuna.storages.InMemoryStorage()
        with pytest.raises(KeyboardInterrupt):
            race(tower, open_study(place, "race", tower.space), kill_after=kill_after)
        assert race(tower, open_study(place, "race", tower.space)) == whole


def test_another_search_scores_the_dropped_ones_anew(
    tower: Any, new_study: Callable[..., optuna.Study]
) -> None:
    study = new_study()
    first = race(tower, study)
    alone = replace(HOW, racing=0.0)
    second = race(tower, study, alone)
    assert all(one.dropped_after is None for one in second.candidates)
    assert all(one.score == Racer().images(one.architecture).mean() for one in second.candidates)
    # What another search has found meanwhile changes nothing.
    assert race(tower, study) == first


def test_without_racing_nothing_is_another(
    tower: Any, new_study: Callable[..., optuna.Study]
) -> None:
    plain = replace(HOW, racing=0.0)
    one, other = new_study(), new_study()
    assert race(tower, one, plain) == search(
        tower.space, tower, WITHIN, Racer().evaluate, other, plain
    )
    assert [t.user_attrs for t in one.trials] == [t.user_attrs for t in other.trials]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"racing": 0.3},
            r"^search\.racing 0\.3: must be 0, .* at least 0\.5 and below 1; nearest",
        ),
        ({"racing": 1.0}, r"^search\.racing 1\.0: must be below 1|less than 1"),
        ({"racing": 0.9, "pareto": ("flops",)}, r"^search\.racing 0\.9 and search\.pareto flops"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSettings(**given)


def test_a_race_needs_its_evaluation(tower: Any, new_study: Callable[..., optuna.Study]) -> None:
    with pytest.raises(UserError, match=r"^search\.racing 0\.9: the evaluation of a race"):
        search(tower.space, tower, WITHIN, Racer().evaluate, new_study(), HOW)


def random_batches(seed: int, *sizes: int) -> Callable[[], list[tuple[Tensor, Tensor]]]:
    random = torch.Generator().manual_seed(seed)
    held = [(torch.randn(size, 3, 9, 9, generator=random), torch.zeros(size)) for size in sizes]
    return lambda: held


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_a_race_stops_where_it_is_lost_and_changes_no_other_score(
    memory: int, make_supernet: Callable[[str], Supernet]
) -> None:
    supernet = make_supernet("small")
    seen: list[int] = []

    class Counted(nn.Identity):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return x

    assert isinstance(supernet.model, nn.Sequential)
    counted = Supernet(nn.Sequential(Counted(), *supernet.model), supernet.input_shape)
    group = [Architecture((0, 1, 2, option)) for option in range(4)]

    def each(outputs: Tensor, _: Tensor) -> Tensor:
        return outputs[:, 0]

    evaluator = OneShotEvaluator(
        counted,
        random_batches(1, 8, 8),
        random_batches(2, *[50] * 8),
        metric=lambda outputs, _: outputs[:, 0].sum(),
        memory=memory,
    )
    scores = dict(evaluator(group))
    for level, images in ((-100.0, 400), (100.0, 100)):
        seen.clear()
        sharing = SharedStages()
        race = Race(0.99, each, np.full(400, level))
        found = dict(replace(evaluator, race=race, sharing=sharing)(group))
        assert race.dropped == ({} if level < 0 else dict.fromkeys(group, 100))
        assert (found == scores) is (level < 0)
        assert sharing.candidates == 4
        if memory == 1 << 30:
            # The beginning is computed once, for no more images than were asked for.
            assert sum(seen) == 16 + images


def test_a_score_that_is_not_finite_is_told(
    tower: Any, new_study: Callable[..., optuna.Study]
) -> None:
    class Broken(Racer):
        def race(self, candidates: Sequence[Architecture], rival: Architecture) -> Any:
            yield candidates[0], float("nan"), 100

    racer = Broken()
    with pytest.raises(UserError, match="is nan"), contextlib.suppress(KeyboardInterrupt):
        search(tower.space, tower, WITHIN, racer.evaluate, new_study(), HOW, race=racer.race)
