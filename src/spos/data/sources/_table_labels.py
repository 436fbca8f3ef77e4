"""Labels in a column of tables, as numbers of classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.libraries import require_library
from spos.data.sources._layout import label_classes


def read_labels(
    tables: Mapping[str, Any], names: Mapping[str, str], column: str, feature: Any
) -> tuple[dict[str, list[int]], list[str], list[str]]:
    """Read the labels of tables.

    Args:
        tables (Mapping[str, Dataset]): tables by the names of their splits.
        names (Mapping[str, str]): names of the splits by train, val and test.
        column (str): column of the labels.
        feature (Any): type of the column in the training split, which names the classes.

    Returns:
        Labels by train, val and test, the classes, and what was decided.

    Raises:
        UserError: a label is none of the classes of the training split.
    """
    plain: dict[str, list[Any]] = {}
    for name, split in names.items():
        rows = tables[split].select_columns([column]).with_format("arrow")[:]
        plain[name] = rows.column(0).to_pylist()
        # The numbers of another split may be those of other classes.
        own = getattr(tables[split].features[column], "names", None)
        if own is not None and own != getattr(feature, "names", None):
            called = dict(enumerate(own))
            plain[name] = [called.get(label, label) for label in plain[name]]
    notes: list[str] = []
    known = getattr(feature, "names", None)
    for name in [one for one in plain if one != "train"]:
        # As the test images of competitions, whose labels are kept.
        if all(label is None or label == -1 for label in plain[name]):
            notes.append(f"the split {names[name]} has no labels: not read")
            del plain[name]
    numbers: Sequence[Any] = range(len(known or ()))
    if known is None:
        # A number below 0 stands for no label.
        texts = {one for one in plain["train"] if isinstance(one, str)}
        known = numbers = label_classes(
            texts | {one for one in plain["train"] if isinstance(one, int) and one >= 0}
        )
    number: dict[Any, int] = {str(one): place for place, one in enumerate(known)}
    number |= {one: place for place, one in enumerate(numbers)}
    read: dict[str, list[int]] = {}
    for name, labels in plain.items():
        read[name] = [number.get(one, -1) if isinstance(one, (int, str)) else -1 for one in labels]
        if -1 in read[name]:
            row = read[name].index(-1)
            raise UserError(
                f"the split {names[name]}, row {row}: label {labels[row]!r:.50}; allowed: the "
                f"{len(known)} classes of {names['train']}"
            )
    return read, list(map(str, known)), notes


def check_same_classes(files: Iterable[str]) -> None:
    """Check that Arrow and Parquet files number their classes alike.

    The library reads all of them by what the first one says. Files that are not on this machine are
    not checked.

    Args:
        files (Iterable[str]): paths of the files.

    Raises:
        UserError: two of them name the classes of a column differently.
    """
    features = require_library("datasets").Features
    known: dict[str, tuple[str, Sequence[str]]] = {}
    for file in files:
        if not Path(file).is_file():
            continue
        for column, feature in features.from_arrow_schema(_schema(file)).items():
            names = getattr(feature, "names", None)
            first, classes = known.setdefault(column, (file, names)) if names else (file, names)
            if names != classes:
                raise UserError(
                    f"{file} numbers the classes of {column} differently from {first}; write "
                    "both with the same names in the same order"
                )


def _schema(file: str) -> Any:
    arrow = import_module("pyarrow")
    if file.endswith(".parquet"):
        return import_module("pyarrow.parquet").read_schema(file)
    with open(file, "rb") as stream:
        try:
            return arrow.ipc.open_stream(stream).schema
        except arrow.lib.ArrowInvalid:
            return arrow.ipc.open_file(stream).schema
