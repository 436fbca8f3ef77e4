"""The pages of the documentation, and the blocks and words of code in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: What is written for readers only, and what builds the site.
PLAIN = ("text", "{toctree}")
MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Args:
        page (str): path of the page.
        line (int): its first line.
        language (str): what the fence says; empty for an indented block.
        text (str): the code.
        needs (str): what it needs beyond a computer, such as ``"a cluster"``; such a block is
            parsed and not run.
    """

    page: str
    line: int
    language: str
    text: str
    needs: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without comments."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [words for line in lines if (words := shlex.split(line, comments=True))]

    @property
    def printed(self) -> str:
        """What the commands of a console print."""
        return "\n".join(line for line in self.text.splitlines() if not line.startswith("$ "))


def tokens(page: Path) -> list[Token]:
    return MARKDOWN.parse(page.read_text("utf-8"))


def blocks(page: Path) -> list[Block]:
    """The blocks of a page; a comment ``<!-- needs: ... -->`` is about the one behind it."""
    found, needs = [], ""
    for token in tokens(page):
        if token.type == "html_block":
            comment = re.search(r"<!-- needs: (.+?) -->", token.content)
            needs = comment[1] if comment else needs
        elif token.type in ("fence", "code_block"):
            assert token.map is not None
            name = page.relative_to(ROOT).as_posix()
            language = token.info.strip()
            found.append(Block(name, token.map[0] + 1, language, token.content, needs))
            needs = ""
    return found


def words(page: Path) -> Iterator[tuple[str, str]]:
    """The pieces of code within the text of a page, each with its place."""
    for token in tokens(page):
        if token.type == "inline" and token.children:
            assert token.map is not None
            for child in token.children:
                if child.type == "code_inline":
                    yield f"{page.name}:{token.map[0] + 1}", " ".join(child.content.split())


def links(page: Path) -> Iterator[str]:
    """Where the links and pictures of a page lead."""
    for token in tokens(page):
        for child in token.children or ():
            for name in ("href", "src"):
                if child.attrGet(name):
                    yield str(child.attrGet(name))


def anchors(page: Path) -> set[str]:
    """The anchors that a repository browser gives to the headings of a page."""
    found: set[str] = set()
    parsed = tokens(page)
    for heading, content in pairwise(parsed):
        if heading.type == "heading_open":
            text = "".join(
                child.content
                for child in content.children or ()
                if child.type in ("text", "code_inline")
            )
            found.add(re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-"))
    return found
