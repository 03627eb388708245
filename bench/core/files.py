"""Atomic writes, and finding a user's text files with one-line errors."""

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn

from bench.core.errors import SettingError
from bench.core.settings import quoted

READING = b"words 2"  # raise the number when the same files give other words or splits: their cells then run again

LEAST_FREE_MIB = 64  # MiB; a cell does not start with less free disk space, as its record might not fit


def write_atomically(path: Path, put: Callable[[IO[bytes]], object], setting: str = "results_dir") -> Path:
    """Write into a temporary file beside `path`, then rename: a reader sees all of it or nothing.

    Raises:
        SettingError: the folder that `setting` names is read-only, full, or not a folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                put(file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide a shared result
            return Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror or error}); remove the cause and run it again"
        raise SettingError(setting, problem) from error


def check_free_space(folder: Path) -> None:
    """Check before training that the folder can take a record.

    Raises:
        SettingError: the folder cannot be written, or has less than `LEAST_FREE_MIB` free.
    """
    write_atomically(folder / ".room", lambda file: file.write(b"?")).unlink(missing_ok=True)
    if (free := shutil.disk_usage(folder).free >> 20) < LEAST_FREE_MIB:
        raise SettingError("results_dir", f"{folder} has {free} MiB free, a cell needs {LEAST_FREE_MIB}; delete files")


def find_text(path: str | int | float) -> Path | None:
    """Return a user's file or folder, or None if nothing is there. Hydra reads a bare number as a number.

    Raises:
        SettingError: the path cannot be looked up, or leads to a device or pipe, which would never end.
    """
    try:
        place = Path(str(path)).expanduser()
        if place.exists() and not (place.is_dir() or place.is_file()):
            raise SettingError("corpus.path", f"{quoted(path)} is neither a file nor a folder; give one")
        return place if place.exists() else None
    except (OSError, RuntimeError) as error:  # a path too long, a folder without access, an unknown user after ~
        reason = getattr(error, "strerror", None) or error
        raise SettingError("corpus.path", f"{quoted(path)} cannot be looked up ({reason}); give another") from None


def list_text_files(place: Path) -> list[Path]:
    """Return a folder's files sorted by path, those of linked sub-folders included, without hidden files; or the file.

    Raises:
        SettingError: a sub-folder cannot be listed; its files would be left out unnoticed.
    """
    try:
        return sorted(visible_files(place)) if place.is_dir() else [place]
    except OSError as error:
        raise_unreadable(error)


def visible_files(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield the files below a folder that are not hidden.

    Args:
        above: the folders that lead here, links resolved. A link to one of them forms a loop and is not followed.
    """
    above |= {folder.resolve()}
    with os.scandir(folder) as entries:
        visible = [folder / entry.name for entry in entries if not entry.name.startswith(".")]
    for path in visible:
        if path.is_file():  # False for a link that leads nowhere
            yield path
        elif path.is_dir() and path.resolve() not in above:
            yield from visible_files(path, above)


def raise_unreadable(error: OSError) -> NoReturn:
    """Raise a one-line error for a file or folder that the user has no access to."""
    problem = f"{error.filename} cannot be read ({error.strerror}); give yourself access, or give another path"
    raise SettingError("corpus.path", problem) from None


@functools.cache
def content_sha256(path: str | int | float) -> str | None:
    """Return the sha256 of the names and bytes of a user's files, or None if nothing is there.

    A cell's name depends on this hash, so an edited text gives another cell. `READING` is hashed too: a version that
    reads the same text as other words gives another cell.

    Raises:
        SettingError: a file or folder cannot be read.
    """
    place = find_text(path)
    if place is None:
        return None
    sha256 = hashlib.sha256(READING)
    for file in list_text_files(place):
        sha256.update(os.fsencode(file.relative_to(place)))
        try:
            with file.open("rb") as opened:
                sha256.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise_unreadable(error)
    return sha256.hexdigest()


@functools.cache
def file_sha256(path: str) -> str | None:
    """Return the sha256 of one file's bytes, or None if there is no such file."""
    file = Path(path).expanduser()
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
