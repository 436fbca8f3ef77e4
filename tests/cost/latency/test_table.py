"""A latency table: what it gives, what it refuses, and how it is kept."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clockwork import Clock, layer, weights
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spos._util.errors import UserError
from spos._util.files import read_json, write_json
from spos.cost import CostTable
from spos.cost.latency import LatencyTable, measure_latency
from spos.cost.latency import table as table_module
from spos.cost.latency.record import Fit, PartKey, PartLatency, Runtime
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import family


def measured(supernet: Supernet) -> LatencyTable:
    return measure_latency(supernet, rounds=1, make=Clock())


def latency(table: LatencyTable, supernet: Supernet, architecture: list[int]) -> int:
    return CostTable(supernet, counter=table.counter(supernet)).cost(architecture)["latency"]


def test_a_network_costs_its_parts_and_the_fit(supernet: Supernet):
    table = measured(supernet)
    costs = CostTable(supernet, counter=table.counter(supernet))
    fitted = dataclasses.replace(table, fit=Fit(intercept=700, boundary=-30, networks=9))
    with_fit = CostTable(supernet, counter=fitted.counter(supernet))
    for architecture in supernet.space:
        expected = 1000 * weights(supernet.subnet(architecture))
        assert costs.cost(architecture) == {"latency": expected}
        skipped = sum(option == 2 for option in architecture)
        assert with_fit.cost(architecture) == {"latency": expected + 700 - 30 * (5 - skipped)}
    everything = np.array(list(supernet.space))
    assert with_fit.range()["latency"] == (
        with_fit.many(everything).min(),
        with_fit.many(everything).max(),
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"unit": "ms"}, "unit: Input should be 'ns', not 'ms'"),
        ({"format": "2"}, "damaged: format '2'"),
        ({"format": None}, "damaged: format None"),
        ({"input_shape": []}, r"input_shape: .* at least 1 item .*, not \[\]"),
        ({"outputs": -3}, "outputs: Input should be greater than 0, not -3"),
    ],
)
def test_what_a_table_does_not_say_is_not_guessed(
    tmp_path: Path, supernet: Supernet, changes: dict[str, Any], told: str
):
    path = tmp_path / "cpu.json"
    measured(supernet).write(path)
    write_json(path, {**read_json(path), **changes})
    with pytest.raises(UserError, match=told):
        LatencyTable.read(path)


def test_a_file_nested_too_deep_is_not_a_table(tmp_path: Path):
    (tmp_path / "cpu.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="not a latency table or is damaged"):
        LatencyTable.read(tmp_path / "cpu.json")


def test_what_a_network_takes_once_is_counted_once_where_all_stages_are_alike():
    supernet = Supernet(nn.Sequential(layer(3, 3), layer(3, 3), layer(3, 3)), (3, 8, 8))
    table = dataclasses.replace(measured(supernet), fit=Fit(intercept=10**9))
    assert len(table.parts) == 3
    assert 10**9 <= latency(table, supernet, [0, 0, 0]) < 2 * 10**9


class Sum(nn.Module):
    """A model that is one stage, by default with 3 ** 6 combinations of options."""

    def __init__(self, make: Callable[[], nn.Module] = lambda: layer(4, 4)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(make() for _ in range(6))

    def forward(self, x: Any) -> Any:
        for one in self.layers:
            x = x + one(x)
        return x


def test_a_stage_with_many_combinations_is_the_sum_of_what_its_options_add():
    supernet = Supernet(Sum(), (4, 8, 8))
    clock = Clock()
    table = measure_latency(supernet, rounds=1, make=clock)
    assert len(table.parts) == 1 + 6 * 2 == len(clock.loaded)
    costs = CostTable(supernet, counter=table.counter(supernet))
    random = np.random.default_rng(0)
    for architecture in (supernet.space.sample(random) for _ in range(20)):
        assert costs.cost(architecture)["latency"] == 1000 * weights(supernet.subnet(architecture))


def test_a_choice_inside_of_an_option_is_measured_with_the_choice_of_the_option():
    def nested() -> nn.Module:
        block = nn.Sequential(layer(4, 3), nn.Conv2d(3, 4, 1))
        return OneOf({"skip": nn.Identity(), "block": block})

    supernet = Supernet(Sum(nested), (4, 8, 8))
    costs = CostTable(supernet, counter=measured(supernet).counter(supernet))
    random = np.random.default_rng(0)
    for architecture in (supernet.space.sample(random) for _ in range(20)):
        assert costs.cost(architecture)["latency"] == 1000 * weights(supernet.subnet(architecture))


def test_the_cells_of_nas_bench_201_are_measured_one_option_at_a_time():
    spaces = family("nasbench201")
    supernet = spaces.build(spaces.preset("tiny"), classes=10, image_channels=3)
    table = measured(supernet)
    cells = {key.stage: 0 for key in table.parts if key.options}
    for key in table.parts:
        if key.options:
            cells[key.stage] += 1
    assert set(cells.values()) == {1 + 6 * 4}
    assert latency(table, supernet, [3] * 6) > latency(table, supernet, [0] * 6)


SMALL = {
    "shufflenetv2-joint": {"channels": (16, 24), "depths": (1, 2), "scales": (0.5, 1.0)},
    "resnet-bits": {"channels": (8, 12), "depths": (1, 2), "bits": ("w1a2", "w4a4")},
    "plain": {"layers": 3, "filters": (4, 8)},
}


@pytest.mark.parametrize("name", SMALL)
def test_every_kind_of_space_is_measured_and_read_back(name: str):
    spaces = family(name)
    layout = dataclasses.replace(spaces.preset("tiny"), **SMALL[name])
    supernet = spaces.build(layout, classes=10, image_channels=1)
    table = measure_latency(
        supernet, space=name, preset="tiny", layout=layout, rounds=1, make=Clock()
    )
    table.check_supernet(name, "tiny", layout, supernet)
    costs = CostTable(supernet, eager=False, counter=table.counter(supernet))
    random = np.random.default_rng(0)
    for architecture in (supernet.space.sample(random) for _ in range(5)):
        assert costs.cost(architecture)["latency"] > 0


def test_an_option_that_was_not_measured_is_named(supernet: Supernet):
    table = measured(supernet)
    gone = PartKey("3", ("1x1",), "1x4x8x8")
    parts = {key: value for key, value in table.parts.items() if key != gone}
    assert len(parts) == len(table.parts) - 1
    with pytest.raises(UserError, match=r"lacks stage '3' with 1x1 on 1x4x8x8: measure the space"):
        latency(dataclasses.replace(table, parts=parts), supernet, [0, 0, 0, 1])
    wider = Supernet(nn.Sequential(OneOf({"5x5": nn.Conv2d(3, 4, 5)})), (3, 8, 8))
    with pytest.raises(UserError, match=r"lacks stage '0' with 5x5 on 1x3x8x8"):
        latency(table, wider, [0])


TINY = family("fbnet").preset("tiny")


def tiny(layout: Any = TINY, classes: int = 10, channels: int = 3) -> Supernet:
    return family("fbnet").build(layout, classes=classes, image_channels=channels)


def test_another_supernet_is_refused_and_what_differs_is_named():
    table = measure_latency(
        tiny(), space="fbnet", preset="tiny", layout=TINY, rounds=1, make=Clock()
    )
    table.check_supernet("fbnet", "tiny", TINY, tiny())
    larger = dataclasses.replace(TINY, image_size=TINY.image_size * 2)
    for arguments, told in {
        ("proxylessnas", "tiny", TINY, tiny()): "space is fbnet, here it is proxylessnas",
        ("fbnet", "cifar", TINY, tiny()): "preset is tiny, here it is cifar",
        ("fbnet", "tiny", larger, tiny(larger)): "layout.image_size is",
        ("fbnet", "tiny", TINY, tiny(channels=1)): r"input shape is \(3, ",
        ("fbnet", "tiny", TINY, tiny(classes=7)): "number of outputs is 10, here it is 7",
    }.items():
        with pytest.raises(UserError, match=told):
            table.check_supernet(*arguments)


def test_another_device_is_refused_unless_it_is_said_to_be_the_target(
    supernet: Supernet, monkeypatch: pytest.MonkeyPatch
):
    table = measured(supernet)
    table.check_device("")
    runtime = dataclasses.replace(table.runtime, device="Cortex-A72")
    other = dataclasses.replace(table, runtime=runtime)
    with pytest.raises(UserError, match=r"'Cortex-A72', and this machine has .*--latency-device"):
        other.check_device("")
    other.check_device("Cortex-A72")
    with pytest.raises(UserError, match=r"--latency-device 'Cortex': the latency table is of"):
        other.check_device("Cortex")
    lost = dataclasses.replace(
        table, runtime=dataclasses.replace(runtime, accelerator="cuda", device="H100")
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=r"of 'H100', and this machine has no cuda device"):
        lost.check_device("")
    monkeypatch.setattr(table_module, "device_name", lambda accelerator: "H100")
    lost.check_device("")


NAMES = st.text(min_size=1, max_size=6)
NUMBERS, COUNTS = st.integers(0, 10**12), st.integers(1, 1024)
KEYS = st.builds(PartKey, NAMES, st.lists(NAMES, max_size=2).map(tuple), NAMES)
PARTS = st.builds(PartLatency, NUMBERS, NUMBERS, NUMBERS, st.booleans())
TABLES = st.builds(
    LatencyTable,
    space=NAMES,
    preset=NAMES,
    layout=st.dictionaries(NAMES, st.lists(st.integers())),
    input_shape=st.lists(st.integers(1, 99), min_size=1).map(tuple),
    outputs=st.integers(1, 99),
    runtime=st.builds(Runtime, NAMES, NAMES, NAMES, COUNTS, COUNTS, st.booleans()),
    versions=st.dictionaries(NAMES, NAMES),
    date=NAMES,
    parts=st.dictionaries(KEYS, PARTS, max_size=4),
    fit=st.builds(Fit, st.integers(), st.integers(), NUMBERS),
)


@given(TABLES)
def test_a_table_is_read_as_it_was_written(table: LatencyTable):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.json"
        table.write(path)
        assert LatencyTable.read(path) == table


def damage(**changes: Any) -> Any:
    return lambda stored: {**stored, **changes}


def first_part(**changes: Any) -> Any:
    def apply(stored: dict[str, Any]) -> dict[str, Any]:
        return {**stored, "parts": [{**stored["parts"][0], **changes}, *stored["parts"][1:]]}

    return apply


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda stored: [stored], "is not a latency table: spos latency writes one"),
        (damage(kind="other"), "is not a latency table"),
        (damage(format=2), "has format 2 of a newer spos; this one reads up to 1"),
        (
            lambda stored: {k: v for k, v in stored.items() if k != "threads"},
            "threads: Field required",
        ),
        (damage(batch="1"), "batch: Input should be a valid integer, not '1'"),
        (damage(batch=0), "batch: Input should be greater than 0, not 0"),
        (damage(threads=10**9), "threads: Input should be less than or equal to 1024"),
        (damage(outputs=10**30), "outputs: Input should be less than or equal to 1000000000"),
        (damage(parts=None), "is damaged"),
        (damage(parts=[3]), "is damaged"),
        (damage(fit=None), "is damaged"),
        (damage(input_shape=3), "is damaged"),
        (first_part(median=-1), "median: .* greater than or equal to 0, not -1"),
        (first_part(median=1.5), "median: Input should be a valid integer, not 1.5"),
        (first_part(nothing=1), "nothing: Input should be a valid boolean, not 1"),
        (lambda stored: {**stored, "parts": stored["parts"][:1] * 2}, "a part is listed twice"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path: Path, supernet: Supernet, change: Any, told: str):
    path = tmp_path / "t.json"
    measured(supernet).write(path)
    write_json(path, change(read_json(path)))
    with pytest.raises(UserError, match=told) as raised:
        LatencyTable.read(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"latency: 3\n"])
def test_no_json_is_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.json is not a latency table"):
        LatencyTable.read(path)
    with pytest.raises(UserError, match="No such file"):
        LatencyTable.read(tmp_path / "none.json")


def test_all_architectures_of_a_small_space_are_distinguished(supernet: Supernet):
    table = measured(supernet)
    costs = CostTable(supernet, counter=table.counter(supernet))
    found = {a: costs.cost(a)["latency"] for a in product(range(2), range(3), range(3), range(2))}
    assert min(found, key=found.__getitem__) == (1, 2, 2, 1)
    assert max(found, key=found.__getitem__) == (0, 0, 0, 0)


def test_a_model_of_the_same_names_with_other_layers_is_refused(tmp_path: Path) -> None:
    def built(kernel: int) -> Supernet:
        small, large = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, kernel, padding=kernel // 2)
        choice = OneOf({"small": small, "large": large})
        head = (nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        return Supernet(nn.Sequential(choice, *head), (3, 8, 8))

    table, own, other = measured(built(3)), built(3), built(5)
    assert CostTable(own, counter=table.counter(own)).cost([1])["latency"] > 0
    with pytest.raises(UserError, match="of another model: its stage '0' with large on 1x3x8x8"):
        CostTable(other, counter=table.counter(other))
    path = tmp_path / "t.json"
    table.write(path)
    former = read_json(path)
    for part in former["parts"]:
        del part["weights"]
    write_json(path, {name: value for name, value in former.items() if name != "digest"})
    before = LatencyTable.read(path)
    assert CostTable(other, counter=before.counter(other)).cost([1])["latency"] > 0
