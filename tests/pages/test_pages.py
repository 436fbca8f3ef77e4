"""Every block and every word of code in the README and the pages of the documentation.

The blocks of a page run in order, in one directory, with the settings of short.yaml. Where the
environment variable SPOS_PAGES is "full", they run with their own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import PAGES, PLAIN, ROOT, anchors, blocks, links, words
from running import parse_spos

from spos._cli.main import main
from spos.run.config import make_config
from spos.spaces import SPACES

LANGUAGES = ("bash", "console", "python", "toml", *PLAIN)
#: What a block may need, so that it is not run.
NEEDS = ("a cluster", "a GPU", "an account", "an interrupt", "hours", "ImageNet")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
#: Names of settings by section; those of a layout depend on the space.
SETTINGS = {
    name: {*values} for name, values in make_config({}).as_plain().items() if name != "space"
}
SETTINGS["layout"] = {
    name
    for space in SPACES.built_in
    for layout in SPACES[space].presets.values()
    for name in vars(layout)
}
FILES = ("json", "html", "jsonl", "py", "run")
RESULTS = sorted((ROOT / "benchmarks" / "results").rglob("*.md"))


@pytest.mark.parametrize("page", [name for name in NAMES if blocks(ROOT / name)])
def test_the_blocks_of_a_page_run(page: str, ran: Callable[[str], Path]) -> None:
    ran(page)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block.place
        assert not block.needs or block.needs in NEEDS, block.place


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_options_and_settings_in_the_text_are_there(page: Path) -> None:
    options = {
        option
        for command in main.commands.values()
        for one in command.params
        for option in (*one.opts, *one.secondary_opts)
    }
    for place, text in words(page):
        if text.startswith("spos "):
            parse_spos(shlex.split(text)[1:], complete=False)
        for option in re.findall(r"(?:^| )(--[a-z][a-z-]*)", text):
            assert option in {*options, "--help", "--help-all"}, f"{place}: {text}"
        setting = re.match(rf"({'|'.join(SETTINGS)})\.(\w+)(?:=|$)", text)
        if setting and setting[2] not in FILES:
            assert setting[2] in SETTINGS[setting[1]], f"{place}: {text}"


@pytest.mark.parametrize(
    "page", [*PAGES, *RESULTS], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        # A folder has no page on the site.
        assert target.is_file(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_floors_of_the_design_are_those_that_are_checked() -> None:
    floors = next(block.text for block in blocks(ROOT / "docs/design.md") if block.text[0] == "_")
    drawn = [" : ".join(re.findall(r"\w+", line[:22])) for line in floors.splitlines()]
    project = (ROOT / "pyproject.toml").read_text()
    layers = project[project.index("layers = [") :]
    assert drawn == re.findall(r'"(.+)"', layers[: layers.index("]")])[1:]
