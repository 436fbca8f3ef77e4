"""A folder of images, or a zip archive of one: train/, val/ and test/, one folder per class."""

from __future__ import annotations

from pathlib import Path

from spos._util.errors import UserError, nearest
from spos._util.files import expand_home
from spos.data.files import FolderStore, ZipStore
from spos.data.peek import ImageFacts
from spos.data.source import SOURCES, DataOptions, Source
from spos.data.sources._layout import find_layout
from spos.data.sources._stored import look_at, read_source


@SOURCES.register("folder")
def folder_source(argument: str, options: DataOptions) -> Source:
    """Images in a folder or a zip archive of one.

    Args:
        argument (str): path of the folder or the archive.
        options (DataOptions): how the images are read.

    Raises:
        UserError: the layout is another one, or an image is broken.
    """
    store = _open_store(argument)
    source = read_source(store, find_layout(store.names()), options)
    if store.repeated:
        source.notes.append(
            f"{len(store.repeated)} links to what is read by another name left out, such as "
            f"{min(store.repeated)}"
        )
    return source


def look(argument: str) -> ImageFacts:
    """Look at a sample of the images of a folder.

    Args:
        argument (str): path of the folder or the archive.

    Raises:
        UserError: the layout is another one, or no image of the sample is whole.
    """
    store = _open_store(argument)
    return look_at(store, find_layout(store.names()))


folder_source.look = look  # type: ignore[attr-defined]


def _open_store(argument: str) -> FolderStore | ZipStore:
    if not argument:
        raise UserError("the path is missing; allowed: folder:PATH")
    path = expand_home(argument)
    if path.is_dir():
        return FolderStore(path)
    if not path.exists():
        siblings = [entry.name for entry in path.parent.glob("*")]
        hint, close, _ = nearest(path.name, siblings).partition("?")
        allowed = f"{hint}?" if close else "allowed: a folder or a .zip of one"
        # A run is often exported from another folder than the one that it began in.
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise UserError(f"no such folder or file{where}; {allowed}")
    if path.suffix.lower() != ".zip" or not path.is_file():
        raise UserError("not a folder; allowed: a folder or a .zip of one")
    return ZipStore(path)
