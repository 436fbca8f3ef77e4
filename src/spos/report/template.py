"""HTML pages that need no other file: one skeleton and one style for all of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from spos.cost.cost import find_cost, format_cost
from spos.report import words
from spos.report.chart import LEVELS
from spos.report.measure import percent

#: The scripts of every page, in their order: the chart library, and what is ours.
SCRIPTS = (
    "vendored/vega-6.4.0.min.js",
    "vendored/vega-lite-6.4.3.min.js",
    "vendored/vega-embed-7.3.0.min.js",
    "charts.js",
    "candidates.js",
)


@cache
def environment(room: str) -> Environment:
    """The templates of a room of the package, with the filters and names that all of them have."""
    made = Environment(
        loader=PackageLoader("spos", room),
        autoescape=select_autoescape(("html.j2", "css.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        fields=vars,
        literal=partial(json.dumps, ensure_ascii=False),
        quote=shlex.quote,
        counted=words.counted,
        duration=words.duration,
        memory=words.memory,
        percent=percent,
        cost=lambda value, name: format_cost(name, value),
    )
    made.globals.update(words=words, find_cost=find_cost)
    return made


def fill_template(name: str, **values: Any) -> str:
    """A page as text that can be written as UTF-8."""
    template = environment("report").get_template(name)
    page = template.render(**values, levels=LEVELS, scripts=_scripts())
    # Class names come from file names, which may be undecodable; the page must be writable all the
    # same.
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def _scripts() -> list[tuple[Markup, str]]:
    """Each script of a page, and its digest as the Content-Security-Policy writes it."""
    folder, scripts = files("spos.report"), []
    for name in SCRIPTS:
        text = folder.joinpath(name).read_text(encoding="utf-8")
        # A source map would be another file.
        text = re.sub(r"\n//# sourceMappingURL=.*", "", text)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        scripts.append((Markup(text), f"'sha256-{digest}'"))
    return scripts
