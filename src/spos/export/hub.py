"""Networks on the Hugging Face Hub: pushed with their model card, and loaded without their code."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spos._util.errors import UserError
from spos._util.files import file_digest
from spos._util.libraries import require_library
from spos._util.records import read_record, to_plain, write_record
from spos._util.settings import replace_settings
from spos.export.deployed import deploy
from spos.export.exporting import export_run
from spos.export.metadata import Metadata, OpenedNetwork, reason
from spos.export.weights_file import open_weights, read_weights
from spos.run.directory import RunDirectory
from spos.run.outcome import RetrainOutcome
from spos.spaces import SPACES, family
from spos.spaces.zoo import NETWORKS, build_network

#: Files of a network on the hub; nothing else is read.
WEIGHTS, CONFIG, CARD = "network.safetensors", "config.json", "README.md"
#: Blocks of a network beyond the tensors of its file: those that are the identity have none.
SPARE = 100
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is built from: a space of the catalogue, or a published network.

    Args:
        space (str): search space.
        preset (str): preset of the space.
        layout (Mapping[str, Any]): settings of its layout.
        architecture (str): architecture of the space, or the name of a published network.
        width (float): factor of the channels of a published network.
        sha256 (str): digest of the file of weights.
    """

    space: str
    preset: str
    layout: Mapping[str, Any]
    architecture: str
    width: float
    sha256: str


def push(name: str, run: Path, *, private: bool = False) -> str:
    """Put the trained network of a run on the hub, after it was loaded again and compared.

    The token is the one of ``hf auth login`` or the environment, which spos neither reads nor
    writes.

    Args:
        name (str): repository, as USER/NAME; made if it does not exist.
        run (Path): run directory.
        private (bool): whether a new repository is private.

    Returns:
        Address of the repository.

    Raises:
        UserError: the name is not valid, the run has no trained network of the catalogue, or the
            hub cannot be reached or refuses it.
    """
    _check_name(name)
    hub = _hub("spos push")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), run, name)
        try:
            client = hub.HfApi()
            address = client.create_repo(name, private=private or None, exist_ok=True)
            client.upload_folder(
                repo_id=name, folder_path=folder, commit_message="Network found by spos"
            )
        # Those of the network have no class in common with those of the hub.
        except Exception as error:
            raise UserError(
                f"spos push {name}: the hub cannot be reached or refuses it ({reason(error)}); log "
                "in by hf auth login, with a token that may write"
            ) from error
    return str(address)


def download(name: str) -> Path:
    """Fetch the files of a network from the hub.

    Args:
        name (str): repository, as USER/NAME.

    Raises:
        UserError: it does not exist, or cannot be reached.
    """
    _check_name(name)
    missing = f"{name}: there is no such file or folder here, and"
    try:
        hub = _hub(f"spos.load('{name}')")
    except UserError as error:
        raise UserError(f"{missing} it cannot be looked for on the hub: {error}") from None
    try:
        return Path(hub.HfApi().snapshot_download(name, allow_patterns=[WEIGHTS, CONFIG]))
    except Exception as error:
        from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

        if isinstance(error, LocalEntryNotFoundError):
            raise UserError(
                f"{missing.removesuffix(' and')} the hub cannot be reached, and no repository "
                "USER/NAME of this name was fetched before"
            ) from None
        if isinstance(error, RepositoryNotFoundError):
            raise UserError(
                f"{missing} the hub has no repository USER/NAME of this name, or none that you may "
                "read without hf auth login"
            ) from None
        raise UserError(
            f"{missing} the hub cannot give a repository USER/NAME of this name ({reason(error)})"
        ) from error


def open_folder(folder: Path) -> OpenedNetwork:
    """Open the files of a network of the hub: spos builds it, and takes its weights alone.

    No code in the folder is executed, and nothing is unpickled.

    Args:
        folder (Path): folder with the weights and the configuration.

    Raises:
        UserError: a file is missing, damaged or does not fit, or the network is of no space that
            spos knows.
    """
    advice = "fetch it again"
    config = read_record(NetworkConfig, folder / CONFIG, advice=advice)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"{folder} has no {WEIGHTS}: it is not a network that spos has pushed")
    if file_digest(weights) != config.sha256:
        raise UserError(f"{weights} is not the file that {CONFIG} describes: {advice}")
    metadata, tensors = read_weights(weights)
    if config.space not in SPACES:
        raise UserError(
            f"{folder}: its space {config.space} is not in the catalogue; install the package that "
            "it comes from, since code is not taken from the hub"
        )
    try:
        # Without memory, until the shapes are known to be those of the file.
        with torch.device("meta"):
            graph = deploy(_build(config, metadata, len(tensors)), metadata)
    # Sizes that no network has raise anything.
    except Exception as error:
        raise UserError(f"{folder}: its network cannot be built ({reason(error)})") from None
    own = graph.state_dict()
    try:
        for name in own.keys() & tensors:
            # They are taken as they are, and the network would not run.
            if own[name].dtype != tensors[name].dtype:
                raise RuntimeError(f"{name} of {tensors[name].dtype}, not {own[name].dtype}")
        graph.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise UserError(f"{folder}: its weights are of another network ({reason(error)})") from None
    graph.requires_grad_(False)
    return OpenedNetwork(metadata, torch.inference_mode()(graph), f"torch {torch.__version__}")


def _build(config: NetworkConfig, metadata: Metadata, tensors: int) -> nn.Module:
    channels, outputs, side = metadata.channels, metadata.outputs, metadata.image_size
    member, text = family(config.space), config.architecture
    own = text in member.networks and member.networks[text][0] == config.preset
    if text in NETWORKS and not own:
        return build_network(
            text, classes=outputs, image_channels=channels, image_size=side, width=config.width
        ).eval()
    layout = replace_settings(member.preset(config.preset), config.layout, "layout")
    blocks = sum(getattr(layout, "depths", ())) + getattr(layout, "layers", 0)
    # A number in the configuration alone is not to fill the memory.
    if blocks > tensors + SPARE:
        raise UserError(f"it has {blocks} blocks, and the file of its weights {tensors} tensors")
    supernet = member.build(layout, classes=outputs, image_channels=channels)
    return supernet.subnet(member.parse(supernet.space, config.preset, text)).eval()


def _write(folder: Path, run: Path, name: str) -> None:
    """Write the files of a network into a folder, and load them again."""
    from huggingface_hub import ModelCard, ModelCardData

    facts = export_run(run, "state-dict", folder / WEIGHTS)
    directory = RunDirectory(run)
    config, _ = directory.resolve_config({}, ())
    outcome = directory.outcome(RetrainOutcome)
    assert outcome is not None, "it was exported"
    write_record(
        folder / CONFIG,
        NetworkConfig(
            space=config.space,
            preset=config.preset,
            layout=to_plain(config.layout),
            architecture=outcome.architecture,
            width=config.network.width,
            sha256=facts["sha256"],
        ),
    )
    # The source beside the weights was compared with the trained network on its test images.
    opened, exported = open_folder(folder), open_weights(folder / WEIGHTS)
    metadata, random = opened.metadata, torch.Generator().manual_seed(0)
    shape = (16, metadata.channels, metadata.image_size, metadata.image_size)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=random)
    if not torch.allclose(opened.run(pixels), exported.run(pixels), rtol=1e-4, atol=1e-5):
        raise UserError(f"spos push {name}: what is loaded again is another network; report it")
    text = (folder / f"{WEIGHTS}.md").read_text(encoding="utf-8")
    data = ModelCardData(
        library_name="spos",
        pipeline_tag="image-classification" if metadata.classifies else None,
        tags=["neural-architecture-search"],
    )
    use = f'## Load it\n\n```python\nimport spos\n\nnetwork = spos.load("{name}")\n```\n'
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n{text.rstrip()}\n\n{use}")
    card.save(folder / CARD)
    (folder / f"{WEIGHTS}.md").unlink()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' is neither a file or folder here nor the name of a repository on the hub; "
            "write USER/NAME, such as ada/digits"
        )


def _hub(what: str) -> Any:
    return require_library("huggingface_hub", "hub", what)
