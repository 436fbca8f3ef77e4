"""Layout of an image folder: train/, val/ and test/, each with one folder per class."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spos._util.errors import UserError, nearest

SPLITS = ("train", "val", "test")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_LONGEST_LIST = 300


@dataclass
class Split:
    """Files of train/, val/ or test/."""

    names: list[str]
    labels: list[int]

    def pick(self, indices: Iterable[int]) -> Split:
        """The files at these indices."""
        chosen = list(indices)
        return Split([self.names[at] for at in chosen], [self.labels[at] for at in chosen])


@dataclass
class Layout:
    """Images found in a folder.

    Args:
        classes (list[str]): folders of train/, sorted.
        splits (dict[str, Split]): files by split; ``"train"`` is always there.
        notes (list[str]): what is not read, one line each.
    """

    classes: list[str]
    splits: dict[str, Split]
    notes: list[str]


def find_layout(names: Iterable[str]) -> Layout:
    """Find the images in a list of files.

    Files may lie deeper than in the class's folder. Hidden files are ignored, other files that are
    not images are noted.

    Args:
        names (Iterable[str]): all files, and folders with / at the end; all may be in one folder.

    Raises:
        UserError: there is no train/, a class is empty, or val/ or test/ has a class that train/
            lacks.

    Example:
        >>> layout = find_layout(["train/cat/1.jpg", "train/dog/1.jpg"])
        >>> layout.classes, layout.splits["train"].labels
        (['cat', 'dog'], [0, 1])
    """
    visible = [name for name in names if not _hidden(name)]
    top = _top(visible)
    paths = [name[len(top) :].split("/") for name in visible if name.startswith(top)]
    classes = sorted({path[1] for path in paths if path[0] == "train" and len(path) > 2})
    others: Counter[str] = Counter()
    splits = {
        split: _split(top, split, inside, classes, others)
        for split in SPLITS
        if (inside := [path for path in paths if path[0] == split and len(path) > 1])
    }
    notes = []
    if others:
        kinds = ", ".join(f"{kind or 'no extension'}: {n}" for kind, n in sorted(others.items()))
        notes.append(f"files that are not images in a class folder, not read ({kinds})")
    return Layout(classes, splits, notes)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _top(names: list[str]) -> str:
    """The folder that contains train/: none, or the only one at the top."""
    folders = sorted({name.split("/")[0] for name in names if "/" in name})
    inner = [folder for folder in folders if any(n.startswith(f"{folder}/train/") for n in names)]
    if "train" in folders:
        return ""
    if len(folders) == 1 and inner:
        return f"{inner[0]}/"
    if inner:
        raise UserError(f"no train/ in it; train/ is in {inner[0]}/: give that folder")
    shown = ", ".join(f"{folder}/" for folder in folders[:5]) or "none"
    more = ", ..." if len(folders) > 5 else ""
    raise UserError(
        f"no train/ in it; train/ with one folder per class is required; folders found: "
        f"{shown}{more}"
    )


def _split(
    top: str,
    split: str,
    paths: Sequence[list[str]],
    classes: Sequence[str],
    others: Counter[str],
) -> Split:
    seen = {path[1] for path in paths if len(path) > 2}
    found = []
    for path in paths:
        extension = posixpath.splitext(path[-1])[1].lower()
        if len(path) > 2 and extension in EXTENSIONS:
            found.append((path[1], "/".join(path)))
        elif path[-1]:
            others[extension] += 1
    for extra in sorted(seen - set(classes)):
        known = nearest(extra, classes)
        if len(known) > _LONGEST_LIST:
            known = f"{known[:_LONGEST_LIST].rpartition(',')[0]}, ..."
        raise UserError(f"{split}/ has the class '{extra}', which train/ lacks; {known}")
    empty = sorted(seen - {folder for folder, _ in found})
    if empty or not found:
        which = f"{split}/{empty[0]}/" if empty else f"{split}/"
        raise UserError(
            f"no image in {which}; allowed: {', '.join(EXTENSIONS)} files in one folder per class"
        )
    found.sort()
    labels = {name: label for label, name in enumerate(classes)}
    return Split([top + name for _, name in found], [labels[folder] for folder, _ in found])
