"""Files written so that a kill at any moment leaves the old or the new content, never a part."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

from spos._util.errors import UserError, check_kind
from spos._util.text import redact

#: Key of the digest, SHA-256, of everything else in a JSON file: whatever is altered is noticed.
DIGEST = "digest"
#: The largest number that is read: sums of larger ones may be infinite.
LARGEST = 1e300
#: Bytes of the largest text that is read: the outcome of a search of a million candidates.
MOST_BYTES = 1 << 29
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file through a temporary one beside it: write, fsync, rename.

    Args:
        path (Path): file to write; its folder must exist.
        content (bytes | str): content; text is encoded as UTF-8.

    Raises:
        OSError: the folder does not exist or is not writable.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_atomically(path, "whole")
        >>> path.read_text()
        'whole'
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            # When the disk is full, Python does not name the file; else the temporary one.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _sync(path.parent)


def put(source: Path, target: Path) -> None:
    """Move a finished file to its place on the same disk, durably.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".a").write_text("whole")
        >>> put(folder / ".a", folder / "a")
        >>> (folder / "a").read_text()
        'whole'
    """
    _sync(source)
    os.replace(source, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; an object with a digest of the rest of it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> write_json(path, {"flops": 322918720})
        >>> read_json(path)
        {'flops': 322918720}
    """
    if isinstance(value, dict):
        value = {**value, DIGEST: _digest(value)}
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def file_digest(path: Path) -> str:
    """SHA-256 of the content of a file, in hexadecimal digits.

    Raises:
        OSError: the file cannot be read, or is a pipe or a device.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = path.write_text("whole")
        >>> file_digest(path)[:8]
        '5d5766cf'
    """
    try:
        check_regular(path)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    found = hashlib.sha256()
    with path.open("rb") as file:
        # In parts: a file may be larger than the memory.
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def parse_json(text: str) -> Any:
    """Parse JSON that may be damaged, or come from anybody.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, has a number above 1e300, or names
            a field of an object twice.
    """
    try:
        return json.loads(
            text, parse_int=_whole, parse_float=_fraction, object_pairs_hook=_names_once
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON does not say which of two values counts; Python silently takes the last.
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{twice!r:.50} appears twice in one object")
    return found


def _whole(text: str) -> int:
    # Before it is parsed, for which Python has a limit of its own.
    _fraction(text)
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if abs(value) > LARGEST:
        raise ValueError(f"a number above {LARGEST:g}")
    return value


def refuse_address(given: str | bytes, what: str) -> None:
    """Refuse an address such as ``s3://bucket`` where a path is due.

    Args:
        given (str | bytes): what was given as a path.
        what (str): what it is, to begin an error with.

    Raises:
        UserError: it is an address.

    Example:
        >>> refuse_address("s3://bucket/first", "--out")
        Traceback (most recent call last):
        ...
        spos.UserError: --out s3://bucket/first: must be a path on this machine, such as a folder \
where the storage is mounted
    """
    if _ADDRESS.match(os.fsdecode(given)):
        raise UserError(
            f"{what} {redact(os.fsdecode(given))}: must be a path on this machine, such as a "
            "folder where the storage is mounted"
        )


def as_path(given: Any, what: str) -> Path:
    """A path that somebody gave in Python, whether there is anything or not.

    Args:
        given (Any): what was given.
        what (str): what it is, to begin an error with.

    Raises:
        UserError: it is no path, or one that cannot be looked at: no file system has such a name,
            or this user may not; or it is empty.

    Example:
        >>> as_path("a" * 5000, "out")
        Traceback (most recent call last):
        ...
        spos.UserError: out aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...: File name too long
    """
    check_kind(given, (str, os.PathLike), what, "a path")
    # pathlib takes it for this folder.
    if not os.fspath(given):
        raise UserError(f"{what} {given!r}: must not be empty")
    refuse_address(os.fspath(given), what)
    path = Path(given)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        shown = str(path) if len(str(path)) <= 300 else f"{str(path)[:48]}..."
        raise UserError(f"{what} {shown}: {reason}") from None
    return path


def expand_home(given: str) -> Path:
    """A path that may begin with the home of a user, which a shell leaves as it is after a colon.

    As in a shell, the name of a user that there is not stays what it is.

    Example:
        >>> expand_home("~nobody-of-this-name/photos").parts[0]
        '~nobody-of-this-name'
    """
    # That of pathlib would raise an error.
    return Path(os.path.expanduser(given))


def check_regular(path: Path) -> None:
    """Refuse a pipe or a device, even behind a link: reading it might never end.

    Raises:
        ValueError: it is neither a regular file nor a directory.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError("it is not a regular file")


def read_text(path: Path, errors: str = "strict") -> str:
    """Read a file that may come from anybody as UTF-8.

    Args:
        path (Path): file to read.
        errors (str): what is done with bytes that are no UTF-8, as for :func:`open`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a regular one, not UTF-8, or has more than 512 MiB.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = path.write_text("whole")
        >>> read_text(path)
        'whole'
    """
    check_regular(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    return path.read_text(encoding="utf-8", errors=errors)


def read_json(path: Path) -> Any:
    """Read a JSON file; one without a digest, as former versions wrote it, is not checked.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a regular one, is too large, is not JSON, or does not hold what
            :func:`write_json` wrote to it.
    """
    value = parse_json(read_text(path))
    if isinstance(value, dict) and DIGEST in value and value.pop(DIGEST) != _digest(value):
        raise ValueError("it does not hold what was written to it: its digest differs")
    return value


def read_own(path: Path, advice: str = "restore it, or give another --out") -> dict[str, Any]:
    """Read a JSON file of a run directory.

    Raises:
        UserError: the file is missing, or does not hold a JSON object.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {advice}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {advice}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: {advice}")
    return content
