"""What importing the package takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spos


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """Modules that importing the whole pipeline imports."""
    code = "import sys, spos.run.planning.execute; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return told.stdout.split()


def test_the_package_is_there_before_torch_is():
    code = "import sys, spos, spos._cli.main, spos.report; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


@pytest.mark.parametrize("slow", ["scipy.stats", "lightning_fabric", "sqlalchemy", "torch._dynamo"])
def test_what_is_slow_to_import_waits_until_it_is_needed(imported, slow):
    assert "torch" in imported and slow not in imported


def test_the_catalogue_is_listed_without_the_compiler_of_torch():
    code = "import sys; from spos._cli.costs import list_spaces; print(len(list(list_spaces())));"
    code += "print('torch._dynamo' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed, compiled = told.stdout.split()
    assert int(listed) >= 10 and compiled == "False"


@pytest.mark.parametrize("name", spos.__all__)
def test_every_public_name_is_found(name):
    assert getattr(spos, name) is not None
    assert name in dir(spos)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'spos' has no attribute 'Supernett'"):
        _ = spos.Supernett
