"""The supernet, and what is taken out of it."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spos import Architecture, OneOf, Supernet, UserError
from spos.nn import ChoiceModule

GetSupernet = Callable[[str], Supernet]
MODELS = ["small", "residual", "widths", "strides", "shared", "nested", "reused", "inplace", "pair"]


def architectures(supernet: Supernet) -> st.SearchStrategy[Architecture]:
    options = [st.integers(0, count - 1) for count in supernet.space.option_counts]
    return st.tuples(*options).map(Architecture)


def images(supernet: Supernet, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *supernet.input_shape, generator=generator)


def storages(module: nn.Module) -> set[int]:
    tensors = [*module.parameters(), *module.buffers()]
    return {t.untyped_storage().data_ptr() for t in tensors if t.numel()}


def same_state(left: nn.Module, right: dict[str, Tensor]) -> bool:
    state = left.state_dict()
    return state.keys() == right.keys() and all(torch.equal(state[n], right[n]) for n in right)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=8)
@given(data=st.data())
def test_a_subnet_computes_what_its_path_computes_with_torch_modules_alone(
    name, supernet_of: GetSupernet, data
):
    supernet = supernet_of(name)
    architecture = data.draw(architectures(supernet))
    network = supernet.subnet(architecture)
    for module in network.modules():
        assert type(module).__module__.startswith("torch."), type(module)
        assert not isinstance(module, _BatchNorm) or module.affine
    assert not storages(network) & storages(supernet)
    supernet.activate(architecture)
    x = images(supernet)
    with torch.no_grad():
        assert torch.equal(supernet(x.clone()), network.eval()(x.clone()))


@pytest.mark.parametrize("name", MODELS)
def test_a_subnet_trains_like_its_path(name, make_supernet: GetSupernet):
    supernet = make_supernet(name).train()
    architecture = Architecture(min(1, count - 1) for count in supernet.space.option_counts)
    network = supernet.subnet(architecture).train()
    supernet.activate(architecture)
    x = images(supernet, 4)
    ours, theirs = supernet(x.clone()), network(x.clone())
    assert torch.equal(ours, theirs)
    # The statistics went the same way as well.
    supernet.eval()
    network.eval()
    with torch.no_grad():
        assert torch.equal(supernet(x.clone()), network(x.clone()))
    theirs.sum().backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None]
    assert not missing


def test_extraction_leaves_the_supernet_as_it_is(make_supernet: GetSupernet):
    supernet = make_supernet("small")
    supernet.activate([3, 2, 1, 0])
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = supernet.subnet([0, 1, 2, 3])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7)
    assert supernet.active == Architecture((3, 2, 1, 0))
    assert same_state(supernet, before)


class SlowlyCopied(nn.Module):
    """A module during whose copy other threads go on."""

    def __deepcopy__(self, memo: object) -> SlowlyCopied:
        time.sleep(0.005)
        return SlowlyCopied()

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_threads_extract_each_its_own_path():
    def kernels() -> OneOf:
        return OneOf({f"{side}": nn.Conv2d(3, 3, side, padding=side // 2) for side in (1, 3)})

    model = nn.Sequential(SlowlyCopied(), kernels(), SlowlyCopied(), kernels())
    supernet = Supernet(model, (3, 4, 4))
    paths = [[0, 1], [1, 0], [0, 0], [1, 1]] * 2
    with ThreadPoolExecutor(4) as threads:
        copies = list(threads.map(supernet.extract, paths))
    for path, copied in zip(paths, copies, strict=True):
        sides = [m.kernel_size[0] for m in copied.modules() if isinstance(m, nn.Conv2d)]
        assert sides == [(1, 3)[option] for option in path]
    assert supernet.active == Architecture((0, 0))


def test_a_subnet_copies_and_its_state_loads_into_another(supernet_of: GetSupernet):
    supernet = supernet_of("residual")
    x = images(supernet)
    network = supernet.subnet([0, 1, 2, 3, 0, 1]).eval()
    twin = copy.deepcopy(network)
    assert torch.equal(twin(x), network(x))
    assert not storages(twin) & storages(network)
    other = supernet.subnet([0, 1, 2, 3, 0, 1]).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not torch.equal(other(x), network(x))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x), network(x))


def test_a_saved_subnet_runs_in_a_process_without_spos(supernet_of: GetSupernet, tmp_path: Path):
    supernet = supernet_of("small")
    network = supernet.subnet([3, 0, 1, 2]).eval()
    x = images(supernet)
    torch.save(network, tmp_path / "network.pt")
    torch.export.save(torch.export.export(network, (x,)), tmp_path / "exported.pt2")
    torch.save((x, network(x).detach()), tmp_path / "expected.pt")
    code = """
import sys
sys.modules["spos"] = None
import torch
torch.set_num_threads(1)
x, expected = torch.load("expected.pt")
network = torch.load("network.pt", weights_only=False)
with torch.no_grad():
    assert torch.equal(network(x), expected)
    torch.testing.assert_close(torch.export.load("exported.pt2").module()(x), expected)
try:
    import spos
except ImportError:
    print("without spos")
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "without spos", done.stderr


def test_a_saved_supernet_loads_into_a_new_one(make_supernet: GetSupernet):
    first, second = make_supernet("shared").eval(), make_supernet("shared").eval()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1)
    second.load_state_dict(first.state_dict())
    x = images(first)
    assert torch.equal(first(x.clone()), second(x.clone()))


def test_a_copy_of_a_supernet_is_independent(make_supernet: GetSupernet):
    supernet = make_supernet("widths in sequence")
    twin = copy.deepcopy(supernet)
    twin.activate([1, 2, 3])
    assert supernet.active == Architecture((0, 0, 0))
    assert twin.active == Architecture((1, 2, 3))
    assert twin.stages[0].module is not supernet.stages[0].module
    assert twin.stages[0].module is twin.model[0]  # type: ignore[index]


def test_an_active_path_is_read_back(supernet_of: GetSupernet):
    supernet = supernet_of("nested")
    for architecture in supernet.space:
        supernet.activate(architecture)
        assert supernet.active == architecture


@pytest.mark.parametrize("wrong", [[0], [0, 0, 0], [0, 9], [-1, 0]])
def test_a_wrong_path_is_refused_and_changes_nothing(make_supernet: GetSupernet, wrong):
    supernet = make_supernet("shared")
    supernet.activate([2, 1])
    for method in (supernet.activate, supernet.extract, supernet.subnet):
        with pytest.raises(UserError):
            method(wrong)
    assert supernet.active == Architecture((2, 1))


def test_choices_are_named_after_their_place_and_shared_by_name(supernet_of: GetSupernet):
    assert [c.name for c in supernet_of("residual").space.choices][:2] == ["blocks.0", "blocks.1"]
    shared = supernet_of("shared")
    assert [choice.name for choice in shared.space.choices] == ["kernel", "middle"]
    assert [stage.choices for stage in shared.stages] == [(0,), (1,), (0,), ()]


def test_a_part_of_a_model_keeps_the_names_of_its_choices(make_supernet: GetSupernet):
    supernet = make_supernet("residual")
    twin = copy.deepcopy(supernet.model)
    assert Supernet(twin, supernet.input_shape).space == supernet.space


def test_a_sequence_is_split_into_stages_and_other_code_is_not(supernet_of: GetSupernet):
    small = supernet_of("small")
    names = [stage.name for stage in small.stages]
    assert names[0] == "first_conv"
    assert names[1:5] == [f"features.{number}" for number in range(4)]
    assert [stage.name for stage in supernet_of("residual").stages] == [""]

    class Doubled(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    model = nn.Sequential(Doubled(OneOf({"a": nn.Linear(2, 2)})), nn.Linear(2, 2))
    assert [stage.name for stage in Supernet(model, (2,)).stages] == ["0", "1"]


@pytest.mark.parametrize("name", ["reused", "shared", "inplace", "small"])
def test_the_stages_one_after_the_other_are_the_model(name, supernet_of: GetSupernet):
    supernet = supernet_of(name)
    supernet.activate([1] * len(supernet.space))
    x = images(supernet)
    with torch.no_grad():
        expected = supernet(x.clone())
        for stage in supernet.stages:
            x = stage.module(x)
    assert torch.equal(x, expected)


def test_a_module_without_weights_may_stand_twice_in_a_sequence():
    activation = nn.Sigmoid()
    choice = OneOf({"4": nn.Linear(3, 3), "skip": nn.Identity()})
    supernet = Supernet(nn.Sequential(choice, activation, nn.Linear(3, 3), activation), (3,))
    assert [stage.name for stage in supernet.stages] == ["0", "1", "2", "3"]
    x = torch.randn(2, 3)
    expected = supernet(x)
    for stage in supernet.stages:
        x = stage.module(x)
    assert torch.equal(x, expected)


def test_stages_share_no_weights(make_supernet: GetSupernet):
    # Else a part would be counted twice, and its statistics would be kept twice.
    assert len(make_supernet("reused").stages) == 1
    tied = nn.Sequential(nn.Linear(4, 4), OneOf({"a": nn.Identity()}), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    assert len(Supernet(tied, (4,)).stages) == 1


def test_batch_norms_lose_their_affine_parameters_unless_kept():
    def model() -> nn.Module:
        return nn.Sequential(OneOf({"a": nn.BatchNorm1d(4), "b": nn.LayerNorm(4)}))

    stripped, kept = Supernet(model(), (4,)), Supernet(model(), (4,), affine=True)
    assert [name for name, _ in stripped.named_parameters()] == [
        "model.0.options.1.weight",
        "model.0.options.1.bias",
    ]
    assert len(list(kept.parameters())) == 4
    with torch.no_grad():
        for parameter in kept.parameters():
            parameter.fill_(3)
    assert all((parameter == 3).all() for parameter in kept.subnet([0]).parameters())
    weight, bias = stripped.subnet([0]).parameters()
    assert (weight == 1).all()
    assert (bias == 0).all()


def test_a_second_supernet_of_a_model_gives_the_same_networks():
    model = nn.Sequential(OneOf({"a": nn.BatchNorm1d(4), "b": nn.LayerNorm(4)}), nn.Flatten())
    Supernet(model, (4,))
    again = Supernet(copy.deepcopy(model), (4,))
    assert len(list(again.subnet([0]).parameters())) == 2
    assert "_spos" not in "".join(vars(again.extract([0])[0]))
    with pytest.raises(UserError, match="lost their affine parameters to an earlier"):
        Supernet(model, (4,), affine=True)


def test_a_batch_norm_that_never_had_affine_parameters_gets_none():
    model = nn.Sequential(OneOf({"a": nn.BatchNorm1d(4, affine=False)}))
    assert not list(Supernet(model, (4,)).subnet([0]).parameters())


@pytest.mark.parametrize("to", [torch.device("meta"), torch.float64])
def test_restored_parameters_are_where_the_model_is(to: torch.device | torch.dtype):
    option = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    supernet = Supernet(nn.Sequential(OneOf({"a": option})), (3, 8, 8)).to(to)
    restored = [*supernet.subnet([0]).parameters()]
    assert len(restored) == 4
    assert len({(one.device, one.dtype) for one in restored}) == 1


def test_inactive_options_are_not_copied(make_supernet: GetSupernet):
    supernet = make_supernet("small")
    network = supernet.extract([0, 0, 0, 0])
    assert not any(isinstance(module, ChoiceModule) for module in network.modules())
    assert sum(p.numel() for p in network.parameters()) < sum(
        p.numel() for p in supernet.parameters()
    )


def test_a_model_that_is_a_single_choice_works():
    supernet = Supernet(OneOf({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3, bias=False)}), (4,))
    assert supernet.space.choices[0].name == "OneOf"
    supernet.activate([1])
    x = torch.randn(2, 4)
    assert torch.equal(supernet(x), supernet.subnet([1])(x))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: nn.Linear(2, 2), "Linear has no choice in it: put a spos.nn.OneOf"),
        (
            lambda: nn.Sequential(
                OneOf({"a": nn.Identity()}, name="x"), OneOf({"b": nn.Identity()}, name="x")
            ),
            "two modules share the choice 'x' but not its options: a and b",
        ),
        (lambda: nn.Linear, "model of type type: must be a module with choices"),
        (
            lambda: nn.Sequential(
                nn.InstanceNorm1d(2, track_running_stats=True), OneOf({"a": nn.Identity()})
            ),
            "0 is an instance norm with running statistics, .* set track_running_stats=False",
        ),
    ],
)
def test_a_model_without_a_valid_choice_is_refused(model, says):
    with pytest.raises(UserError, match=says):
        Supernet(model(), (2,))


@pytest.mark.parametrize("shape", [None, 32, "3, 32, 32", (3.0, 32), (3, 0, 32), (-1,)])
def test_an_input_without_a_shape_is_refused(shape):
    with pytest.raises(UserError, match=r"input_shape .*: must be the sizes of one input"):
        Supernet(OneOf({"a": nn.Identity()}), shape)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()})

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.sum() > 0 else x


class FunctionalDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()})

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.layer(x), 0.5, self.training)


class Frozen(nn.Module):
    """A part that stays in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.BatchNorm1d(2)
        self.layer = OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()})

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.stem.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.stem(x))


@pytest.mark.parametrize("model", [Branching, FunctionalDropout, Frozen])
def test_a_model_that_is_not_a_single_graph_is_extracted_but_has_no_subnet(model):
    supernet = Supernet(model(), (2,)).eval()
    with pytest.raises(UserError, match=r"cannot be written as one graph.*Supernet\.extract") as e:
        supernet.subnet([0])
    assert "\n" not in str(e.value)
    x = torch.ones(1, 2)
    assert torch.equal(supernet.extract([0])(x), supernet(x))


def doubled(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return 2 * output


def test_a_hook_runs_in_every_network_or_is_refused():
    def model() -> nn.Sequential:
        return nn.Sequential(OneOf({"a": nn.Linear(2, 2)}), nn.Sequential(nn.Linear(2, 2)))

    x = torch.ones(1, 2)
    inside = model()
    inside[0].options[0].register_forward_hook(doubled)
    inside[1].register_forward_hook(doubled)
    supernet = Supernet(inside, (2,)).eval()
    assert torch.equal(supernet.subnet([0])(x), supernet(x))

    whole = model()
    whole.register_forward_pre_hook(lambda _, inputs: (3 * inputs[0],))
    supernet = Supernet(whole, (2,)).eval()
    assert len(supernet.stages) == 1, "its stages one after the other would be without it"
    assert torch.equal(supernet.extract([0])(x), supernet(x))
    with pytest.raises(
        UserError, match="Sequential has a forward hook, which extracted networks would lose"
    ):
        supernet.subnet([0])

    chosen = model()
    chosen[0].register_forward_hook(doubled)
    with pytest.raises(
        UserError, match="the choice '0' has a forward hook, which extracted networks would lose"
    ):
        Supernet(chosen, (2,)).extract([0])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (lambda: nn.LazyLinear(2), "the model has lazy layers"),
        (lambda: nn.LazyBatchNorm1d(affine=False), "the model has lazy layers"),
        (
            lambda: torch.jit.script(nn.Linear(2, 2)),
            "its part 'options.0' is compiled by torch.jit",
        ),
    ],
)
def test_a_model_whose_copies_cannot_be_trained_is_refused(option, says):
    with pytest.raises(UserError, match=says):
        Supernet(OneOf({"a": option(), "b": nn.Identity()}), (2,))


def test_a_subnet_is_in_the_mode_of_the_supernet(make_supernet: GetSupernet):
    supernet = make_supernet("residual")
    for mode in (True, False):
        network = supernet.train(mode).subnet([0] * 6)
        assert {module.training for module in network.modules()} == {mode}
