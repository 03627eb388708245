"""Arrays in files whose disk space is reserved before anything is written."""

import os
import shutil
from pathlib import Path

import numpy as np

from bench.core.errors import SettingError


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
