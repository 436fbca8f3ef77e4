"""Trainings in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spos.training.between import seed_of_paths
from spos.training.checkpoint import Checkpoints
from spos.training.loop import make_optimizer
from spos.training.methods.uniform import uniform_paths

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
