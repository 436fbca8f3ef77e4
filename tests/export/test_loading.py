"""What cannot be loaded, or predicted, is an error that says what can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import metadata

import spos
from spos import UserError
from spos.export.loading import LoadedNetwork
from spos.export.metadata import OpenedNetwork


@pytest.fixture
def network() -> LoadedNetwork:
    return LoadedNetwork(OpenedNetwork(metadata(), lambda images: images.float(), "a test"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("x" * 5000, r"network x+\.\.\.: File name too long"),
        ("x/" * 3000, r"network [x/]+\.\.\.: File name too long"),
        ("a\0b", r"network a\\x00b: embedded null byte"),
        ("", "network '': must not be empty"),
        (None, "network None: must be a run directory, a folder"),
        (3, "network 3: must be"),
        ({}, "network of type dict: must be"),
        (b"runs/a", "network of type bytes: must be"),
    ],
)
def test_what_is_no_path_is_no_network(given: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        spos.load(given)


@pytest.mark.parametrize(
    "given", [None, 3, {}, [], "a.png", np.zeros((1, 1, 8, 8), np.uint8), np.array([None])]
)
def test_what_is_no_tensor_is_no_image(given: Any, network: LoadedNetwork) -> None:
    for use in (network, network.predict):
        with pytest.raises(UserError, match=r"^images .*: must be a tensor; files are read by"):
            use(given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "files None: must be a path, or a list of paths"),
        (3, "files 3: must be"),
        ([3], "file 3: must be a path"),
        ([None], "file None: must be a path"),
        (b"a.png", "file 97: must be a path"),
        (torch.zeros(1), "file of type Tensor: must be a path"),
        ("x" * 5000, r"file x+\.\.\.: File name too long"),
        (["a\0b"], "embedded null byte"),
    ],
)
def test_what_is_no_path_is_no_file(given: Any, told: str, network: LoadedNetwork) -> None:
    with pytest.raises(UserError, match=told):
        network.classify(given)


@pytest.mark.parametrize("top", ["a", 1.5])
def test_a_number_of_classes_is_a_whole_one(top: Any, network: LoadedNetwork) -> None:
    with pytest.raises(UserError, match=r"top .*: must be a whole number"):
        network.classify([], top)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (lambda images: 1 / 0, r"the network cannot be run \(division by zero\)"),
        (lambda images: torch.tensor(0.0), r"the shape \[\], expected is \[2, 10\]"),
        (lambda images: torch.zeros(2, 20), r"the shape \[2, 20\], expected is \[2, 10\]"),
        (lambda images: torch.full((2, 10), torch.nan), "not finite numbers"),
        (lambda images: torch.ones(2, 10, dtype=torch.bool), "not finite numbers"),
    ],
)
def test_a_network_of_anybody_gives_what_it_promises(run: Any, told: str) -> None:
    network = LoadedNetwork(OpenedNetwork(metadata(), run, "a test"))
    facts = network.metadata
    side = facts.image_size
    for use in (network, network.predict):
        with pytest.raises(UserError, match=told):
            use(torch.zeros(2, facts.channels, side, side, dtype=torch.uint8))
