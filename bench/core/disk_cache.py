"""Folders of files that processes share on disk: made once, checked before use, mapped so that memory holds one copy.

A folder's name is the hash of the settings that its files depend on. `contents.json` in the folder holds these settings
and a checksum of each file. The checksum (xxh3, as fast as memory) finds damage by accident, not by intent.
"""

import hashlib
import json
import logging
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from bench.core.errors import SettingError
from bench.core.file_lock import exclusive

CONTENTS = "contents.json"  # settings, figures and checksums of a folder

STALLED_SECONDS = 600.0  # a waiting process gives up if the working process sends no heartbeat for this time

ABANDONED_SECONDS = 86400.0  # a temporary folder that gets no heartbeat for this time is removed

BLOCK = 1 << 24  # bytes read at once for a checksum

log = logging.getLogger(__name__)

CHECKED: set[tuple[str, int, int, int]] = set()  # path, inode, size, mtime of files already compared

# Writes files into a folder, calls its second argument regularly as a heartbeat, and returns figures that are kept with
# the files. Files whose names end in `.tmp` are not kept.
Fill = Callable[[Path, Callable[[], None]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class CachedFolder:
    """A folder of cached files, and the figures that were stored with them."""

    path: Path
    figures: dict[str, Any]

    def array(self, name: str) -> np.memmap:
        """Return the array of a file `name.npy`, mapped read-only."""
        return np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def cached_folder(folder: Path, settings: dict[str, Any], *, what: str, fill: Fill) -> CachedFolder:
    """Return the folder of files that `settings` describe; make it if the cache lacks it.

    Of several processes that start at once, one makes the folder and the others wait.

    Args:
        what: the work in a few words, for the message of processes that wait.
        fill: writes the files.

    Raises:
        SettingError: the disk is full, the folder cannot be used, or the process that fills it has stalled.
    """
    path = folder / key_of(settings)
    found = checked_folder(path)
    if found is None:
        with exclusive(path, what, setting="cache_dir", stalled_seconds=STALLED_SECONDS) as heartbeat:
            found = checked_folder(path)  # another process may have made it meanwhile
            if found is None:
                if path.exists():
                    log.warning("%s is damaged; %s again", path, what)
                make_folder(path, settings, fill, heartbeat)
                found = checked_folder(path)
    return found


def key_of(settings: dict[str, Any]) -> str:
    """Return a file or folder name for these settings: the sha256 of their sorted JSON, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def checked_folder(path: Path) -> CachedFolder | None:
    """Return the folder of an earlier run; None if no folder exists, or if a file's checksum differs."""
    try:
        contents = json.loads((path / CONTENTS).read_text())
        stamps = {stamp_of(path / name): (name, xxh3) for name, xxh3 in contents["xxh3"].items()}
        pending = {stamp: file for stamp, file in stamps.items() if stamp not in CHECKED}
        if any(checksum(path / name) != xxh3 for name, xxh3 in pending.values()):
            return None
        found = CachedFolder(path, dict(contents["figures"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    CHECKED.update(stamps)
    return found


def stamp_of(path: Path) -> tuple[str, int, int, int]:
    """Return path, inode, size and modification time of a file; at least one changes when the content changes."""
    stat = path.stat()
    return str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns


def checksum(path: Path) -> str:
    """Return the xxh3 checksum of a file."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def make_folder(path: Path, settings: dict[str, Any], fill: Fill, heartbeat: Callable[[], None]) -> None:
    """Fill a temporary folder, then rename it: a process killed here leaves no half-filled folder in its place.

    The temporary folder has a name that no other writer uses: locks of some network drives do not reach other machines,
    so that two machines may make the same folder at once.

    Raises:
        SettingError: the folder cannot be written, or `fill` raises it.
    """
    temporary = path.with_name(f"{path.name}.{machine()}.{uuid.uuid4().hex}.making")

    def touch() -> None:
        heartbeat()
        os.utime(temporary)

    try:
        temporary.mkdir()
        remove_leftovers(path, temporary)
        figures = fill(temporary, touch)
        for file in temporary.glob("*.tmp"):
            file.unlink()
        checksums = {file.name: checksum(file) for file in sorted(temporary.iterdir())}
        contents = {"settings": settings, "figures": figures, "xxh3": checksums}
        (temporary / CONTENTS).write_text(json.dumps(contents, indent=1))
        move_into_place(temporary, path)
    except OSError as error:
        problem = f"{path} cannot be written ({error}); free disk space, or give another folder"
        raise SettingError("cache_dir", problem) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def machine() -> str:
    """Return a name of the running system, within which locks work: the id of its boot, else the name of the host."""
    boot = Path("/proc/sys/kernel/random/boot_id")  # containers of one machine share it, unlike the name of the host
    return boot.read_text().strip() if boot.exists() else socket.gethostname()


def remove_leftovers(path: Path, temporary: Path) -> None:
    """Remove the temporary folders of writers that were killed.

    The caller holds the lock, so another temporary folder of this machine for `path` has no writer. Every other
    temporary folder may have a writer, whose heartbeats change the folder's time.

    Args:
        temporary: the caller's own folder, made just now; its time of change is the present by the drive's clock.
    """
    now = temporary.stat().st_mtime
    for other in set(path.parent.glob("*.making")) - {temporary}:
        with suppress(FileNotFoundError):  # another process has removed it
            is_ours = other.name.rsplit(".", 2)[0] == f"{path.name}.{machine()}"
            if is_ours or now - other.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename a filled folder to `path`; a sound folder that another writer has put there meanwhile stays."""
    try:
        temporary.rename(path)
    except OSError:  # a folder is there already
        if checked_folder(path) is None:
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
