"""A folder of images, or a zip archive of one: train/, val/, test/, a folder a class in each."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spos._util.errors import UserError, nearest
from spos.data.assemble import Source
from spos.data.decode import BrokenImageError, decode
from spos.data.image_size import default_image_size
from spos.data.images import Images, TensorImages
from spos.data.layout import Layout, Split, find_layout
from spos.data.photograph import resized_side
from spos.data.split import Size, stratified_split
from spos.data.store import FolderStore, Store, ZipStore
from spos.data.streamed import Photographs, StreamedImages
from spos.data.survey import Survey, decode_all, skip_or_fail, survey


class FilePhotographs(Photographs):
    """Image files as streamed images, always in colour.

    Args:
        store: where the files are.
        names: their names in it.
    """

    channels = 3

    def __init__(self, store: Store, names: Sequence[str]) -> None:
        self.store = store
        # One array for a million names: a list of them would be copied into each worker process.
        self.names = np.array([os.fsencode(name) for name in names])

    def open(self, index: int, shorter: int | None) -> Image.Image:
        name = os.fsdecode(self.names[index])
        try:
            with warnings.catch_warnings():
                # Pillow warns of odd metadata on the terminal; the pixels are what matters here.
                warnings.simplefilter("ignore")
                return decode(self.store.read(name), shorter and resized_side(shorter))
        except BrokenImageError as error:
            raise UserError(f"{name}: {error}; it was whole when the run began") from None


@dataclass
class FolderOptions:
    """How a folder is read; the fields are those of ``spos.data.load_data``."""

    image_size: int | None
    test: Size
    on_broken: str
    stream: str
    workers: int
    memory_limit: int


def open_store(text: str, path: str) -> Store:
    """The folder or the zip archive at a path.

    Raises:
        UserError: there is none, or it is something else.
    """
    if not path:
        raise UserError(f"--data {text}: the path is missing; allowed: folder:PATH")
    place = Path(path).expanduser()
    if place.is_dir():
        return FolderStore(place)
    if not place.exists():
        siblings = (
            [entry.name for entry in place.parent.iterdir() if not entry.name.startswith(".")]
            if place.parent.is_dir()
            else []
        )
        clause = nearest(place.name, siblings)
        hint = f"; {clause.split('?')[0]}?" if clause.startswith("did") else ""
        raise UserError(
            f"--data {text}: no such folder or file{hint or '; allowed: a folder or a .zip of one'}"
        )
    if place.suffix.lower() != ".zip":
        raise UserError(f"--data {text}: it is a file; allowed: a folder or a .zip of one")
    return ZipStore(place)


def folder_source(text: str, path: str, options: FolderOptions) -> Source:
    """Images in a folder or a zip archive of one.

    test/ is the test split. Without test/, val/ is it (ImageNet's convention: the validation set
    of the search is split off train/ anyway). With both, val/ is the search's validation set.
    With neither, a part of train/ is set apart, the same for every seed.

    Args:
        text: what the user asked for, for the errors.
        path: of the folder or the archive.
        options: how to read it.

    Raises:
        UserError: the layout or an image is not as it should be.
    """
    store = open_store(text, path)
    layout = find_layout(text, store.names())
    reader = _Reader(text, store, layout, options)
    train, images = reader.read_training()
    notes = [*layout.notes, *reader.notes]
    validation = None
    test = layout.splits.get("test") or layout.splits.get("val")
    if test is None:
        labels = torch.tensor(train.labels)
        rest, part = stratified_split(
            labels, options.test, 0, option="--test", classes=layout.classes
        )
        notes.append(
            f"no test/ folder: {len(part)} of the {len(labels)} images in train/ set apart as test"
        )
        images, _ = images.split_off(rest, [])
        train, test = _pick(train, rest.tolist()), _pick(train, part.tolist())
    else:
        test = reader.check(test)
        if "test" not in layout.splits:
            notes.append("no test/ folder: val/ is the test set; validation is split off train/")
        elif "val" in layout.splits:
            held_out = reader.check(layout.splits["val"])
            validation = reader.load(held_out)
            notes.append("val/ is the validation set of the search")
    test_split = test
    names = "\0".join([*train.names, "", *test.names])
    return Source(
        kind="folder",
        train=images,
        test=lambda: reader.load(test_split),
        test_labels=torch.tensor(test.labels),
        classes=layout.classes,
        channels=3,
        image_size=reader.image_size,
        validation=validation,
        identity=hashlib.sha256(os.fsencode(names)).digest(),
        skipped=reader.skipped,
        notes=notes,
    )


def _pick(split: Split, places: Sequence[int]) -> Split:
    return Split([split.names[at] for at in places], [split.labels[at] for at in places])


class _Reader:
    """Reads the splits of one folder, all at the same size and in the same way."""

    def __init__(self, text: str, store: Store, layout: Layout, options: FolderOptions) -> None:
        self.text = text
        self.store = store
        self.layout = layout
        self.options = options
        self.skipped: list[str] = []
        self.notes: list[str] = []
        self.image_size = 0

    def read_training(self) -> tuple[Split, Images]:
        """The whole files of train/, and their images; settles the image size."""
        split = self.layout.splits["train"]
        pixels: Tensor | None = None
        found: Survey | None = None
        guess = self.options.image_size or self._first_side(split)
        if guess and self._fits(split, guess):
            pixels, found = decode_all(self.store, split.names, guess)
        else:
            found = survey(self.store, split.names)
        kept = self._leave_out(split, found)
        self.image_size = self.options.image_size or default_image_size(
            self.text, found.sizes, self.notes
        )
        if pixels is None or guess != self.image_size:
            return kept, self.load(kept)
        images = TensorImages(pixels, torch.tensor(split.labels))
        return kept, images.split_off(found.whole(len(split.names)), [])[0]

    def check(self, split: Split) -> Split:
        """The whole files of a split, found out without keeping their pixels."""
        return self._leave_out(split, survey(self.store, split.names))

    def load(self, split: Split) -> Images:
        """The images of a split whose files are known to be whole."""
        labels = torch.tensor(split.labels)
        if not self._fits(split, self.image_size):
            files = FilePhotographs(self.store, split.names)
            return StreamedImages(files, labels, self.image_size, self.options.workers)
        pixels, found = decode_all(self.store, split.names, self.image_size)
        skip_or_fail(self.text, split.names, found, "fail")
        return TensorImages(pixels, labels)

    def _fits(self, split: Split, image_size: int) -> bool:
        if self.options.stream != "auto":
            return self.options.stream == "never"
        return len(split.names) * 3 * image_size**2 <= self.options.memory_limit

    def _first_side(self, split: Split) -> int:
        """The shorter side of the first whole file; 0 if there is none."""
        for name in split.names:
            try:
                return min(decode(self.store.read(name)).size)
            except BrokenImageError:
                continue
        return 0

    def _leave_out(self, split: Split, found: Survey) -> Split:
        self.skipped += skip_or_fail(self.text, split.names, found, self.options.on_broken)
        kept = _pick(split, found.whole(len(split.names)).tolist())
        for label in sorted(set(split.labels) - set(kept.labels)):
            raise UserError(
                f"--data {self.text}: class '{self.layout.classes[label]}' has no whole image"
                f" left; {len(self.skipped)} broken files were left out"
            )
        return kept
