from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from spos._util.errors import UserError
from spos.data import ImageData, evaluation_batches, load_data, training_batches

POLICIES = [
    *("none", "standard", "cutout", "imagenet"),
    # It needs Python 3.11.
    pytest.param("rich", marks=pytest.mark.skipif(not find_spec("kornia"), reason="no kornia")),
]


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data("digits")


def batches(data, steps, **options):
    options = {"batch_size": 12, "seed": 0, "augment": "standard", "device": "cpu", **options}
    return list(training_batches(data, data.train, steps=steps, **options))


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(one, other, strict=True)
    )


@pytest.fixture(params=["memory", "streamed"])
def folder(request, make_folder) -> ImageData:
    stream = {"memory": "never", "streamed": "always"}[request.param]
    return load_data(f"folder:{make_folder(train=20, test=4)}", stream=stream)


@pytest.mark.parametrize("policy", POLICIES)
def test_starting_later_gives_the_same_batches(folder, policy):
    # 54 images and 12 a batch: 4 steps an epoch, so the steps reach into the third epoch.
    whole = batches(folder, 9, augment=policy)
    assert same(whole[6:], batches(folder, 9, augment=policy, start=6))
    assert batches(folder, 9, start=9) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_two_processes_see_the_two_halves(folder, policy):
    whole = batches(folder, 3, augment=policy)
    halves = [batches(folder, 3, augment=policy, rank=rank, world_size=2) for rank in (0, 1)]
    for (x, y), (x0, y0), (x1, y1) in zip(whole, *halves, strict=True):
        assert torch.equal(x, torch.cat([x0, x1])) and torch.equal(y, torch.cat([y0, y1]))


@pytest.mark.parametrize("policy", ["standard", "imagenet"])
def test_the_number_of_workers_changes_nothing(make_folder, policy):
    path = make_folder(train=20, test=4)
    data = [load_data(f"folder:{path}", stream="always", workers=w) for w in (0, 2)]
    before = torch.get_rng_state()
    results = [batches(each, 6, augment=policy, start=1) for each in data]
    assert same(*results)
    evaluated = [
        list(evaluation_batches(each, each.validation, batch_size=4, device="cpu")) for each in data
    ]
    assert same(*evaluated)
    assert torch.equal(before, torch.get_rng_state())


def test_seed_and_step_change_the_batch(digits):
    one, two = batches(digits, 2)
    other = batches(digits, 1, seed=1)
    assert not torch.equal(one[0], two[0]) and not torch.equal(one[0], other[0][0])


def test_an_epoch_shows_each_image_at_most_once(digits):
    images = digits.train.subset(range(50))
    images.labels.copy_(torch.arange(50))
    made = list(training_batches(digits, images, batch_size=12, seed=0, steps=8, device="cpu"))
    epochs = [torch.cat([y for _, y in made[begin : begin + 4]]) for begin in (0, 4)]
    assert all(len(epoch.unique()) == 48 for epoch in epochs)
    assert not torch.equal(*epochs)


def test_batches_are_normalised(digits):
    images = digits.train
    ((x, y),) = training_batches(
        digits, images, batch_size=len(images), seed=0, steps=1, augment="none", device="cpu"
    )
    assert x.dtype == torch.float32 and y.dtype == torch.int64 and x.shape == (1294, 1, 8, 8)
    assert abs(float(x.mean())) < 1e-4 and abs(float(x.std()) - 1) < 1e-3


def test_evaluation_has_all_images_in_their_order(folder):
    made = list(evaluation_batches(folder, folder.test(), batch_size=5, device="cpu"))
    assert [len(y) for _, y in made] == [5, 5, 2]
    assert torch.cat([y for _, y in made]).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    (whole,) = evaluation_batches(folder, folder.test(), batch_size=100, device="cpu")
    assert torch.equal(torch.cat([x for x, _ in made]), whole[0])


def test_streamed_and_held_images_make_the_same_batches(make_folder):
    path = make_folder(train=20, test=4)
    streamed, held = (load_data(f"folder:{path}", stream=s) for s in ("always", "never"))
    assert same(batches(streamed, 5), batches(held, 5))
    assert streamed.fingerprint == held.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"batch_size": 2000},
            "batch_size 2000: there are only 1294 training images; .* possible is 1294",
        ),
        ({"batch_size": 1400, "world_size": 4}, "the largest batch size possible is 1292"),
        ({"batch_size": 0}, "batch_size 0: must be at least 1"),
        ({"batch_size": 9, "world_size": 2}, "batch_size 9: 2 processes .* nearest valid: 8"),
        ({"batch_size": 1, "world_size": 2}, "nearest valid: 2"),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2 processes: allowed: 0 to 1"),
        ({"augment": "standrad"}, "augment standrad: did you mean 'standard'"),
    ],
)
def test_mistakes_are_named_before_the_first_batch(digits, options, message):
    options = {"batch_size": 12, "seed": 0, "steps": 1, "device": "cpu", **options}
    with pytest.raises(UserError, match=message) as error:
        training_batches(digits, digits.train, **options)
    assert "\n" not in str(error.value)


def test_an_evaluation_needs_a_batch(digits):
    with pytest.raises(UserError, match="batch_size 0"):
        evaluation_batches(digits, digits.train, batch_size=0, device="cpu")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_during_the_run_is_named_in_one_line(make_folder, workers):
    path = make_folder(train=20, test=4)
    data = load_data(f"folder:{path}", stream="always", workers=workers)
    for file in (path / "train/dog").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"^train/dog/\d+.png: No such file") as error:
        batches(data, 4)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_becomes_another_image_during_the_run_is_named(make_folder, workers):
    path = make_folder(train=20, test=4)
    data = load_data(f"folder:{path}", stream="always", workers=workers)
    one, *others = sorted((path / "train/dog").iterdir())
    for file in others:
        file.write_bytes(one.read_bytes())
    with pytest.raises(UserError, match=r"^train/dog/\d+.png: it is not the image") as error:
        batches(data, 4)
    assert "\n" not in str(error.value)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("policy", ["none", "standard", "cutout"])
def test_a_gpu_sees_the_batches_of_the_cpu(digits, policy):
    here = batches(digits, 3, augment=policy)
    images = digits.train.to("cuda")
    there = training_batches(
        digits, images, batch_size=12, seed=0, steps=3, augment=policy, device="cuda"
    )
    for (x, y), (a, b) in zip(here, there, strict=True):
        assert torch.allclose(x, a.cpu(), atol=1e-5) and torch.equal(y, b.cpu())
