"""The training loop: of a supernet, of a plain network, interrupted, resumed, in two processes."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from scipy import stats
from torch import Tensor, nn

from spos import Architecture, Choice, OneOf, SearchSpace, Supernet, UserError
from spos._util.randomness import torch_generator
from spos.spaces.shufflenetv2 import Layout, shufflenetv2
from spos.training.between import seed_of_paths
from spos.training.checkpoint import Checkpoints, Loaded, load_model
from spos.training.loop import (
    TrainingEnd,
    make_optimizer,
    train,
)
from spos.training.methods.uniform import uniform_paths
from spos.training.progress import Progress, Window
from spos.training.recipe import Recipe, SupernetRecipe

GetSupernet = Callable[[str], Supernet]
Batches = Callable[[int], Iterator[tuple[Tensor, Tensor]]]

RECIPE = Recipe(steps=8, batch_size=6, learning_rate=0.1, warmup_steps=2, label_smoothing=0.0)
SEED = 3


class KilledError(Exception):
    """Stands for whatever ends a process."""


def dropped(seed: int = 0) -> Supernet:
    """A supernet with dropout, so that a resumed training needs the same randomness."""
    torch.manual_seed(seed)
    layout = Layout(
        image_size=8,
        stem_channels=8,
        stem_stride=1,
        channels=(16,),
        depths=(3,),
        strides=(1,),
        head_channels=16,
        dropout=0.5,
    )
    return shufflenetv2(layout, classes=10)


def batches(
    steps: int = RECIPE.steps, at: dict[int, Callable[[], object]] | None = None
) -> Batches:
    """The batch of a step depends on the step alone; something may happen before one is given."""

    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, steps):
            if at and step in at:
                at[step]()
            random = torch_generator(0, "batch", step)
            images = torch.randn(RECIPE.batch_size, 3, 8, 8, generator=random)
            yield images, torch.randint(10, (RECIPE.batch_size,), generator=random)

    return load


def kill() -> None:
    raise KilledError


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


class Log:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.loaded: list[Loaded] = []
        self.progress: list[Progress] = []

    def resumed(self, loaded: Loaded) -> None:
        self.loaded.append(loaded)

    def progressed(self, progress: Progress) -> None:
        self.progress.append(progress)


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., TrainingEnd]:
    """Train with a checkpoint after every step, all of which are kept."""

    def fit(
        model: nn.Module,
        recipe: Recipe = RECIPE,
        load: Batches | None = None,
        folder: str = "run",
        **options: object,
    ) -> TrainingEnd:
        fabric = options.pop("fabric", None) or Fabric(accelerator="cpu", devices=1)
        options = {"save_every": 0.0, "seed": SEED, **options}
        load = load or batches(recipe.steps)
        checkpoints = Checkpoints(tmp_path / folder, keep=100)
        return train(fabric, model, load, recipe, checkpoints, **options)

    return fit


@pytest.fixture
def states(tmp_path: Path) -> Callable[..., dict[int, dict[str, Tensor]]]:
    """What the checkpoints of a training hold, by step."""

    def states(folder: str = "run") -> dict[int, dict[str, Tensor]]:
        found = {}
        checkpoints = Checkpoints(tmp_path / folder)
        for path in sorted((tmp_path / folder).glob("*"), reverse=True):
            loaded = checkpoints.load()
            assert loaded is not None
            found[loaded.step] = loaded.tensors
            path.unlink()
        return found

    return states


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


# Paths


def test_the_options_of_training_paths_are_uniform_and_independent():
    counts = (4, 4, 3, 2, 7)
    space = SearchSpace(
        Choice(f"c{n}", tuple(f"o{option}" for option in range(count)))
        for n, count in enumerate(counts)
    )
    paths = np.array([path for step in range(10_000) for path in uniform_paths(space, SEED, step)])
    assert paths.shape == (10_000, 5)
    for count, column in zip(counts, paths.T, strict=True):
        assert stats.chisquare(np.bincount(column, minlength=count)).pvalue > 0.001
    for number in range(4):
        table = np.zeros((counts[number], counts[number + 1]))
        np.add.at(table, (paths[:, number], paths[:, number + 1]), 1)
        assert stats.chi2_contingency(table).pvalue > 0.001
    # Nor does a step tell anything about the next one.
    table = np.zeros((4, 4))
    np.add.at(table, (paths[:-1, 0], paths[1:, 0]), 1)
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_paths_depend_on_seed_and_step_alone():
    space = SearchSpace([Choice(f"c{n}", ("a", "b", "c")) for n in range(8)])
    paths = {
        (seed, step): next(uniform_paths(space, seed, step)) for seed in (0, 1) for step in (0, 1)
    }
    assert len(set(paths.values())) == 4
    assert next(uniform_paths(space, 1, 0)) == paths[1, 0]
    three = list(uniform_paths(space, 1, 0, paths=3))
    assert three[0] == paths[1, 0]
    assert len(set(three)) == 3


# One step


def belongs_to(name: str, path: Architecture) -> bool:
    """Whether a tensor of the small supernet is on a path."""
    parts = name.split(".")
    if "options" not in parts:
        return True
    place = parts.index("options")
    return int(parts[place + 1]) == path[int(parts[place - 1])]


def test_only_the_weights_on_the_path_change(make_supernet: GetSupernet, fit, states):
    supernet = make_supernet("small")
    parameters = {f"model.{name}" for name, _ in supernet.named_parameters()}
    gradients = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        # What is left of the step before: only that path has gradients.
        gradients.append({n for n, p in supernet.named_parameters() if p.grad is not None})
        return nn.functional.cross_entropy(outputs, targets)

    fit(supernet, replace(RECIPE, weight_decay=0.1), loss=loss)
    assert all(not before for before in gradients)
    saved = states()
    for step in range(1, RECIPE.steps):
        (path,) = uniform_paths(supernet.space, SEED, step)
        before, after = saved[step], saved[step + 1]
        for name in before:
            weight = name.split(".", 2)[2] if name.startswith("optimizer.") else name
            on_path = belongs_to(weight, path)
            if not on_path:
                # Neither weights, nor statistics, nor momentum.
                assert torch.equal(before[name], after[name]), (step, name)
            elif name in parameters:
                assert not torch.equal(before[name], after[name]), (step, name)
        with_gradient = {n for n, p in supernet.named_parameters() if p.grad is not None}
    (path,) = uniform_paths(supernet.space, SEED, RECIPE.steps - 1)
    assert with_gradient == {n for n, _ in supernet.named_parameters() if belongs_to(n, path)}


def test_momentum_is_kept_for_what_was_ever_on_a_path(make_supernet: GetSupernet, fit, states):
    supernet = make_supernet("small")
    fit(supernet)
    saved = states()
    names = [name for name, _ in supernet.named_parameters()]
    for done in (1, 3, 8):
        paths = [next(uniform_paths(supernet.space, SEED, step)) for step in range(done)]
        expected = {n for n in names if any(belongs_to(n, path) for path in paths)}
        prefix = "optimizer.momentum_buffer."
        kept = {n.removeprefix(prefix) for n in saved[done] if n.startswith(prefix)}
        assert kept == expected


@pytest.mark.parametrize("paths", [1, 2, 3])
def test_a_step_descends_the_mean_gradient_of_its_paths(paths, make_supernet: GetSupernet, fit):
    recipe = SupernetRecipe(
        steps=1,
        batch_size=6,
        learning_rate=0.1,
        weight_decay=0.01,
        label_smoothing=0.0,
        paths=paths,
    )
    supernet, reference = make_supernet("small"), make_supernet("small").train()
    ((images, targets),) = batches(1)(0)
    losses = []
    for path in uniform_paths(reference.space, SEED, 0, paths):
        reference.activate(path)
        losses.append(nn.functional.cross_entropy(reference(images), targets))
    (sum(losses) / paths).backward()
    log = Log()
    fit(supernet, recipe, observer=log)
    for (name, trained), start in zip(
        supernet.named_parameters(), reference.parameters(), strict=True
    ):
        step = torch.zeros_like(start)
        if start.grad is not None:
            step = 0.1 * (start.grad + (0.01 * start if start.dim() > 1 else 0))
        torch.testing.assert_close(trained, start - step, rtol=1e-5, atol=1e-7, msg=name)
    (progress,) = log.progress
    assert math.isclose(progress.loss, float(sum(losses).detach()) / paths, rel_tol=1e-5)


def test_weight_decay_is_on_weights_alone():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.Flatten(),
        nn.LayerNorm(4),
        nn.Linear(4, 2),
    )
    recipe = replace(RECIPE, weight_decay=0.5)
    optimizer = make_optimizer(model, recipe)
    decayed = {
        id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]
    }
    assert {n for n, p in model.named_parameters() if id(p) in decayed} == {"0.weight", "6.weight"}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5, 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 12


def test_parameters_used_twice_are_optimised_once():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    groups = make_optimizer(nn.Sequential(first, second, first), RECIPE).param_groups
    assert [len(group["params"]) for group in groups] == [1, 2]


def clipped_norm(fit: Callable[..., TrainingEnd], model: nn.Module, **options: object) -> float:
    """The norm of the gradient of a single step of learning rate 1 without anything else."""
    recipe = Recipe(
        steps=1,
        batch_size=6,
        learning_rate=1.0,
        momentum=0.0,
        weight_decay=0.0,
        gradient_clip=0.01,
    )
    before = [parameter.detach().clone() for parameter in model.parameters()]
    fit(model, recipe, **options)
    moved = [(p - start).flatten() for p, start in zip(model.parameters(), before, strict=True)]
    return float(torch.cat(moved).detach().norm())


def test_the_gradient_is_clipped(fit):
    assert clipped_norm(fit, dropped()) == pytest.approx(0.01, rel=1e-3)


def test_the_gradient_is_clipped_in_half_precision_too(fit):
    # There the gradients are scaled until the step: it is the true ones that count.
    fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    assert clipped_norm(fit, model, fabric=fabric) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_learning_rate_follows_the_recipe(schedule, fit):
    recipe = replace(RECIPE, schedule=schedule)
    log = Log()
    fit(dropped(), recipe, observer=log, report_every=0.0)
    assert [progress.step for progress in log.progress] == list(range(1, 9))
    assert [progress.learning_rate for progress in log.progress] == [
        recipe.rate(step) for step in range(8)
    ]


def test_progress_says_how_it_goes(fit):
    log = Log()
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    nn.init.zeros_(model[1].weight)
    nn.init.constant_(model[1].bias, 0)
    with torch.no_grad():
        model[1].bias[4] = 1e-3
    recipe = replace(RECIPE, steps=1, warmup_steps=0)
    fit(model, recipe, observer=log)
    (progress,) = log.progress
    ((_, targets),) = batches(1)(0)
    assert progress.loss == pytest.approx(math.log(10), rel=1e-3)
    assert progress.top1 == pytest.approx(float((targets == 4).float().mean()))
    assert (progress.step, progress.steps) == (1, 1)
    assert progress.images_per_second > 0


def test_the_throughput_counts_each_image_of_a_step_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    window = Window(0, top1=False, passes=3, processes=2, began=96.0)
    # Two steps of three paths, on this process's half of 16 images.
    for _ in range(6):
        window.add(torch.tensor(1.0), torch.zeros(8, 10), torch.zeros(8, dtype=torch.int64))
    assert window.close(2, RECIPE, 4.0).images_per_second == pytest.approx(2 * 16 / 4)


def test_a_custom_loss_serves_targets_that_are_not_classes(fit):
    log = Log()

    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, _ in batches()(start):
            yield images, images.flatten(1)[:, :10]

    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    fit(model, load=load, loss=nn.functional.mse_loss, observer=log)
    assert {progress.top1 for progress in log.progress} == {None}
    assert log.progress[-1].loss > 0


def test_the_loss_of_classification_smooths_labels_as_the_recipe_says(fit, states):
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    fit(dropped(), replace(RECIPE, label_smoothing=0.1), folder="by recipe")
    fit(dropped(), folder="given", loss=smoothed)
    fit(dropped(), folder="none")
    by_recipe, given, none = (states(name)[8] for name in ("by recipe", "given", "none"))
    assert same(by_recipe, given)
    assert not same(by_recipe, none)


# Interruption


def finished(fit: Callable[..., TrainingEnd], make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    model = make()
    assert fit(model, folder="whole") == TrainingEnd(8, pytest.approx(0, abs=60), interrupted=False)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("step", [0, 1, 4, 7])
@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_a_training_that_was_killed_ends_like_one_that_was_not(step, save_every, fit):
    expected = finished(fit, dropped)
    with pytest.raises(KilledError):
        fit(dropped(), load=batches(at={step: kill}), save_every=save_every)
    # The weights that the next process begins with do not matter, if there is a checkpoint.
    log = Log()
    resumed = dropped(1 if step and not save_every else 0)
    outcome = fit(resumed, observer=log)
    assert (outcome.step, outcome.interrupted) == (8, False)
    assert same(resumed.state_dict(), expected)
    assert [loaded.step for loaded in log.loaded] == ([step] if step and not save_every else [])


def test_an_interrupted_training_saves_and_ends_like_one_that_was_not(fit, states):
    expected = finished(fit, dropped)
    outcome = fit(dropped(), load=batches(at={4: interrupt}), save_every=1e9)
    assert (outcome.step, outcome.interrupted) == (5, True)
    outcome = fit(dropped(1), load=batches(at={6: interrupt}), save_every=1e9)
    assert (outcome.step, outcome.interrupted) == (7, True)
    resumed = dropped(2)
    outcome = fit(resumed, save_every=1e9)
    assert (outcome.step, outcome.interrupted) == (8, False)
    assert same(resumed.state_dict(), expected)
    assert list(states()) == [8, 7, 5]


def test_an_interrupt_in_the_last_step_acts_when_all_is_saved(fit, states):
    with pytest.raises(KeyboardInterrupt):
        fit(dropped(), load=batches(at={7: interrupt}), save_every=1e9)
    assert list(states()) == [8]
    outcome = fit(dropped(1))
    assert (outcome.step, outcome.interrupted) == (8, False)


def test_a_second_interrupt_acts_at_once_and_the_handlers_are_put_back(fit, monkeypatch):
    # Of a second later.
    monkeypatch.setattr("spos._util.interrupt.BURST", 0.0)
    before = signal.getsignal(signal.SIGINT)
    twice = {3: lambda: (interrupt(), interrupt())}
    with pytest.raises(KeyboardInterrupt):
        fit(dropped(), load=batches(at=twice))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_training_is_not_trained_again(fit):
    model = dropped()
    fit(model)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    again = dropped(1)
    outcome = fit(again, load=batches(at=dict.fromkeys(range(8), kill)))
    assert (outcome.step, outcome.interrupted) == (8, False)
    assert same(again.state_dict(), expected)


def test_the_time_of_all_sittings_is_added_up(fit):
    first = fit(dropped(), load=batches(at={2: interrupt}))
    second = fit(dropped())
    assert second.seconds > first.seconds > 0


@pytest.mark.parametrize("nesterov", [True, False])
def test_a_plain_network_resumes_exactly_with_tied_weights(nesterov, fit):
    def tied() -> nn.Module:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(192, 10), nn.Linear(10, 10), nn.Linear(10, 10)
        )
        model[3].weight = model[2].weight
        return model

    recipe = replace(RECIPE, nesterov=nesterov)
    whole, resumed = tied(), tied()
    fit(whole, recipe, folder="whole")
    with pytest.raises(KilledError):
        fit(tied(), recipe, batches(at={5: kill}))
    fit(resumed, recipe)
    assert same(resumed.state_dict(), whole.state_dict())
    assert resumed[3].weight is resumed[2].weight


def test_the_scale_of_half_precision_is_resumed_too(fit):
    def half() -> Fabric:
        plugin = MixedPrecision(
            "16-mixed", "cpu", torch.amp.GradScaler("cpu", 64.0, growth_interval=3)
        )
        return Fabric(accelerator="cpu", devices=1, plugins=plugin)

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))

    whole, fabric = half(), half()
    fit(model(), fabric=whole, folder="whole")
    with pytest.raises(KilledError):
        fit(model(), load=batches(at={5: kill}), fabric=half())
    fit(model(), fabric=fabric)
    assert fabric.strategy.precision.state_dict() == whole.strategy.precision.state_dict()
    assert whole.strategy.precision.state_dict()["scale"] == 64 * 4


def test_a_checkpoint_of_another_model_is_refused(fit, states):
    fit(dropped())
    with pytest.raises(UserError, match="the checkpoint belongs to another model") as raised:
        fit(nn.Sequential(nn.Flatten(), nn.Linear(192, 10)))
    assert "\n" not in str(raised.value)
    model = dropped(1)
    with pytest.raises(UserError, match="the checkpoint belongs to another model"):
        load_model(nn.Linear(2, 2), states()[8])
    assert not any(torch.isnan(parameter).any() for parameter in model.parameters())


def test_batches_that_end_too_early_are_an_error(fit):
    with pytest.raises(UserError, match="the batches ended after step 5 of 8"):
        fit(dropped(), load=batches(5))


def test_a_model_without_a_weight_to_train_is_refused(fit):
    with pytest.raises(UserError, match="the loss depends on no weight that is trained"):
        fit(dropped().requires_grad_(False))


# Numbers that are none


def poisoned(at: int, steps: int = RECIPE.steps) -> Batches:
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step, (images, targets) in enumerate(batches(steps)(start), start):
            yield (images * math.nan if step == at else images), targets

    return load


@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_state(save_every, fit, states):
    fit(dropped(), load=batches(at={2: interrupt}))
    with pytest.raises(UserError, match=r"the loss became nan at step 6 of 8") as raised:
        fit(dropped(), load=poisoned(at=5), save_every=save_every)
    assert "\n" not in str(raised.value)
    saved = states()
    assert max(saved) == (3 if save_every else 5)
    assert all(torch.isfinite(tensor).all() for tensor in saved[max(saved)].values())


@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_weights_that_are_not_numbers_do_not_reach_a_checkpoint(save_every, fit, states):
    # The loss of the step is finite, only its gradient is not; so this step is the last.
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        value = nn.functional.cross_entropy(outputs, targets)
        steps.append(1)
        return value + (outputs * 0).sum().sqrt() if len(steps) == 8 else value

    steps: list[int] = []
    fit(dropped(), load=batches(at={2: interrupt}))
    steps = [1] * 3
    with pytest.raises(UserError, match=r"weights .* at step 8 of 8"):
        fit(dropped(), loss=loss, save_every=save_every)
    saved = states()
    assert max(saved) == (3 if save_every else 7)
    assert all(torch.isfinite(tensor).all() for tensor in saved[max(saved)].values())


# Two processes

TWO_PROCESSES = """
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric

from spos.training.checkpoint import Checkpoints
from spos.data.batches import training_batches
from spos.data.images import ImageData, TensorImages
from spos.training.recipe import SupernetRecipe
from spos.spaces import family
from spos.training.loop import train

NUMBERS = dict(steps=4, batch_size=16, learning_rate=0.1, label_smoothing=0.0, paths=2)
RECIPES = {name: SupernetRecipe(**NUMBERS, same_paths=name == "same") for name in ("same", "own")}


def supernet():
    # Of blocks, and of numbers of channels.
    torch.manual_seed(0)
    joint = family("shufflenetv2-joint")
    return joint.build(joint.preset("tiny"), classes=10, image_channels=1)


def batches(rank, world_size, start=0):
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (100, 1, 8, 8), generator=random, dtype=torch.uint8)
    images = TensorImages(pixels, torch.randint(10, (100,), generator=random))
    data = ImageData(
        "random", images, images, lambda: images, tuple("0123456789"), 1, 8, (0.5,), (0.3,),
        (), (), "",
    )
    return training_batches(
        data, images, batch_size=16, seed=0, start=start, steps=4, augment="crop",
        device="cpu", rank=rank, world_size=world_size,
    )


def fit(fabric, recipe, folder, until=None):
    model, paths = supernet(), []
    model.register_forward_pre_hook(lambda module, args: paths.append(str(module.active)))
    outcome = train(
        fabric, model, lambda start: batches(fabric.global_rank, fabric.world_size, start),
        recipe, Checkpoints(folder), seed=3, until=until,
    )
    assert outcome.step == (until or 4)
    return model.state_dict(), paths


def work(fabric, folder):
    torch.set_num_threads(1)
    for name, recipe in RECIPES.items():
        torch.save(
            fit(fabric, recipe, folder / name), folder / f"{name}{fabric.global_rank}.pt"
        )
    # In two parts.
    fit(fabric, RECIPES["own"], folder / "resumed", 2)
    fabric.barrier()
    weights, _ = fit(fabric, RECIPES["own"], folder / "resumed")
    torch.save(weights, folder / f"resumed{fabric.global_rank}.pt")
    fabric.barrier()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    fabric.launch(work, folder)
"""


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what two processes have trained."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "two_processes.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["same", "own"])
def test_two_processes_train_like_one_that_averages_their_gradients(name: str, two_processes: Path):
    (first, paths), (second, other) = (
        torch.load(two_processes / f"{name}{rank}.pt") for rank in (0, 1)
    )
    assert len(paths) == 8
    assert (paths == other) == (name == "same")

    # The same with one model; each half of a batch has its own batch-norm statistics, as there.
    namespace: dict[str, object] = {"__name__": "two_processes"}
    exec(TWO_PROCESSES, namespace)
    model, recipe = namespace["supernet"](), namespace["RECIPES"][name]
    model.train()
    optimizer = make_optimizer(model, recipe)
    halves = zip(namespace["batches"](0, 2), namespace["batches"](1, 2), strict=True)
    for step, batch in enumerate(halves):
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        seeds = [3, 3 if name == "same" else seed_of_paths(3, 1)]
        for seed, (images, targets) in zip(seeds, batch, strict=True):
            for path in uniform_paths(model.space, seed, step, recipe.paths):
                model.activate(path)
                value = nn.functional.cross_entropy(model(images), targets)
                (value / recipe.paths / 2).backward()
        optimizer.step()
    for key, parameter in model.named_parameters():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], parameter.detach(), rtol=1e-4, atol=1e-6)
    # The statistics are each process's own: those of the first are in the checkpoint.
    statistics = [name for name in first if name.endswith("running_mean")]
    assert any(not torch.equal(first[name], second[name]) for name in statistics)
    loaded = Checkpoints(two_processes / name).load()
    assert loaded is not None
    assert all(torch.equal(loaded.tensors[f"model.{key}"], first[key]) for key in first)


def test_processes_with_paths_of_their_own_resume_to_the_same_weights(two_processes: Path):
    whole, _ = torch.load(two_processes / "own0.pt")
    resumed = torch.load(two_processes / "resumed0.pt")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_supernet_learns(make_supernet: GetSupernet, fit):
    # Three classes that differ in the mean of the image.
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, 60):
            random = torch_generator(0, "batch", step)
            targets = torch.randint(3, (32,), generator=random)
            noise = torch.randn(32, 3, 6, 6, generator=random)
            yield noise + 2 * targets.view(-1, 1, 1, 1) - 2, targets

    torch.manual_seed(0)
    kernels = {"1x1": nn.Conv2d(3, 8, 1), "3x3": nn.Conv2d(3, 8, 3, padding=1)}
    model = nn.Sequential(
        OneOf(kernels),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    log = Log()
    recipe = Recipe(steps=60, batch_size=32, learning_rate=0.1)
    fit(Supernet(model, (3, 6, 6)), recipe, load, observer=log, save_every=1e9, report_every=0.0)
    top1 = [progress.top1 for progress in log.progress]
    assert np.mean(top1[-10:]) > 0.9 > np.mean(top1[:5])
