"""What importing the package takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spos


def test_the_package_is_there_before_torch_is():
    code = "import sys, spos, spos._cli.main, spos.report; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_statistics_are_there_only_when_they_are_asked_for():
    code = "import sys, spos.run.planning.execute; print('scipy.stats' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


@pytest.mark.parametrize("name", spos.__all__)
def test_every_public_name_is_found(name):
    assert getattr(spos, name) is not None
    assert name in dir(spos)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'spos' has no attribute 'Supernett'"):
        _ = spos.Supernett
