"""The configuration of a run."""

from __future__ import annotations

import pytest
import yaml

from spos import UserError
from spos.run.config import SECTIONS, STAGE_SECTIONS, make_config
from spos.spaces.shufflenetv2 import DEFAULTS, PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_decides_everything_that_is_not_given(preset):
    config = make_config({"space": {"preset": preset}})
    defaults = DEFAULTS[preset]
    assert config.layout == PRESETS[preset]
    assert (config.supernet, config.retrain) == (defaults.supernet, defaults.retrain)
    assert config.data.source == defaults.data
    assert config.run.calibration == defaults.calibration


@pytest.mark.parametrize("preset", PRESETS)
def test_a_configuration_survives_yaml(preset):
    config = make_config(
        {
            "space": {"preset": preset},
            "layout": {"dropout": 0.25},
            "data": {"validation": 0.2},
            "run": {"seed": 7},
            "supernet": {"learning_rate": 0.03, "paths": 2},
            "search": {"population": 7, "mutation_children": 2},
            "constraint": {"maximum": {"flops": 3e8}, "minimum": {"params": 1000}},
            "retrain": {"schedule": "cosine"},
        }
    )
    plain = config.as_plain()
    assert tuple(plain) == SECTIONS
    assert make_config(yaml.safe_load(yaml.safe_dump(plain))) == config


def test_every_section_belongs_to_a_stage():
    assert set(SECTIONS) == {name for names in STAGE_SECTIONS.values() for name in names}


def test_a_width_scales_the_layout():
    assert make_config({"layout": {"width": 0.5}}).layout == PRESETS["tiny"].scaled(0.5)


def test_bounds_become_a_constraint():
    config = make_config({"constraint": {"maximum": {"flops": 5e5}}})
    assert str(config.bounds) == "flops <= 500.0K"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"supernett": {}}, "'supernett': did you mean 'supernet'?"),
        ({"supernet": 5}, "'supernet' is not a mapping"),
        ({"supernet": {"step": 5}}, "'supernet.step': did you mean 'steps'?"),
        ({"supernet": {"steps": "many"}}, "supernet.steps 'many': must be a valid integer"),
        ({"supernet": {"steps": 0}}, "steps 0: must be at least 1"),
        ({"retrain": {"schedule": "cosin"}}, "schedule 'cosin': did you mean 'cosine'?"),
        ({"run": {"precision": "bf16"}}, "precision 'bf16': did you mean 'bf16-mixed'?"),
        ({"run": {"seed": -1}}, "seed -1: must be at least 0"),
        ({"search": {"tries": 10**18}}, "tries 1000000000000000000: must be at most 10000"),
        ({"search": {"algorithm": "evolve"}}, "algorithm 'evolve': did you mean 'evolution'?"),
        ({"space": {"preset": "tinny"}}, "preset 'tinny': did you mean 'tiny'?"),
        ({"space": {"preset": 5}}, "preset '5'"),
        ({"space": {"name": "shufflenet"}}, "space 'shufflenet': did you mean 'shufflenetv2'?"),
        ({"space": {"size": "tiny"}}, "'space.size': allowed: name, preset"),
        ({"layout": {"chanels": [8]}}, "'layout.chanels': did you mean 'channels'?"),
        ({"layout": {"width": 0}}, "width 0: must be a number above 0"),
    ],
)
def test_a_mistake_is_refused_by_name_in_one_line(values, says):
    with pytest.raises(UserError) as raised:
        make_config(values)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
