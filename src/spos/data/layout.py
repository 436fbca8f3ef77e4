"""The layout of an image folder: train/, val/, test/, in each a folder a class."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from spos._util.errors import UserError, nearest

SPLITS = ("train", "val", "test")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass
class Split:
    """The files of one of train/, val/, test/.

    Attributes:
        names: the names of the files, sorted by class and name.
        labels: the class of each.
    """

    names: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)


@dataclass
class Layout:
    """What is where.

    Attributes:
        classes: the folders of train/, sorted.
        splits: by name; "train" is always there.
        notes: what was not read, one line each.
    """

    classes: list[str]
    splits: dict[str, Split]
    notes: list[str]


def find_layout(text: str, names: Iterable[str]) -> Layout:
    """Find the images in a list of files.

    Files may lie deeper than in the class's folder; hidden files are passed over, and files
    that are no images are noted.

    Args:
        text: what the user asked for, for the errors.
        names: all files, and folders with / at the end. All may be in one folder at the top.

    Raises:
        UserError: there is no train/, a class is empty, val/ or test/ has a class that train/
            lacks, or there is only one class.

    Example:
        >>> layout = find_layout("folder:a", ["train/cat/1.jpg", "train/dog/1.jpg"])
        >>> layout.classes, layout.splits["train"].labels
        (['cat', 'dog'], [0, 1])
    """
    visible = [name for name in names if not _hidden(name)]
    if not visible:
        raise UserError(f"--data {text}: it is empty; it needs train/ with a folder a class")
    top = _top(text, visible)
    inside = [name[len(top) :] for name in visible if name.startswith(top)]
    classes = sorted(
        {path[1] for name in inside if (path := name.split("/"))[0] == "train" and len(path) > 2}
    )
    layout = Layout(classes, {}, [])
    others: Counter[str] = Counter()
    for split in SPLITS:
        if any(name.startswith(f"{split}/") for name in inside):
            layout.splits[split] = _read_split(text, top, split, inside, classes, others)
    if len(classes) == 1:
        raise UserError(
            f"--data {text}: one class in train/ ('{classes[0]}'); a classifier needs at least 2"
        )
    if others:
        kinds = ", ".join(f"{kind or 'no extension'}: {n}" for kind, n in sorted(others.items()))
        layout.notes.append(f"files that are not images in a class folder, not read ({kinds})")
    return layout


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _top(text: str, names: list[str]) -> str:
    """The folder that train/ is in: none, or the only one at the top."""
    firsts = sorted({name.split("/")[0] for name in names if "/" in name})
    if "train" in firsts:
        return ""
    if len(firsts) == 1 and any(name.startswith(f"{firsts[0]}/train/") for name in names):
        return f"{firsts[0]}/"
    if not firsts:
        raise UserError(f"--data {text}: no train/ in it, nor any folder; train/ is required")
    inner = next((first for first in firsts if f"{first}/train/" in names), None)
    shown = ", ".join(f"{first}/" for first in firsts[:5]) + (", ..." if len(firsts) > 5 else "")
    hint = f"train/ is in {inner}/: name that folder" if inner else nearest("train", firsts)
    if inner is None:
        hint = f"train/ is required, a folder a class in it; the folders here are {shown}"
    raise UserError(f"--data {text}: no train/ in it; {hint}")


def _read_split(
    text: str,
    top: str,
    split: str,
    names: list[str],
    classes: list[str],
    others: Counter[str],
) -> Split:
    labels = {name: label for label, name in enumerate(classes)}
    seen: set[str] = set()
    found = []
    for name in names:
        path = name.split("/")
        if path[0] != split:
            continue
        if len(path) > 2:
            seen.add(path[1])
        if name.endswith("/"):
            continue
        extension = posixpath.splitext(name)[1].lower()
        if len(path) > 2 and extension in EXTENSIONS:
            found.append((path[1], name))
        else:
            others[extension] += 1
    for extra in sorted(seen - set(classes)):
        raise UserError(
            f"--data {text}: {split}/ has the class '{extra}', which train/ lacks;"
            f" {_few(nearest(extra, classes))}"
        )
    empty = sorted(seen - {folder for folder, _ in found})
    if empty or not found:
        which = f"{split}/{empty[0]}/" if empty else f"{split}/"
        raise UserError(
            f"--data {text}: no image in {which}; allowed: {', '.join(EXTENSIONS)} files"
            " in a folder a class"
        )
    found.sort()
    return Split([top + name for _, name in found], [labels[folder] for folder, _ in found])


def _few(clause: str) -> str:
    """A thousand classes do not fit in an error line."""
    return clause if len(clause) <= 300 else clause[:300].rsplit(",", 1)[0] + ", ..."
