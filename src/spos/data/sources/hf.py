"""Datasets of Hugging Face: saved to disk, a folder of Parquet files, or a name on the hub."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from spos._util.errors import UserError, nearest
from spos._util.files import check_regular, expand_home
from spos._util.libraries import require_library
from spos._util.text import first_few
from spos.data.decode import BrokenImageError
from spos.data.files import check_file_size, read_image_file
from spos.data.peek import ImageFacts
from spos.data.source import SOURCES, DataOptions, Source
from spos.data.sources._hub import on_hub
from spos.data.sources._layout import FoundImages, Split
from spos.data.sources._query import split_query
from spos.data.sources._stored import SplitNames, look_at, read_source
from spos.data.sources._table_labels import check_same_classes, read_labels

#: What follows the question mark.
KEYS = ("image", "label", "train", "validation", "test", "config")
#: Builders that read tables and files of images, and nothing that can hold code.
BUILDERS = ("arrow", "parquet", "imagefolder")
#: Builder of the Arrow files into which a data set of the hub was made when it was reached.
CACHE = "cache"
#: What the splits of a data set are called, best first.
SPLITS = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}
#: Columns that are taken for the label where no type says so.
LABELS = ("label", "labels", "class", "target")


@SOURCES.register("hf")
def hf_source(argument: str, options: DataOptions) -> Source:
    """Images of a data set of Hugging Face.

    Args:
        argument (str): path or name, and optionally columns, splits and a configuration:
            ``uoft-cs/cifar100?image=img&label=fine_label``.
        options (DataOptions): how the images are read.

    Raises:
        UserError: the data set cannot be read, has no such column, or an image is broken.
    """
    store, layout, called = _open(argument)
    return read_source(store, layout, options, called)


def look(argument: str) -> ImageFacts:
    """Look at a sample of the images.

    Raises:
        UserError: the data set cannot be read, or no image of the sample is whole.
    """
    store, layout, _ = _open(argument)
    return look_at(store, layout)


hf_source.look = look  # type: ignore[attr-defined]


class TableStore:
    """Encoded images in a column of tables, each by the name of its split and its row.

    Args:
        tables (Mapping[str, Dataset]): tables by split.
        column (str): column of the images, which are not decoded.
        folders (Sequence[str]): where files may be that a row names instead of having an image.
    """

    def __init__(self, tables: Mapping[str, Any], column: str, folders: Sequence[str] = ()) -> None:
        self.tables, self.column = tables, column
        self.folders = [os.path.abspath(folder) for folder in folders]

    def read(self, name: str) -> bytes:
        """Encoded image of a row; safe in any thread and in forked processes.

        Raises:
            BrokenImageError: the row has no image.
        """
        split, _, row = name.rpartition("/")
        try:
            cell = self.tables[split][int(row)][self.column]
        except Exception as error:
            raise BrokenImageError(f"damaged in its table: {error}") from None
        if not cell or (cell["bytes"] is None and not cell["path"]):
            raise BrokenImageError("there is no image in this row")
        if cell["bytes"] is None:
            # A table could name any file of this machine. Links in a folder are the user's own.
            path = Path(os.path.abspath(cell["path"]))
            if not any(path.is_relative_to(folder) for folder in self.folders):
                raise BrokenImageError(f"its file {path} is outside of the data set")
            return read_image_file(path)
        check_file_size(len(cell["bytes"]))
        return bytes(cell["bytes"])


def _open(argument: str) -> tuple[TableStore, FoundImages, SplitNames]:
    """The store, its splits, and what they are called."""
    place, query = split_query(argument, KEYS)
    if not place:
        raise UserError("the path or the name is missing; allowed: hf:PATH or hf:NAME")
    with _quiet(), _readable():
        dataset, folders = _load(place, query.get("config"))
        names = _split_names(dataset, query)
        first = dataset[names["train"]].features
        image = _image_column(first, query.get("image"))
        label = _label_column(first, query.get("label"))
        tables = _select(dataset, names, image, label)
        read, classes, notes = read_labels(tables, names, label, first[label])
        unread = sorted({*map(str, dataset)} - {*names.values()})
        notes += [f"splits that are not read: {first_few(unread)}"] if unread else []
        encoded = {
            split: table.select_columns([image]).cast_column(
                image, first[image].__class__(decode=False)
            )
            for split, table in tables.items()
        }
    splits = {
        name: Split([f"{split}/{row}" for row in range(len(read[name]))], read[name])
        for name, split in names.items()
        if name in read
    }
    called = SplitNames(
        f"the split {names['train']}", f"the split {names.get('val', 'validation')}", "split test"
    )
    return TableStore(encoded, image, folders), FoundImages(classes, splits, notes), called


def _select(
    dataset: Mapping[str, Any], names: Mapping[str, str], image: str, label: str
) -> dict[str, Any]:
    """Two columns of each split, known to be whole."""
    first, tables = dataset[names["train"]].features[image], {}
    for split in names.values():
        # A format in which the user reads it, such as pandas, would be that of its rows.
        table = dataset[split].with_format(None)
        for column in (image, label):
            if column not in table.features:
                raise UserError(f"the split {split} has no column {column}, which train has")
        if not isinstance(table.features[image], type(first)):
            raise UserError(f"the split {split} has no images in the column {image}, as train has")
        tables[split] = table.select_columns([image, label])
        # Arrow reads wherever a damaged file says that a text is, which ends the process.
        tables[split].data.validate(full=True)
    return tables


@contextmanager
def _readable() -> Iterator[None]:
    """Report in one line what the library of tables raises: of networks, files and formats."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"cannot be read ({type(error).__name__}: {reason})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    datasets = require_library("datasets")
    shown = not datasets.are_progress_bars_disabled()
    # They would print every attempt to reach the hub, and what is damaged in a file.
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            datasets.enable_progress_bars()


def _load(place: str, config: str | None) -> tuple[Mapping[str, Any], list[str]]:
    """The tables of a data set by split, and where files are that these may name.

    Nothing of it is executed or unpickled.
    """
    datasets, path = require_library("datasets"), expand_home(place)
    folders = [str(path), os.path.realpath(path)] if path.is_dir() else []
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))
    if saved:
        for file in path.rglob("*"):
            try:
                # The library would wait for ever for whoever writes to a pipe.
                check_regular(file)
            except ValueError as error:
                raise UserError(f"{file}: {error}") from None
        for state in path.rglob("state.json"):
            if not json.loads(state.read_text(encoding="utf-8"))["_data_files"]:
                # The library says no more than that a list is empty.
                raise UserError(f"{state.parent} has no rows; save it without such a split")
        loaded = datasets.load_from_disk(str(path))
    elif path.is_dir():
        loaded = _prepare(str(path), config, folders)
    elif path.exists() or place.startswith(("/", ".", "~")):
        raise UserError("no such folder; allowed: a data set saved to disk, or a name")
    else:
        with on_hub(place):
            loaded = _prepare(place, config, folders)
    return loaded if isinstance(loaded, Mapping) else {"train": loaded}, folders


def _prepare(name: str, config: str | None, folders: list[str]) -> Any:
    """The tables of a folder or of a name on the hub; adds where their files may be."""
    datasets = require_library("datasets")
    builder = datasets.load_dataset_builder(name, config)
    if builder.name not in (*BUILDERS, CACHE):
        raise UserError(f"its files are read as {builder.name}; allowed: {', '.join(BUILDERS)}")
    if builder.name in ("arrow", "parquet"):
        check_same_classes(chain.from_iterable((builder.config.data_files or {}).values()))
    if builder.name in ("imagefolder", CACHE):
        # Images of the hub and of archives, which the library itself puts there.
        known = datasets.config
        hub = import_module("huggingface_hub.constants").HF_HUB_CACHE
        kept = (known.DOWNLOADED_DATASETS_PATH, known.EXTRACTED_DATASETS_PATH, hub)
        folders += map(str, kept)
    builder.download_and_prepare()
    return builder.as_dataset()


def _split_names(dataset: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, str]:
    """Names of the splits there are, by train, val and test."""
    names: dict[str, str] = {}
    for split, usual in SPLITS.items():
        key = "validation" if split == "val" else split
        given = query.get(key)
        if given is not None and given not in dataset:
            raise UserError(f"{key}={given}: no such split; {nearest(given, dataset)}")
        taken = {*names.values(), *query.values()}
        free = (name for name in usual if name in dataset and name not in taken)
        found = given or next(free, None)
        if found in names.values():
            raise UserError(f"{key}={found}: is read already; give each split at most once")
        if found is not None:
            names[split] = found
    if "train" not in names:
        raise UserError(f"it has no split train; name one: ?train={next(iter(dataset), 'NAME')}")
    return names


def _image_column(features: Mapping[str, Any], given: str | None) -> str:
    import datasets

    columns = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    return _column("image", columns, given, features)


def _label_column(features: Mapping[str, Any], given: str | None) -> str:
    import datasets

    classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    possible = [name for name, kind in features.items() if name in classes or _kind(kind)]
    if given is not None:
        return _column("label", possible, given, features)
    columns = classes or [name for name in LABELS if name in possible][:1]
    return _column("label", columns, None, features, possible)


def _kind(feature: Any) -> str:
    """``int`` or ``string`` for a column of such values; empty for any other."""
    kind = str(getattr(feature, "dtype", ""))
    return "int" if kind.startswith(("int", "uint")) else "string" if "string" in kind else ""


def _column(
    key: str, columns: Sequence[str], given: str | None, features: Any, possible: Sequence[str] = ()
) -> str:
    if given is not None:
        if given not in columns:
            known = nearest(given, columns) if columns else f"columns: {', '.join(features)}"
            raise UserError(f"{key}={given}: no such column of {key}s; {known}")
        return given
    if len(columns) != 1:
        found = f"columns of {key}s: {', '.join(columns)}" if columns else f"no column of {key}s"
        listed = columns or possible
        if not listed:
            # A user may take a column of fractions for one of labels.
            kinds = (getattr(kind, "dtype", type(kind).__name__) for kind in features.values())
            there = ", ".join(map("{} ({})".format, features, kinds))
            wanted = " (whole numbers or text)" if key == "label" else ""
            raise UserError(f"{found}{wanted}; there are: {there}")
        raise UserError(f"{found}; name one of {', '.join(listed)}: ?{key}={listed[0]}")
    return columns[0]
