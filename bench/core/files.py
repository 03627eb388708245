"""Atomic writes, and reading a user's text files with one-line errors."""

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn

from bench.core.errors import SettingError
from bench.core.settings import quoted

LEAST_FREE_MIB = 64  # a cell is not begun with less: its record would not fit


def write_atomically(path: Path, put: Callable[[IO[bytes]], object], setting: str = "results_dir") -> Path:
    """Write into a temporary file beside `path`, then rename: a reader sees all of it or nothing.

    Raises:
        SettingError: the folder, which `setting` names, is read-only, full or none at all.
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
        problem = f"{path} cannot be written ({error.strerror or error}); mend that and run the same command again"
        raise SettingError(setting, problem) from error


def check_free_space(folder: Path) -> None:
    """An hour of training must not end at a folder that takes no record: try before.

    Raises:
        SettingError: it cannot be written, or has less than `LEAST_FREE_MIB` to give.
    """
    write_atomically(folder / ".room", lambda file: file.write(b"?")).unlink()
    if (free := shutil.disk_usage(folder).free >> 20) < LEAST_FREE_MIB:
        raise SettingError("results_dir", f"{folder} has {free} MiB free, a cell needs {LEAST_FREE_MIB}; free some")


def find_text(path: str | int | float) -> Path | None:
    """A user's file or folder; a bare number on the command line is a number here. None where nothing is there.

    Raises:
        SettingError: a path that no file can have, or what is neither file nor folder: a device would never end.
    """
    try:
        place = Path(str(path)).expanduser()
        if place.exists() and not (place.is_dir() or place.is_file()):
            raise SettingError("corpus.path", f"{quoted(path)} is neither a file nor a folder; give one")
        return place if place.exists() else None
    except (OSError, RuntimeError) as error:  # too long, not to be looked into, ~ of nobody
        why = getattr(error, "strerror", None) or error
        raise SettingError("corpus.path", f"{quoted(path)} cannot be looked up ({why}); give another") from None


def list_text_files(place: Path) -> list[Path]:
    """A folder's files in the order of their paths, hidden ones left out; or the file itself.

    Raises:
        SettingError: a folder in it cannot be listed: its files would be missed unseen.
    """
    if not place.is_dir():
        return [place]
    walk = os.walk(place, onerror=raise_unreadable)  # does not follow links to folders, so no loop keeps it
    files = (Path(folder, name) for folder, _, names in walk for name in names)
    shown = (file for file in files if not any(part.startswith(".") for part in file.relative_to(place).parts))
    return sorted(file for file in shown if file.is_file())


def raise_unreadable(error: OSError) -> NoReturn:
    """One line for what the user may not read."""
    problem = f"{error.filename} cannot be read ({error.strerror}); give yourself access, or give another path"
    raise SettingError("corpus.path", problem) from None


@functools.cache
def content_sha256(path: str | int | float) -> str | None:
    """Of the names and bytes of a user's files, so that an edited text is another cell; None where nothing is there.

    Raises:
        SettingError: something is there that cannot be read.
    """
    place = find_text(path)
    if place is None:
        return None
    found = hashlib.sha256()
    for file in list_text_files(place):
        found.update(os.fsencode(file.relative_to(place)))
        try:
            with file.open("rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise_unreadable(error)
    return found.hexdigest()


def read_utf8(file: Path) -> str:
    """One file's text, or one line that says why not."""
    try:
        content = file.read_text(encoding="utf-8-sig")  # a byte order mark is no word
    except UnicodeDecodeError as error:
        raise SettingError("corpus.path", f"{file} is not UTF-8 (byte {error.start}); convert it first") from None
    except OSError as error:
        raise_unreadable(error)
    if "\0" in content:
        at = len(content[: content.index("\0")].encode())
        raise SettingError("corpus.path", f"{file} holds a NUL (byte {at}): no text, or UTF-16; convert it first")
    return content
