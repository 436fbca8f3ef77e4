"""Layout of an image folder: one folder per class, in train/, val/ and test/ or by themselves."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from spos._util.errors import UserError, nearest

SPLITS = ("train", "val", "test")
_CALLED = {split: split for split in SPLITS}
_CALLED |= {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
THUMBNAILS = ("__MACOSX", "@eaDir")
"""Folders in which systems keep previews of files and notes on them."""
_LONGEST_LIST = 300


@dataclass
class Split:
    """Files of train/, val/ or test/, or of a folder without them.

    Once they are read, each has a number that equal files share.
    """

    names: list[str]
    labels: list[int]
    digests: list[int] = field(default_factory=list)


@dataclass
class FoundImages:
    """Images found in a folder.

    Args:
        classes (list[str]): folders of train/, or all folders if there is none, sorted.
        splits (dict[str, Split]): files by split; ``"train"`` is always there.
        notes (list[str]): what is not read, and what was decided, one line each.
    """

    classes: list[str]
    splits: dict[str, Split]
    notes: list[str]


def label_classes(labels: Collection[int | str]) -> list[Any]:
    """The classes that the labels of training images stand for.

    Args:
        labels (Collection[int | str]): those that were found, each once.

    Returns:
        Numbers up to the largest label; the labels themselves, sorted as texts, if they are names
        or far more than there are labels: an output for each number would be absurd.

    Example:
        >>> label_classes({0, 2}), label_classes({"dog", "cat"}), label_classes({7, 3_000_000})
        ([0, 1, 2], ['cat', 'dog'], [3000000, 7])
    """
    numbers = [label for label in labels if isinstance(label, int) and label >= 0]
    most = max(numbers, default=0)
    if len(numbers) == len(labels) and most < max(1000, 10 * len(labels)):
        return list(range(most + 1))
    return sorted(labels, key=str)


def find_layout(names: Iterable[str]) -> FoundImages:
    """Find the images in a list of files.

    Files may lie deeper than in the class's folder. Hidden files are ignored, other files that are
    not images are noted.

    Args:
        names (Iterable[str]): all files, and folders with / at the end; all may be in one folder.

    Without train/, every folder is a class.

    Raises:
        UserError: there is neither train/ nor a class, a class is empty, or val/ or test/ has a
            class that train/ lacks.

    Example:
        >>> layout = find_layout(["train/cat/1.jpg", "train/dog/1.jpg"])
        >>> layout.classes, layout.splits["train"].labels
        (['cat', 'dog'], [0, 1])
        >>> find_layout(["cat/1.jpg", "dog/1.jpg"]).splits["train"].names
        ['cat/1.jpg', 'dog/1.jpg']
    """
    visible = [name for name in names if not is_hidden(name)]
    top, found = _top(visible)
    paths = [name[len(top) :].split("/") for name in visible if name.startswith(top)]
    notes: list[str] = []
    folders = {"train": paths}
    if found:
        folders = {
            split: [p[1:] for p in paths if p[0] == found[split] and len(p) > 1]
            for split in SPLITS
            if split in found
        }
        notes += [f"{found[s]}/ is taken as {s}/" for s in SPLITS if found.get(s, s) != s]
        unread = sorted({p[0] for p in paths if _is_image(p[-1])} - {*found.values()})
        if unread:
            more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
            notes.append(f"not read, as {found['train']}/ has the classes: {unread[0]}/{more}")
    else:
        notes.append("no train/ in the folder: each of its folders is a class")
    classes = sorted({path[0] for path in folders["train"] if len(path) > 1})
    others: Counter[str] = Counter()
    splits = {
        split: _split(
            top + (f"{found[split]}/" if found else ""),
            f"{found.get(split, split)}/",
            inside,
            classes,
            others,
        )
        for split, inside in folders.items()
        if inside
    }
    if others:
        kinds = ", ".join(f"{kind or 'no extension'}: {n}" for kind, n in sorted(others.items()))
        read = "only JPEG, PNG, BMP and WebP files in a class folder"
        notes.append(f"not read, as {read} are: {kinds}")
    return FoundImages(classes, splits, notes)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, is hidden or a preview.

    Example:
        >>> is_hidden("cat/@eaDir/1.jpg/thumb.jpg"), is_hidden("cat/1.jpg")
        (True, False)
    """
    return any(part.startswith(".") or part in THUMBNAILS for part in name.split("/"))


def _split_folders(paths: list[list[str]]) -> dict[str, str]:
    """Folders of the splits by split; none where there are no training images of their own.

    Example:
        >>> _split_folders([["Train", "cat", "1.jpg"], ["Valid", "cat", "2.jpg"]])
        {'train': 'Train', 'val': 'Valid'}
        >>> _split_folders([["train", "1.jpg"], ["bus", "2.jpg"]])
        {}
    """
    folders = sorted({path[0] for path in paths if len(path) > 1})
    found: dict[str, str] = {}
    for folder in folders:
        split = _CALLED.get(folder.lower())
        if split in found:
            raise UserError(
                f"{found[split]}/ and {folder}/ are both {split}/: take one of them out"
            )
        if split is not None:
            found[split] = folder
    train = found.get("train")
    if train is None or (train != "train" and len(found) < len(folders)):
        return {}
    images = [path for path in paths if _is_image(path[-1])]
    if len(found) < len(folders) and images and max(map(len, images)) == 2:
        # Trains beside buses.
        return {}
    return found


def _top(names: list[str]) -> tuple[str, dict[str, str]]:
    """Find the folder that contains train/, or the folders of the classes.

    Returns:
        The folder, none or the only one at the top; folders of the splits in it.
    """
    paths = [name.split("/") for name in names]
    folders = sorted({path[0] for path in paths if len(path) > 1})
    if found := _split_folders(paths):
        return "", found
    inner = {
        folder: found
        for folder in folders
        if (found := _split_folders([path[1:] for path in paths if path[0] == folder]))
    }
    if len(folders) == 1 and inner:
        return f"{folders[0]}/", inner[folders[0]]
    if inner:
        raise UserError(f"no train/ in it; train/ is in {min(inner)}/: give that folder")
    images = [path for path in paths if len(path) > 1 and _is_image(path[-1])]
    splits = sorted({*folders} & {"val", "test"})
    again = ""
    if images and not splits:
        top = f"{folders[0]}/" if len(folders) == 1 and min(map(len, images)) > 2 else ""
        again = _repeated([path[1:] for path in images] if top else images)
        if not again:
            return top, {}
        folders = sorted({path[1] if top else path[0] for path in images})
    shown = ", ".join(f"{folder}/" for folder in folders[:5]) or "none"
    more = ", ..." if len(folders) > 5 else ""
    advice = f"; beside {splits[0]}/, the classes belong in train/" if splits else ""
    if again:
        advice += (
            f"; several of them contain {again}/: name the splits train/ and test/, or put the "
            "images of each class directly into its folder"
        )
    if folders and not images:
        advice += f"; none of them contains an image ({', '.join(EXTENSIONS)})"
    raise UserError(
        f"no train/ in it, nor one folder of images per class; folders found: {shown}{more}{advice}"
    )


def _repeated(images: list[list[str]]) -> str:
    """A folder that several others contain, which are then splits rather than classes, or "".

    Folders that hold images themselves are classes. A folder that is the only content of another
    one, as in many archives, is skipped.

    Example:
        >>> _repeated([[part, part, name, "1.jpg"] for part in "ab" for name in ("cat", "dog")])
        'cat'
        >>> _repeated([["cat", "1.jpg"], ["cat", "small", "1.jpg"], ["dog", "small", "1.jpg"]])
        ''
    """
    parts: dict[str, list[list[str]]] = {}
    for first, *inside in images:
        parts.setdefault(first, []).append(inside)
    counts: Counter[str] = Counter()
    flat = min(map(len, images)) == 2
    for part in parts.values():
        names = {inside[0] for inside in part if not flat and len(inside) > 1}
        while min(map(len, part)) > 1:
            if len(found := {inside[0] for inside in part}) > 1:
                names |= found
                break
            part = [inside[1:] for inside in part]
        counts.update(names)
    return next((name for name, count in sorted(counts.items()) if count > 1), "")


def _is_image(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in EXTENSIONS


def _split(
    prefix: str, shown: str, paths: list[list[str]], classes: list[str], others: Counter[str]
) -> Split:
    seen = {path[0] for path in paths if len(path) > 1}
    found = []
    for path in paths:
        if len(path) > 1 and _is_image(path[-1]):
            found.append((path[0], "/".join(path)))
        elif path[-1]:
            others[posixpath.splitext(path[-1])[1].lower()] += 1
    for extra in sorted(seen - set(classes)):
        known = nearest(extra, classes)
        if len(known) > _LONGEST_LIST:
            known = f"{known[:_LONGEST_LIST].rpartition(',')[0]}, ..."
        raise UserError(f"{shown} has the class '{extra}', which train/ lacks; {known}")
    empty = sorted(seen - {folder for folder, _ in found})
    if empty or not found:
        which = f"{prefix}{empty[0]}/" if empty else shown
        raise UserError(
            f"no image in {which}; allowed: {', '.join(EXTENSIONS)} files in one folder per class"
        )
    found.sort()
    labels = {name: label for label, name in enumerate(classes)}
    return Split([prefix + name for _, name in found], [labels[folder] for folder, _ in found])
