"""Recipes of publications replace the defaults, and are replaced by what is given."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from spos._cli.options import read_settings, setting_options
from spos.run.config import make_config
from spos.run.recipes import RECIPES, find_recipe


def read(*arguments: str, told: list[str] | None = None) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    @click.command()
    @setting_options
    def command(**options: Any) -> None:
        found.append(read_settings(options))

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    if told is not None:
        told.append(result.stderr)
    return found[0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_valid_configuration(name: str) -> None:
    assert make_config(find_recipe(name)).as_plain()


def test_the_recipe_of_the_paper_trains_single_paths_and_ranks_by_accuracy() -> None:
    space = ("--space", "nasbenchmacro", "--preset", "proxy")
    default, paper = make_config(read(*space)), make_config(read(*space, "--recipe", "paper"))
    assert default.supernet.method == "sandwich" and default.search.fitness == "auto"
    assert paper.supernet.method == "uniform" and paper.search.fitness == "metric"
    assert paper.supernet.steps == default.supernet.steps


def test_an_option_counts_and_what_set_says_otherwise_is_told() -> None:
    told: list[str] = []
    given = ("--population", "5", "--set", "search.population=3", "--set", "run.seed=1")
    assert read(*given, told=told)["search"]["population"] == 5
    assert told == ["spos: search.population is 5, by its own option, and not 3, by --set\n"]
    assert read("--population", "5", "--set", "search.population=5", told=told)
    assert told[1:] == [""]
    bounds = "constraint.maximum={flops: 2000000, params: 1000}"
    assert read("--max-flops", "1M", "--set", bounds, told=told)
    assert told[2].startswith("spos: constraint.maximum is {'flops': 1000000.0}, by its own option")
    assert read("--max-flops", "1M", "--set", "constraint.maximum={params: 9}", told=told)
    assert told[3] == ""
    source = ("--data", "digits", "--set", "data.source=hf:https://me:secret@host/a")
    assert read(*source, told=told)["data"]["source"] == "digits"
    assert "hf:https://me:***@host/a" in told[4]


def test_what_is_given_replaces_the_setting_of_the_recipe() -> None:
    given = read("--recipe", "paper", "--population", "8", "--set", "search.fitness=loss")
    assert (given["search"]["population"], given["search"]["fitness"]) == (8, "loss")
    assert given["supernet"]["method"] == "uniform"
