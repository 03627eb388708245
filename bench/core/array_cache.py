"""Arrays that processes share on disk: made once, checked before use, mapped so that memory holds one copy.

A file's name is the hash of all that its content follows from. Beside it a `.json` says so in the open, with a checksum
of the file: xxh3, as fast as memory, for accidents; who can write the array can write the checksum too.
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

STALLED_SECONDS = 600.0  # without a sign of life from the process that makes an array, those that wait give up

BLOCK = 1 << 24  # bytes

log = logging.getLogger(__name__)

CHECKED: set[tuple[str, int, int, int]] = set()  # files whose checksum this process has compared


@dataclass(frozen=True, eq=False)
class CachedArray:
    """An array, and what making it took, be it now or when the cache was filled."""

    array: np.memmap  # read-only
    seconds: float


def cached_array(
    folder: Path,
    settings: dict[str, Any],
    *,
    shape: tuple[int, ...],
    what: str,
    fill: Callable[[np.memmap], Iterator[object]],
) -> CachedArray:
    """The float16 array that `settings` describe, from the cache or into it: processes that start at once make it once.

    Args:
        what: the work in a few words, for those that wait.
        fill: writes the array; yields now and then, as a sign of life.

    Raises:
        SettingError: it does not fit the disk, the folder cannot be used, or the process that makes it has stalled.
    """
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    path = folder / f"{key}.npy"
    found = checked(path, shape)
    if found is None:
        with exclusive(path, what, setting="cache_dir", stalled_seconds=STALLED_SECONDS) as alive:
            found = checked(path, shape)  # another process may have made it meanwhile
            if found is None:
                if path.exists():
                    log.warning("%s is damaged; %s again", path, what)
                make(path, settings, shape, fill, alive)
                found = checked(path, shape)
    return found


def checked(path: Path, shape: tuple[int, ...]) -> CachedArray | None:
    """The array of an earlier run; None where there is none of this shape whose every byte is as it was written."""
    try:
        beside = json.loads(path.with_suffix(".json").read_text())
        stat = path.stat()
        stamp = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)
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
    """Of a whole file, header included."""
    found = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def make(
    path: Path,
    settings: dict[str, Any],
    shape: tuple[int, ...],
    fill: Callable[[np.memmap], Iterator[object]],
    alive: Callable[[], None],
) -> None:
    """Into a temporary file that takes its place when whole: a process killed here leaves nothing to be trusted."""
    begin, temporary = time.perf_counter(), path.with_suffix(".tmp")
    try:
        out = reserved(temporary, shape)
        for _ in fill(out):
            alive()
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


def reserved(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """An array whose place on the disk is taken: a mapped file that outgrows its disk would kill the process.

    Raises:
        SettingError: the disk has no room for it.
    """
    needed, free = 2 * int(np.prod(shape)), shutil.disk_usage(path.parent).free
    try:
        if needed > free:
            raise OSError("disk full")
        out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        problem = f"{needed >> 20} MiB do not fit {path.parent}, {free >> 20} are free ({error}); give another folder"
        raise SettingError("cache_dir", problem) from error
    return out
