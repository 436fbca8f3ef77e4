"""Members by name: files of a folder, plug-ins of other distributions, and a script's own."""

from __future__ import annotations

from importlib import metadata

import pytest

from spos import UserError
from spos._util.registry import Registry


@pytest.fixture
def registry() -> Registry[type]:
    # Any folder of small modules will do.
    return Registry("helper", "spos._util", "spos.tests")


def test_modules_are_members_without_being_imported(registry):
    assert "errors" in registry and "files" in registry
    assert not any(name.startswith("_") for name in registry)


def test_a_script_adds_a_member_and_takes_it_back(registry):
    assert registry.register("mine")(int) is int
    assert registry["mine"] is int
    assert list(registry)[-1] == "mine"
    del registry["mine"]
    registry["other"] = str
    assert "mine" not in registry and registry["other"] is str


def test_an_unknown_name_is_reported_with_the_nearest(registry):
    with pytest.raises(UserError, match="unknown helper 'erors': did you mean 'errors'"):
        registry.find("erors")
    assert registry.get("erors") is None


def plugin(value: str) -> Registry[type]:
    registry: Registry[type] = Registry("helper", "spos._util", "spos.tests")
    point = metadata.EntryPoint("theirs", value, "spos.tests")
    registry.__dict__["_plugins"] = {"theirs": point}
    return registry


def test_an_entry_point_is_a_member():
    registry = plugin("collections:OrderedDict")
    assert "theirs" in registry
    assert registry["theirs"].__name__ == "OrderedDict"


def test_a_plugin_that_cannot_be_imported_is_named():
    with pytest.raises(UserError, match="helper 'theirs' of the plug-in nowhere:Gone cannot be"):
        plugin("nowhere:Gone").find("theirs")
    with pytest.raises(UserError, match="helper 'theirs' of the plug-in nowhere:Gone cannot be"):
        plugin("nowhere:Gone")["theirs"]
