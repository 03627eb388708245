"""Arrays that processes share on disk: computed once, checked before use, mapped so that memory holds one copy.

A file's name is the hash of the settings that its content depends on. A `.json` beside the array holds these settings
and a checksum of the array. The checksum (xxh3, as fast as memory) finds damage by accident, not by intent.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from bench.core.errors import SettingError
from bench.core.file_lock import exclusive
from bench.core.files import write_atomically

STALLED_SECONDS = 600.0  # a waiting process gives up if the working process sends no heartbeat for this time

BLOCK = 1 << 24  # bytes read at once for a checksum

log = logging.getLogger(__name__)

CHECKED: set[tuple[str, int, int, int]] = set()  # path, inode, size, mtime of files already compared


@dataclass(frozen=True, eq=False)
class CachedArray:
    """A cached array, and the time that computing it took."""

    array: np.memmap  # read-only
    seconds: float  # when the array was computed, now or in an earlier run


def cached_array(
    folder: Path,
    settings: dict[str, Any],
    *,
    shape: tuple[int, ...],
    what: str,
    fill: Callable[[np.memmap], Iterator[object]],
) -> CachedArray:
    """Return the float16 array that `settings` describe; compute it if the cache lacks it.

    Of several processes that start at once, one computes the array and the others wait.

    Args:
        what: the work in a few words, for the message of processes that wait.
        fill: writes the array, and yields regularly as a heartbeat.

    Raises:
        SettingError: the disk is full, the folder cannot be used, or the process that computes the array has stalled.
    """
    path = folder / f"{key_of(settings)}.npy"
    found = checked(path, shape)
    if found is None:
        with exclusive(path, what, setting="cache_dir", stalled_seconds=STALLED_SECONDS) as heartbeat:
            found = checked(path, shape)  # another process may have made it meanwhile
            if found is None:
                if path.exists():
                    log.warning("%s is damaged; %s again", path, what)
                make(path, settings, shape, fill, heartbeat)
                found = checked(path, shape)
    return found


def key_of(settings: dict[str, Any]) -> str:
    """Return the name of what settings describe, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def stamp_of(path: Path) -> tuple[str, int, int, int]:
    """Return path, inode, size and modification time of a file; at least one changes when the content changes."""
    stat = path.stat()
    return str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns


def checked(path: Path, shape: tuple[int, ...]) -> CachedArray | None:
    """Return the array of an earlier run; None if no file exists, or if its shape or checksum differs."""
    try:
        beside = json.loads(path.with_suffix(".json").read_text())
        stamp = stamp_of(path)
        if stamp not in CHECKED and checksum(path) != beside["xxh3"]:
            return None
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        found = CachedArray(array, float(beside["seconds"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    if array.shape != shape or array.dtype != np.float16:
        return None
    CHECKED.add(stamp)
    return found


def checksum(path: Path) -> str:
    """Return the xxh3 checksum of a file, header included."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def make(
    path: Path,
    settings: dict[str, Any],
    shape: tuple[int, ...],
    fill: Callable[[np.memmap], Iterator[object]],
    heartbeat: Callable[[], None],
) -> None:
    """Compute an array into a temporary file, then rename the file: a process killed here leaves no half array."""
    begin, temporary = time.perf_counter(), path.with_suffix(".tmp")
    try:
        out = reserved(temporary, shape)
        for _ in fill(out):
            heartbeat()
        out.flush()
        seconds = round(time.perf_counter() - begin, 3)
        beside = {**settings, "shape": shape, "seconds": seconds, "xxh3": checksum(temporary)}
        write_atomically(
            path.with_suffix(".json"), lambda file: file.write(json.dumps(beside, indent=1).encode()), "cache_dir"
        )
        temporary.replace(path)
    except OSError as error:
        raise SettingError("cache_dir", f"{path} cannot be written ({error}); free the disk or give another") from error
    finally:
        temporary.unlink(missing_ok=True)


def reserved(path: Path, shape: tuple[int, ...], dtype: type = np.float16) -> np.memmap:
    """Create an array with its disk space reserved: writing to a mapped file on a full disk would kill the process.

    Raises:
        SettingError: the disk has no room for the array.
    """
    needed, free = np.dtype(dtype).itemsize * int(np.prod(shape)), shutil.disk_usage(path.parent).free
    try:
        if needed > free:
            raise OSError("disk full")
        out = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        problem = f"{needed >> 20} MiB do not fit {path.parent}, {free >> 20} are free ({error}); give another folder"
        raise SettingError("cache_dir", problem) from error
    return out
