"""Tar shards in the layout of WebDataset, read at random places as a folder of images is.

The library webdataset is not used: it reads shards from beginning to end, so that the order of
images would depend on the number of processes, and it decodes members by their extension, pickles
included.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.files import check_regular, expand_home, parse_json
from spos._util.text import first_few
from spos.data.peek import ImageFacts
from spos.data.source import SOURCES, DataOptions, Source
from spos.data.sources._layout import EXTENSIONS, FoundImages, Split, label_classes
from spos.data.sources._query import split_query
from spos.data.sources._shards import Place, ShardStore
from spos.data.sources._stored import SplitNames, look_at, read_source

#: What follows the question mark.
KEYS = ("validation", "test", "label")
#: Names of shards in a folder, by split.
SHARDS = {"train": "train*.tar", "val": "val*.tar", "test": "test*.tar"}
#: Extensions of the labels of samples, and fields of a label in JSON.
LABELS, FIELDS = ("cls", "json"), ("label", "cls", "class")
LARGEST_LABEL = 1 << 20
"""Bytes of the largest label that is read."""
MOST_SHARDS = 100_000
"""Shards that ranges in a pattern may stand for."""
_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")
END = tarfile.NUL * tarfile.BLOCKSIZE
"""What follows the last file of an archive."""
PADDING = 1 << 20
"""Bytes that are read at a time of the zeros that follow."""
CALLED = SplitNames("the shards train", "the shards val", "shards test")


@SOURCES.register("webdataset")
def webdataset_source(argument: str, options: DataOptions) -> Source:
    """Images in tar shards: ``KEY.jpg`` beside ``KEY.cls`` or ``KEY.json``.

    Args:
        argument (str): folder of shards ``train*.tar`` and optionally ``val*.tar`` and
            ``test*.tar``, or a pattern of files, which may have a range: ``train-{000..146}.tar``.
            After a question mark patterns of further splits, and the field of the label in JSON:
            ``train-*.tar?test=test-*.tar&label=kind``.
        options (DataOptions): how the images are read.

    Raises:
        UserError: there are no such shards, they are damaged, or an image is broken.
    """
    store, layout = _open(argument)
    return read_source(store, layout, options, CALLED)


def look(argument: str) -> ImageFacts:
    """Look at a sample of the images.

    Raises:
        UserError: there are no such shards, or no image of the sample is whole.
    """
    return look_at(*_open(argument))


webdataset_source.look = look  # type: ignore[attr-defined]


def _open(argument: str) -> tuple[ShardStore, FoundImages]:
    place, query = split_query(argument, KEYS)
    if not place:
        raise UserError("the pattern is missing; allowed: webdataset:FOLDER or webdataset:PATTERN")
    shards, others = _find_shards(place)
    for split, key in (("val", "validation"), ("test", "test")):
        if key in query:
            shards[split] = _find(query[key])
    shards = {split: _once(found) for split, found in shards.items()}
    paths = [path for found in shards.values() for path in found]
    if len(_once(paths)) < len(paths):
        (twice, _), *_ = Counter(map(os.path.realpath, paths)).most_common(1)
        raise UserError(f"{twice} is in two splits: give patterns that do not overlap")
    reader = _Reader(paths, query.get("label"))
    number = {path: place for place, path in enumerate(paths)}
    samples = {
        split: [one for path in found for one in reader.samples(number[path])]
        for split, found in shards.items()
    }
    layout = reader.layout(samples)
    if expand_home(place).is_dir() and not _of_split(shards["train"][0], "train"):
        layout.notes.append(f"no {SHARDS['train']} in the folder: all shards are used for training")
    read = {*map(os.path.realpath, paths)}
    if unread := [one for one in others if os.path.realpath(one) not in read]:
        more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
        layout.notes.append(f"not {', '.join(SHARDS.values())}, so not read: {unread[0]}{more}")
    return ShardStore(paths, reader.places), layout


def _find_shards(place: str) -> tuple[dict[str, list[str]], list[str]]:
    """The shards of a folder by split, or those of a pattern for the training; others beside."""
    folder = expand_home(place)
    if not folder.is_dir():
        return {"train": _find(place)}, []
    there = _find(os.path.join(glob.escape(str(folder)), "*.tar"))
    named = {split: [one for one in there if _of_split(one, split)] for split in SHARDS}
    shards = {split: found for split, found in named.items() if found}
    if shards and "train" not in shards:
        raise UserError(f"no {SHARDS['train']} beside {next(iter(shards.values()))[0]}")
    shards = shards or {"train": there}
    others = {*there, *map(str, folder.glob("*.tar.*"))}
    return shards, sorted(others.difference(*shards.values()))


def _of_split(path: str, split: str) -> bool:
    return fnmatchcase(os.path.basename(path).lower(), SHARDS[split])


def _find(pattern: str) -> list[str]:
    """Files of a pattern, sorted; a range such as {000..146} stands for its numbers."""
    patterns = [str(expand_home(pattern))]
    while ranged := _RANGE.search(patterns[0]):
        first, last = ranged.groups()
        count = int(last) - int(first) + 1
        if count < 1:
            raise UserError(f"{ranged[0]}: is empty; write the smaller number first")
        if count * len(patterns) > MOST_SHARDS:
            raise UserError(
                f"{ranged[0]}: {count * len(patterns):,} shards; allowed: at most {MOST_SHARDS:,}"
            )
        numbers = [f"{at:0{len(first)}d}" for at in range(int(first), int(last) + 1)]
        patterns = [one.replace(ranged[0], number, 1) for one in patterns for number in numbers]
    found: list[str] = []
    for one in patterns:
        there = sorted(glob.glob(one)) or ([one] if os.path.exists(one) else [])
        if not there:
            raise UserError(
                f"no file {one}; allowed: a folder of .tar shards, or a pattern of them"
            )
        found += there
    return found


def _once(paths: Sequence[str]) -> list[str]:
    """Shards without those that are links to others: no image is in two splits."""
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(os.path.realpath(path), path)
    return list(first.values())


class _Reader:
    """Lists the samples of shards; the content of images is not read."""

    def __init__(self, paths: Sequence[str], field: str | None) -> None:
        self.paths, self.fields = paths, (field,) if field else FIELDS
        self.given = field
        self.places: dict[str, Place] = {}
        self.imageless = 0
        self.dotted: list[str] = []
        self.links: list[str] = []
        # As few folders as tell shards of the same name apart.
        absolute = [os.path.abspath(path) for path in paths]
        common = os.path.commonpath([os.path.dirname(path) for path in absolute])
        self.shown = [os.path.relpath(path, common) for path in absolute]

    def samples(self, shard: int) -> Iterator[tuple[str, int | str]]:
        """Name of the image and label of each sample of a shard."""
        images: dict[str, str] = {}
        labels: dict[str, int | str] = {}
        further: list[tuple[str, str]] = []
        for name, content, place in self._members(shard):
            folder, _, last = name.rpartition("/")
            stem, _, extension = last.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if f".{extension.lower()}" in EXTENSIONS:
                image = f"{self.shown[shard]}/{name}"
                # The same name again is what an appended file replaces.
                if images.setdefault(key, image) != image:
                    raise UserError(
                        f"{images[key]} has another image beside it, {last}; allowed: one image "
                        f"of a sample, and others with names such as {stem}.seg.png"
                    )
                self.places[image] = place
            elif name.lower().endswith(EXTENSIONS):
                further.append((key, f"{self.shown[shard]}/{name}"))
            elif extension in LABELS and not (self.given and extension == "cls"):
                label = self._label(f"{self.shown[shard]}/{name}", content)
                if label is not None:
                    # A class beside JSON counts more, in whatever order they are.
                    labels[key] = label if extension == "cls" else labels.get(key, label)
        self.imageless += len(labels.keys() - images)
        self.dotted += [image for key, image in further if key not in images]
        for key, image in images.items():
            if key not in labels:
                fields = f"{key}.json with {' or '.join(self.fields)}"
                wanted = fields if self.given else f"{key}.cls or {fields}"
                raise UserError(f"{image} has no label; needed beside it: {wanted}")
            yield image, labels[key]

    def _members(self, shard: int) -> Iterator[tuple[str, bytes, Place]]:
        """Name of each file of a shard, the content of labels, and where it is."""
        path = self.paths[shard]
        try:
            check_regular(Path(path))
            # Without decompression, which has no random access.
            with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
                last = -1
                for member in archive:
                    # After a size below 0 tarfile would go back, and read the same for ever.
                    if member.offset <= last:
                        raise ValueError("a file in it has a size below 0")
                    last = member.offset
                    name = posixpath.normpath(member.name)
                    if member.islnk() or member.issym():
                        self.links.append(f"{self.shown[shard]}/{name}")
                    if not member.isreg() or posixpath.basename(name).startswith("."):
                        continue
                    content = b""
                    if name.endswith(tuple(f".{one}" for one in LABELS)):
                        if member.size > LARGEST_LABEL:
                            raise UserError(
                                f"{path}: {name} has {member.size:,} bytes, not a label"
                            )
                        label = archive.extractfile(member)
                        content = label.read() if label else b""
                    yield name, content, (shard, member.offset_data, member.size)
                # Where it reads no header, tarfile ends, whatever is there.
                file.seek(archive.offset)
                if file.read(len(END)) != END:
                    raise ValueError("it is damaged, or cut off in the middle")
                # Of archives that cat has put together, tarfile reads the first alone.
                while rest := file.read(PADDING):
                    if rest.strip(b"\0"):
                        raise ValueError("it continues past its end, as archives joined by cat do")
        except UserError:
            raise
        # Of headers that are damaged, tarfile raises whatever Python does: sizes that no memory
        # holds, and names upon names that nest too deeply.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{path}: not a whole .tar ({reason}); allowed: tar archives, not compressed"
            ) from None

    def _label(self, name: str, content: bytes) -> int | str | None:
        """The class in a file: a number or a name; None in JSON without one."""
        try:
            value: Any = content.decode().strip()
            if name.endswith(".json"):
                fields = parse_json(value)
                if not isinstance(fields, dict):
                    return None
                value = next((fields[one] for one in self.fields if one in fields), None)
        except ValueError:
            raise UserError(f"{name}: cannot be read as a label") from None
        if isinstance(value, str):
            value = (
                int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else value
            )
        if value is None:
            return None
        # By convention, -1 marks an image without a label.
        unlabelled = value in ("", "-1") or (isinstance(value, int) and value < 0)
        if isinstance(value, bool) or not isinstance(value, (int, str)) or unlabelled:
            raise UserError(
                f"{name}: label {value!r:.50}; allowed: a whole number from 0 on, or a name"
            )
        return value

    def layout(self, samples: dict[str, list[tuple[str, int | str]]]) -> FoundImages:
        """The samples with their labels as numbers of classes."""
        for split, found in samples.items():
            if not found:
                advice = f"allowed: {', '.join(EXTENSIONS)}"
                if self.dotted:
                    advice = self._unread()
                raise UserError(f"no image in the shards of {split}; {advice}")
        known = label_classes({label for _, label in samples["train"]})
        number = {str(label): place for place, label in enumerate(known)}
        splits = {}
        for split, found in samples.items():
            for name, label in found:
                if str(label) not in number:
                    raise UserError(f"{name}: the class {label} is not in the training shards")
            splits[split] = Split(
                [name for name, _ in found], [number[str(label)] for _, label in found]
            )
        notes = [f"samples without an image, not read: {self.imageless}"] if self.imageless else []
        notes += [self._unread()] if self.dotted else []
        # Their images are there by another name, but not always with the same label.
        notes += [f"links, not read: {first_few(self.links)}"] if self.links else []
        return FoundImages([str(label) for label in known], splits, notes)

    def _unread(self) -> str:
        """A note on the images that belong to no sample."""
        more = f" and {len(self.dotted) - 1} more" if len(self.dotted) > 1 else ""
        why = "because the name of a sample ends at its first dot"
        return f"not read, {why}: {min(self.dotted)}{more}"
