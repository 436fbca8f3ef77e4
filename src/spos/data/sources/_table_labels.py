"""Labels in a column of tables, as numbers of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spos._util.errors import UserError
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
