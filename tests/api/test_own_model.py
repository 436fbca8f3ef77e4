"""What a model is recognised by, and which one is refused."""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from own_models import QUICK, arrays, layer, stack
from torch import Tensor, nn

import spos
import spos.spaces
from spos import Architecture, OneOf, UserError
from spos._api.own_model import add_model
from spos.data.peek import ImageFacts
from spos.nn import BitPair, Bits, FixedBitsConv2d, QuantisedConv2d
from spos.nn.quantisers import LearnedStepWeight
from spos.run.planning.layouts import SIDES
from spos.run.planning.planner import Planner
from spos.search import SearchSettings, search
from spos.spaces import family
from spos.spaces._own import PRESET, OwnLayout, register_model


def test_a_score_that_the_model_cannot_have_is_refused_before_the_training(tmp_path: Path) -> None:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    linear = nn.Sequential(layer(1, 8)[0], *head)
    settings = {**QUICK, "search": {**QUICK["search"], "naswot_weight": 0.5}}
    with pytest.raises(UserError, match="naswot_weight: the network has no activation"):
        spos.search(linear, arrays(), settings=settings, threads=1, out=tmp_path / "run")
    assert not list(tmp_path.glob("run/*.json"))


class Shaped(nn.Sequential):
    """A model with code and plain values of its own."""

    scale = 1.0

    def __init__(self, scale: float, act: Any) -> None:
        super().__init__(*stack())
        self.scale, self.act = scale, act

    def forward(self, images: Tensor) -> Tensor:
        for module in self[:-3]:
            images = self.act(self.scale * module(images))
        outputs: Tensor = self[-3:](images)
        return outputs


def known_as(model: nn.Module) -> str:
    layout = spos.spaces.family(register_model(model, 8)).preset(PRESET)
    assert isinstance(layout, OwnLayout)
    return layout.model


def test_a_model_is_known_by_its_code_and_its_values() -> None:
    first = known_as(Shaped(1.0, torch.relu))
    other = Shaped(1.0, torch.relu).eval()
    for module in other.modules():
        if isinstance(module, OneOf):
            module.activate(len(module.options) - 1)
    assert known_as(other) == first, "with other random weights and another path as well"
    assert known_as(Shaped(-3.0, torch.relu)) != first
    assert known_as(Shaped(1.0, torch.sin)) != first


class Setting:
    """Settings that a module keeps."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes


class Keeping(nn.Module):
    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.setting = Setting(sizes)


def attention(heads: int = 2, **named: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(8, heads, 16, **named)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (attention, partial(attention, 4)),
        (attention, partial(attention, norm_first=True)),
        (attention, partial(attention, activation="gelu")),
        (partial(nn.AvgPool2d, 2), partial(nn.AvgPool2d, 2, count_include_pad=False)),
        (partial(Keeping, (1, 2)), partial(Keeping, (1, 3))),
    ],
)
def test_a_model_is_known_by_what_its_text_leaves_out(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module]
) -> None:
    first, again, changed = (nn.Sequential(layer(1, 8)[0], make()) for make in (one, one, other))
    assert known_as(first) == known_as(again)
    assert known_as(first) != known_as(changed), "the second would be given the first's network"


class Quantised(nn.Module):
    """A model of few bits, searched and fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.bits = Bits(["w1a2", "w4a4"])
        self.first = QuantisedConv2d(1, 8, 3, self.bits)
        convolutions = (nn.Conv2d(8, 8, 1, bias=False) for _ in range(2))
        pairs = BitPair(2, 2), BitPair(8, 8)
        fixed = map(FixedBitsConv2d, convolutions, pairs)
        self.second = OneOf(dict(zip(("low", "high"), fixed, strict=True)))
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.second(self.first(images)).mean((2, 3)))
        return outputs


def test_a_quantised_model_is_known_by_no_random_number_and_drawn_anew() -> None:
    built = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        name = register_model(Quantised(), 8)
        torch.manual_seed(2)
        own = spos.spaces.family(name)
        built.append((known_as(Quantised()), own.build(own.preset(PRESET), classes=10)))
    (first, one), (second, other) = built
    assert first == second
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    for module in one.modules():
        if isinstance(module, QuantisedConv2d):
            fresh = LearnedStepWeight(4, module.full.weight)
            assert module.weight_quantisers["4"].step.equal(fresh.step)


#: A constant of the script.
GAIN = 1.0


class Scaled(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * GAIN


@pytest.mark.parametrize("kind", [float, torch.tensor, np.array])
def test_a_model_is_known_by_the_constants_that_its_code_names(
    kind: Callable[[float], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = []
    for gain in (1.0, 1.0, 2.0):
        monkeypatch.setattr(sys.modules[__name__], "GAIN", kind(gain))
        known.append(known_as(Scaled(layer(1, 8)[0])))
    assert known[0] == known[1] != known[2]


@pytest.mark.parametrize("kind", ["persistent", "in no checkpoint", "attribute"])
def test_a_model_is_known_by_its_constant_tensors(kind: str) -> None:
    class Waves(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            waves = torch.randn(1, generator=torch.Generator().manual_seed(seed))
            if kind == "attribute":
                self.waves = waves
            else:
                self.register_buffer("waves", waves, persistent=kind == "persistent")

        def forward(self, images: Tensor) -> Tensor:
            return (images * self.waves).sin()

    one, same, other = (nn.Sequential(Waves(seed), *stack()) for seed in (0, 0, 1))
    assert known_as(one) == known_as(same)
    assert known_as(one) != known_as(other), (
        "the supernet of the one would be searched as the other"
    )


def test_a_module_that_knows_how_it_begins_has_the_last_word() -> None:
    class Zero(nn.Sequential):
        def reset_parameters(self) -> None:
            nn.init.zeros_(self[0].weight)

    def attention() -> nn.Module:
        parts = (nn.Flatten(2), nn.TransformerEncoderLayer(64, 2, 32), nn.Flatten())
        first = OneOf({"zero": Zero(nn.Conv2d(1, 1, 1)), "skip": nn.Identity()})
        return nn.Sequential(first, *parts)

    def built(model: nn.Module) -> nn.Module:
        space = spos.spaces.family(register_model(model, 8))
        torch.manual_seed(0)
        return space.build(space.preset(PRESET), classes=64, image_channels=1)

    # Whatever the caller's own random numbers were.
    first, second = built(attention()), built(attention())
    for (name, one), (_, two) in zip(
        first.named_parameters(), second.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name
    (zero,) = (module for module in first.modules() if isinstance(module, Zero))
    assert not zero[0].weight.any()


def test_a_model_that_computes_something_else_each_time_is_refused(tmp_path: Path) -> None:
    class Dropped(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.dropout(images)

    noisy = OneOf({"none": nn.Identity(), "noise": Dropped()})
    with pytest.raises(UserError, match="output differs from one evaluation to the next: use"):
        spos.search(
            nn.Sequential(noisy, *stack()),
            arrays(),
            settings=QUICK,
            threads=1,
            out=tmp_path / "run",
        )
    assert not list(tmp_path.glob("run/*.json"))


def test_weights_that_are_frozen_are_those_of_the_model() -> None:
    def pretrained(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        parts = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), layer(4, 8))
        model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
        nn.init.normal_(model[1].weight)
        model[:2].requires_grad_(False)
        return model

    model = pretrained(0)
    kept = {name: one.clone() for name, one in model.named_parameters() if not one.requires_grad}
    assert sorted(kept) == ["0.bias", "0.weight", "1.bias", "1.weight"]
    first = known_as(model)
    own = spos.spaces.family("own-Sequential")
    supernet = own.build(own.preset(PRESET), classes=10, image_channels=1)
    for network in (supernet.model, supernet.subnet([0])):
        for name, one in kept.items():
            parameter = network.get_parameter(name)
            assert torch.equal(parameter, one) and not parameter.requires_grad, name
    assert not torch.equal(supernet.model[5].weight, model[5].weight)
    assert supernet.model[2][1].weight is None
    assert known_as(pretrained(0)) == first != known_as(pretrained(1))


def test_the_statistics_of_a_frozen_batch_norm_are_those_of_the_model() -> None:
    def pretrained(mean: float, *, frozen: bool = True) -> nn.Module:
        norm = nn.BatchNorm2d(1).requires_grad_(not frozen)
        nn.init.constant_(norm.running_mean, mean)
        return nn.Sequential(norm, *stack())

    means = []
    for model in (pretrained(3.0), pretrained(3.0, frozen=False)):
        own = spos.spaces.family(register_model(model, 8))
        supernet = own.build(own.preset(PRESET), classes=10, image_channels=1)
        means.append(supernet.model[0].running_mean.item())
    assert means == [3.0, 0.0]
    assert known_as(pretrained(3.0)) == known_as(pretrained(3.0)) != known_as(pretrained(4.0))


def test_a_module_whose_reset_needs_arguments_keeps_what_it_brings() -> None:
    class Gain(nn.Module):
        def __init__(self, gain: float) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.empty(()))
            self.reset_parameters(gain)

        def reset_parameters(self, gain: float) -> None:
            nn.init.constant_(self.gain, gain)

        def forward(self, images: Tensor) -> Tensor:
            return self.gain * images

    own = spos.spaces.family(register_model(nn.Sequential(Gain(2.0), *stack()), 8))
    supernet = own.build(own.preset(PRESET), classes=10, image_channels=1)
    assert supernet.model[0].gain == 2.0


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            nn.Sequential(*stack()[:-1], nn.Linear(12, 7)),
            r"outputs of shape \[N, 7\]; allowed for 10 classes: \[N, 10\]",
        ),
        (
            nn.Sequential(
                *stack()[:-1], OneOf({"all": nn.Linear(12, 10), "more": nn.Linear(12, 14)})
            ),
            r"outputs of shape \[N, 14\] with the options 1,1,1,1; allowed for 10 classes",
        ),
        (nn.Sequential(*stack()[:-3]), r"outputs of shape \[N, 12, 8, 8\]"),
        (nn.Sequential(*stack()[:-1], nn.LazyLinear(10)), "lazy layers, whose sizes are not known"),
        (torch.compile(stack()), "compiled by torch.compile: give the module itself"),
        (nn.DataParallel(stack()), "wrapped for several devices: give the module itself"),
        (
            stack().double(),
            r"weights of torch.float64, such as 0\.0\.options\.0\.weight",
        ),
        (stack().to("meta"), "the model is on the device meta, which holds no numbers"),
        (spos.Supernet(stack(), (1, 32, 32)), r"inputs of shape \[1, 32, 32\], the images have"),
    ],
)
def test_a_model_that_does_not_suit_the_images_is_refused(
    model: nn.Module, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says) as refused:
        spos.search(model, arrays(), out=tmp_path / "run", time="1m")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


class Forgetful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*stack())
        self.forgotten = OneOf({"on": nn.Linear(2, 2), "off": nn.Identity()})

    def forward(self, images: Tensor) -> Any:
        return self.layers(images)


def test_a_choice_that_the_model_does_not_run_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    spos.search(
        Forgetful(),
        arrays(),
        settings={**QUICK, "search": {"population": 4, "iterations": 1, "parents": 2}},
        compare=0,
        threads=1,
        out=tmp_path / "run",
        callback=lambda stage, done, total, text: told.append(text),
    )
    (said,) = (text for text in told if "never runs the OneOf" in text)
    assert said.startswith("the model's forward never runs the OneOf 'forgotten'; ")


def test_an_option_inside_of_another_counts_where_it_is_chosen(tmp_path: Path) -> None:
    told: list[str] = []
    kernels = {f"{k}x{k}": nn.Conv2d(8, 8, k, padding=k // 2) for k in (1, 3, 5)}
    acts = {"relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU()}
    block = nn.Sequential(OneOf(kernels), nn.BatchNorm2d(8), OneOf(acts))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    model = nn.Sequential(nn.Conv2d(1, 8, 1), OneOf({"skip": nn.Identity(), "block": block}), *head)
    supernet = spos.Supernet(copy.deepcopy(model), (1, 8, 8))
    every = [Architecture(each) for each in itertools.product(range(2), range(3), range(3))]
    canonical = supernet.space.canonical
    assert len(set(map(canonical, every))) == 1 + 9
    found = spos.search(
        model,
        arrays(),
        settings={**QUICK, "search": {"population": 12, "iterations": 1, "parents": 2}},
        compare=3,
        threads=1,
        out=tmp_path / "run",
        callback=lambda stage, done, total, text: told.append(text),
    )
    assert not [text for text in told if "never runs" in text]
    # Each network once, so there are fewer than a population.
    assert {one.architecture for one in found.candidates} == set(map(canonical, every))
    assert len(found.candidates) == 10
    assert found.comparison is not None
    compared = [one.architecture for one in found.comparison.networks]
    networks = map(supernet.space.parse, [*compared, str(found.winner.architecture)])
    assert len(set(map(canonical, networks))) == len(compared) + 1


def test_a_search_of_few_networks_of_many_names_ends() -> None:
    def inner() -> OneOf:
        return OneOf({"1": nn.Conv2d(4, 4, 1), "3": nn.Conv2d(4, 4, 3, padding=1)})

    def block() -> OneOf:
        return OneOf({"skip": nn.Identity(), "conv": nn.Sequential(*(inner() for _ in range(3)))})

    supernet = spos.Supernet(nn.Sequential(*(block() for _ in range(7))), (4, 8, 8))
    table = spos.CostTable(supernet)
    study = optuna.create_study(direction="maximize")
    result = search(
        supernet.space,
        table,
        spos.Constraint({"flops": 0}),
        lambda candidates: ((one, 1.0) for one in candidates),
        study,
        SearchSettings(population=50, iterations=2),
    )
    # All are the network that skips everything.
    assert [str(one.architecture) for one in result.candidates] == [",".join("0" * 28)]
    assert result.exhausted


def test_a_subclass_of_a_choice_may_hold_further_choices() -> None:
    class Gated(OneOf):
        def __init__(self) -> None:
            super().__init__({"a": nn.Conv2d(4, 4, 1), "b": nn.Conv2d(4, 4, 1)})
            self.gate = OneOf({"open": nn.Identity(), "half": nn.Hardtanh()})

        def forward(self, images: Tensor) -> Tensor:
            gated: Tensor = self.gate(super().forward(images))
            return gated

    space = spos.Supernet(Gated(), (4, 8, 8)).space
    assert [space.canonical(one) for one in space] == list(space)


def test_images_are_made_smaller_where_no_network_of_the_model_is_within_the_limit() -> None:
    facts = ImageFacts(80, 10, 100, 1, grey=True, has_validation=False, has_test=False)
    own = family(add_model(stack(), facts, None, {})[0])
    supernet = own.build(own.preset(PRESET), classes=10, image_channels=1)
    least, most = own.costs(supernet).range()["flops"]
    name, why = add_model(stack(), facts, None, {"flops": 0.9 * least})
    side = family(name).preset(PRESET).image_size
    assert side in SIDES and side < 100
    assert why.startswith(f"images of {side} pixels of 100 (median): for larger ones hardly a")
    # What the caller gave, or what leaves networks to choose from, stays.
    assert add_model(stack(), facts, 100, {"flops": 0.9 * least})[1] == ""
    assert add_model(stack(), facts, None, {"flops": most})[1] == ""
    # Nothing is cheap enough: the search says what is reachable.
    name, why = add_model(stack(), facts, None, {"flops": 10})
    assert (family(name).preset(PRESET).image_size, why) == (100, "")


def test_images_get_the_size_that_the_model_is_for() -> None:
    facts = ImageFacts(80, 10, 28, 1, grey=True, has_validation=False, has_test=False)
    kernels = {str(size): nn.Conv2d(1, 4, size, padding=size // 2) for size in (1, 3)}
    model = nn.Sequential(OneOf(kernels), nn.Flatten(), nn.Linear(4 * 64 * 64, 10))
    name, why = add_model(model, facts, None, {})
    assert family(name).preset(PRESET).image_size == 64
    assert why == "images resized to 64 pixels: the model does not run on 28, their median"
    for side, fitting in ((28, 64), (None, 77)):
        model = nn.Sequential(OneOf(kernels), nn.Flatten(), nn.Linear(4 * fitting**2, 10))
        with pytest.raises(UserError, match=r"does not run on input of shape \(1, 1, 28, 28\)"):
            add_model(model, facts, side, {})


def test_a_model_for_one_size_keeps_it() -> None:
    facts = ImageFacts(80, 10, 100, 1, grey=True, has_validation=False, has_test=False)
    kernels = {str(size): nn.Conv2d(1, 4, size, padding=size // 2) for size in (1, 3)}
    model = nn.Sequential(OneOf(kernels), nn.Flatten(), nn.Linear(4 * 100 * 100, 10))
    name, why = add_model(model, facts, None, {"flops": 1000})
    assert (family(name).preset(PRESET).image_size, why) == (100, "")


def test_a_model_without_batch_norm_does_not_diverge(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    images = (0.5 * random.random((200, 3, 28, 28)) + 0.15 * labels[:, None, None, None]).astype(
        "f4"
    )
    options = {str(size): nn.Conv2d(8, 8, size, padding=size // 2) for size in (1, 3)}
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1), OneOf(options), nn.Flatten()),
        nn.Linear(8 * 14 * 14, 3),
    )
    # At the learning rates of a plan the loss of this one became infinite.
    found = spos.search(
        model, (images, labels), time="4s", threads=1, compare=0, out=tmp_path / "a"
    )
    assert found.accuracy is not None and found.accuracy > 0.9
    chosen = {
        one.setting: one.value
        for one in Planner({"data": {"source": "digits"}}, 60.0).plan().choices
    }
    assert "supernet.gradient_clip" not in chosen
