"""Image files of a store in splits: a folder, an archive, shards or a table of files."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from spos._util.cores import usable_cores
from spos._util.errors import UserError
from spos.data.decode import BrokenImageError, decode, decode_and_measure
from spos.data.files import Sizes, Store, read_files
from spos.data.images import Images, TensorImages, digest
from spos.data.peek import ImageFacts, is_grey
from spos.data.photograph import resized_side
from spos.data.source import DataOptions, Source
from spos.data.sources._layout import FoundImages, Split
from spos.data.streamed import Photographs, StreamedImages

PHOTOGRAPH = 224
"""Side of ImageNet's images in pixels, for photographs of different sizes."""
SAMPLE = 100
"""Images that are decoded to learn what those of a store are like."""
TYPICAL = 96
"""Side in pixels to which large photographs are read where another one is not known yet."""


@dataclass(frozen=True)
class SplitNames:
    """What the splits are called where the images come from."""

    train: str = "train/"
    val: str = "val/"
    test: str = "test/ folder"


def read_source(
    store: Store, layout: FoundImages, options: DataOptions, called: SplitNames = SplitNames()
) -> Source:
    """Read the images of a store.

    test is the test set. Without test, val is (ImageNet's convention: the validation set of the
    search is split off train anyway). With both, val is the validation set. With neither, the test
    set is split off train.

    Args:
        store (Store): where the files are.
        layout (FoundImages): its files by split.
        options (DataOptions): how the images are read.
        called (SplitNames): what notes call the splits.

    Raises:
        UserError: an image is broken, or the sizes of images differ.
    """
    reader = _Reader(store, layout.classes, options)
    train, images = reader.read_training(layout.splits["train"])
    notes = [*layout.notes, *reader.notes]
    validation = test_images = None
    test = layout.splits.get("test") or layout.splits.get("val")
    if test is not None:
        test_images = reader.read(test)[1]
        if "test" not in layout.splits:
            notes.append(
                f"no {called.test}: {called.val} is the test set; validation is split off "
                f"{called.train}"
            )
        elif "val" in layout.splits:
            images, validation = reader.with_validation(train, images, layout.splits["val"])
            notes.append(f"{called.val} is the validation set of the search")
    return Source(
        train=images,
        classes=layout.classes,
        test=test_images,
        validation=validation,
        skipped=reader.skipped,
        notes=notes,
    )


def look_at(store: Store, layout: FoundImages) -> ImageFacts:
    """Look at a sample of the images of a store.

    Raises:
        UserError: no image of the sample is whole.
    """
    train = layout.splits["train"]
    chosen = np.unique(np.linspace(0, len(train.names) - 1, SAMPLE).astype(int))
    sides, cuts, grey = [], [], True
    began = time.monotonic()
    for image, size in _whole_images(store, (train.names[at] for at in chosen)):
        sides.append(min(size))
        cuts.append(1 - min(size) / max(size))
        pixels = torch.from_numpy(np.array(image.resize((16, 16)).convert("RGB")))
        grey = grey and is_grey(pixels.permute(2, 0, 1)[None])
    if not sides:
        raise UserError("no image of it can be read")
    each = (time.monotonic() - began) / len(chosen)
    present, counts = np.unique(train.labels, return_counts=True)
    fewest = int(counts.argmin())
    return ImageFacts(
        count=len(train.names),
        classes=len(layout.classes),
        side=sorted(sides)[len(sides) // 2],
        channels=3,
        grey=grey,
        has_validation={"val", "test"} <= set(layout.splits),
        has_test=bool({"val", "test"} & set(layout.splits)),
        smallest=(layout.classes[present[fewest]], int(counts[fewest])),
        cut=sorted(cuts)[len(cuts) // 2],
        reading=each * sum(len(split.names) for split in layout.splits.values()) / usable_cores(),
        decoding=each,
    )


class FilePhotographs(Photographs):
    """Image files as streamed images, always in colour.

    Args:
        store (Store): where the files are.
        names (Sequence[str]): their names.
        digests (Sequence[int]): a number for each, the same for equal files; empty if unknown.
    """

    channels = 3

    def __init__(self, store: Store, names: Sequence[str], digests: Sequence[int] = ()) -> None:
        self.store = store
        # One array for a million names: a list of them would be copied into each worker process.
        self.names = np.array([os.fsencode(name) for name in names])
        self.digests = np.array(digests, np.int64)

    def open(self, index: int, shorter: int | None) -> Image.Image:
        name = os.fsdecode(self.names[index])
        try:
            with warnings.catch_warnings():
                # Pillow warns about odd metadata; only the pixels matter here.
                warnings.simplefilter("ignore")
                content = self.store.read(name)
                # The fingerprint of the run is that of the file that was there then.
                if len(self.digests) and digest(content) != self.digests[index]:
                    raise UserError(
                        f"{name}: it is not the image that it was when the run began; restore it"
                    )
                return decode(content, shorter and resized_side(shorter))
        except BrokenImageError as error:
            raise UserError(f"{name}: {error}; it was whole when the run began") from None


def _whole_images(
    store: Store, names: Iterable[str]
) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """Images, large ones made smaller, with their sizes as stored."""
    for name in names:
        with suppress(BrokenImageError):
            yield decode_and_measure(store.read(name), TYPICAL)


class _Reader:
    """Reads the splits of one folder, all at the same size and in the same way."""

    def __init__(self, store: Store, classes: Sequence[str], options: DataOptions) -> None:
        self.store, self.classes, self.options = store, classes, options
        self.skipped: list[str] = []
        self.notes: list[str] = []
        self.image_size = 0

    def read_training(self, split: Split) -> tuple[Split, Images]:
        """Whole files of train/, and their images; decides the image size."""
        # Mostly all images are of the size of the first: then they are decoded once.
        sides = (min(size) for _, size in _whole_images(self.store, split.names))
        self.image_size = self.options.image_size or next(sides, PHOTOGRAPH)
        split, images, sizes = self.read(split)
        if self.options.image_size is None:
            side = default_image_size(sizes, self.notes)
            if side != self.image_size:
                self.image_size = side
                # Streamed images were checked already.
                images = self._streamed(split) if self._streams(split) else self.read(split)[1]
        return split, images

    def with_validation(self, train: Split, images: Images, split: Split) -> tuple[Images, Images]:
        """Training and validation images that can be joined."""
        if isinstance(images, TensorImages):
            return images, self.read(split, streamed=False)[1]
        split = self.read(split, streamed=True)[0]
        both = Split(
            [*train.names, *split.names],
            [*train.labels, *split.labels],
            [*train.digests, *split.digests],
        )
        all_images = self._streamed(both)
        count = len(train.names)
        return all_images.subset(range(count)), all_images.subset(range(count, len(all_images)))

    def _streams(self, split: Split) -> bool:
        return self.options.streams(len(split.names), 3, self.image_size)

    def read(self, split: Split, streamed: bool | None = None) -> tuple[Split, Images, Sizes]:
        """Whole files of a split, their images, and how many have which size."""
        streamed = self._streams(split) if streamed is None else streamed
        side = None if streamed else self.image_size
        pixels, digests, sizes, reasons = read_files(self.store, split.names, side)
        broken = [f"{split.names[at]}: {reason}" for at, reason in reasons.items()]
        if broken and self.options.on_broken == "fail":
            more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            raise UserError(
                f"broken image {broken[0]}{more}; repair or remove it, or leave such files out "
                "with --on-broken skip"
            )
        self.skipped += broken
        whole = [at for at in range(len(split.names)) if at not in reasons]
        kept = Split(
            [split.names[at] for at in whole],
            [split.labels[at] for at in whole],
            [digests[at] for at in whole],
        )
        for label in sorted(set(split.labels) - set(kept.labels)):
            raise UserError(
                f"class '{self.classes[label]}' has no whole image left; {len(self.skipped)} "
                "broken files were left out"
            )
        if streamed:
            return kept, self._streamed(kept), sizes
        images = TensorImages(pixels, torch.tensor(split.labels), owned=True, digests=digests)
        return kept, images.split_off(whole, [])[0], sizes

    def _streamed(self, split: Split) -> StreamedImages:
        files = FilePhotographs(self.store, split.names, split.digests)
        labels = torch.tensor(split.labels)
        return StreamedImages(files, labels, self.image_size, self.options.workers)


def default_image_size(sizes: Sizes, notes: list[str]) -> int:
    """Side to resize to, where the user set none.

    Images of one size keep it (the shorter side, if they are not square). Photographs of different
    sizes become 224 pixels, as on ImageNet. For smaller images of different sizes the user has to
    decide, since the side decides how long everything takes.

    Args:
        sizes (Counter): number of images by width and height in pixels.
        notes (list[str]): extended by what was decided.

    Raises:
        UserError: sizes differ, and half of the images have a side below 224 pixels.

    Example:
        >>> default_image_size(Sizes({(32, 32): 10}), [])
        32
    """
    sides = sorted(min(size) for size in sizes.elements())
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width != height:
            notes.append(f"images of {width}x{height} pixels: the middle {sides[0]}x{sides[0]}")
        return sides[0]
    different = f"images of different sizes, shorter sides of {sides[0]} to {sides[-1]} pixels"
    middle = sides[len(sides) // 2]
    if middle < PHOTOGRAPH:
        raise UserError(f"{different}; set the side to resize to, such as --image-size {middle}")
    notes.append(f"{different}: resized to {PHOTOGRAPH}")
    return PHOTOGRAPH
