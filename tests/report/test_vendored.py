"""The chart library that every page carries."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from spos.report import render

from .conftest import Run

#: SHA-256 of each file as npm has it; `vendored/README.md` says how it was obtained.
DIGESTS = {
    "vega-6.4.0.min.js": "8f6a3587cf8d4f42c7e08120e3eb05d067e746d554e39d2dcf52acc0bd5ba28f",
    "vega-lite-6.4.3.min.js": "35a9821df838825b05a6a73e9414b58747a1b18321583858ed903c66393a5c7e",
    "vega-embed-7.3.0.min.js": "b1455caba2fb1a72fb46025ba0ba1316e2dbc7f0dd40a3f6040172bf9c08ba91",
}


def test_every_file_is_the_published_one_with_its_license_beside_it() -> None:
    folder = files("spos.report") / "vendored"
    names = {entry.name for entry in folder.iterdir()}
    assert {name for name in names if name.endswith(".js")} == set(DIGESTS)
    for name, digest in DIGESTS.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        license_name = name.replace(".min.js", ".LICENSE")
        assert "Redistribution" in (folder / license_name).read_text()


def test_the_policy_allows_the_scripts_of_the_page_and_nothing_else(run: Run) -> None:
    page = render(*run.arguments)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    assert policy.split("; ") == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "script-src " + " ".join(f"'sha256-{digest}'" for digest in digests),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert len(scripts) == 5 and "sourceMappingURL" not in page
