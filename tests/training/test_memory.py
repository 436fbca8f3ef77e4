"""The memory that a training needs, checked before it starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from spos import OneOf, Supernet, UserError
from spos.nn import BitPair, ElasticConv2d, FixedBitsConv2d, Stride, StridedConv2d, Width
from spos.training.memory import activation_bytes, check_memory, supports_channels_last

GetSupernet = Callable[[str], Supernet]
CPU = torch.device("cpu")


def kept(model: nn.Module, shape: tuple[int, ...], batch_size: int) -> int:
    """The bytes that a real training step keeps for its backward pass."""
    storages: dict[int, int] = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(torch.zeros(batch_size, *shape))
    return sum(storages.values())


def test_the_activations_are_those_of_a_real_step():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    for batch_size in (1, 16):
        assert activation_bytes(network, (3, 8, 8), batch_size) == kept(
            network, (3, 8, 8), batch_size
        )


def test_tensors_that_a_forward_makes_and_averages_over_all_batches_are_no_obstacle():
    class Padded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.zeros(x.shape[0], 1, 1, 1)

    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=None), Padded())
    assert activation_bytes(network, (3, 8, 8), 2) == kept(network, (3, 8, 8), 2)


def test_a_model_that_does_not_run_in_training_is_refused_in_one_line():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = OneOf({"a": nn.Conv2d(3, 4, 1)}), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.layer(x)) * self.norm.weight.mean()

    supernet = Supernet(Scaled(), (3, 8, 8))
    says = r"Supernet does not run in training on inputs of shape \(2, 3, 8, 8\): AttributeError: "
    with pytest.raises(UserError, match=says):
        activation_bytes(supernet, (3, 8, 8), 2)


def test_activations_grow_with_the_batch(supernet_of: GetSupernet):
    supernet = supernet_of("small")
    one, many = (activation_bytes(supernet, supernet.input_shape, n) for n in (10, 40))
    assert many == pytest.approx(4 * one, rel=0.01)


def test_a_supernet_needs_what_its_heaviest_path_needs():
    def block() -> OneOf:
        widths = {"skip": 0, "wide": 800, "narrow": 4}
        return OneOf(
            {
                name: nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 8))
                if width
                else nn.Identity()
                for name, width in widths.items()
            }
        )

    supernet = Supernet(nn.Sequential(block(), nn.ReLU(), block(), nn.Linear(8, 2)), (8,))
    networks = [supernet.extract(path) for path in supernet.space]
    heaviest = max(kept(network, (8,), 16) for network in networks)
    assert activation_bytes(supernet, (8,), 16) == heaviest


def test_looking_leaves_the_model_as_it_is(make_supernet: GetSupernet):
    supernet = make_supernet("small").eval()
    supernet.activate([3, 2, 1, 0])
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    activation_bytes(supernet, supernet.input_shape, 4)
    assert str(supernet.active) == "3,2,1,0"
    assert not supernet.training
    assert all(torch.equal(before[name], t) for name, t in supernet.state_dict().items())


def leave(patch: pytest.MonkeyPatch, available: int) -> None:
    """Make a machine with so many free bytes of memory."""
    memory = SimpleNamespace(available=available)
    patch.setattr("spos.training.memory.psutil.virtual_memory", lambda: memory)


def test_a_training_that_does_not_fit_is_refused_with_a_batch_that_does(
    supernet_of: GetSupernet, monkeypatch: pytest.MonkeyPatch
):
    supernet = supernet_of("small")
    shape = supernet.input_shape
    weights = 4 * sum(parameter.numel() for parameter in supernet.parameters())
    leave(monkeypatch, 3 * weights + activation_bytes(supernet, shape, 64))
    check_memory(supernet, shape, 64, CPU)
    with pytest.raises(UserError, match="not enough memory on cpu: a step of 512 images") as raised:
        check_memory(supernet, shape, 512, CPU)
    assert "\n" not in str(raised.value)
    found = re.search(r"about (\d+) images fit", str(raised.value))
    assert found
    fitting = int(found[1])
    assert 48 <= fitting <= 64
    check_memory(supernet, shape, fitting, CPU)


def test_where_not_even_the_weights_fit_no_batch_is_named(
    supernet_of: GetSupernet, monkeypatch: pytest.MonkeyPatch
):
    leave(monkeypatch, 1000)
    with pytest.raises(UserError, match="not even one image fits"):
        check_memory(supernet_of("small"), (3, 8, 8), 64, CPU)


def test_a_small_training_fits_this_machine(supernet_of: GetSupernet):
    check_memory(supernet_of("small"), (3, 8, 8), 4, CPU)


@pytest.mark.parametrize(
    ("layer", "safe"),
    [
        (nn.Conv2d(8, 8, 1, stride=2), True),
        (nn.Conv2d(8, 8, 1, stride=2, groups=2), False),
        (StridedConv2d(4, 8, 1, Stride([1, 2])), False),
        (StridedConv2d(4, 8, 3, Stride([1, 2])), True),
        (ElasticConv2d(Width([4, 16]), 8, 1, stride=2), False),
        (ElasticConv2d(Width([8, 16]), 8, 1, stride=2), True),
        (FixedBitsConv2d(nn.Conv2d(4, 8, 1, 2, bias=False), BitPair(2, 2)), False),
    ],
)
def test_channels_last_is_left_where_torch_corrupts_memory(layer: nn.Module, safe: bool):
    assert supports_channels_last(nn.Sequential(layer), CPU) == safe
