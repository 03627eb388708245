"""Lock a file, so that one of several processes creates the file and the others wait."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from bench.core.errors import SettingError

POLL_SECONDS = 2.0  # interval at which a waiting process tries again


@contextmanager
def exclusive(
    path: Path, doing: str, *, setting: str = "results_dir", stalled_seconds: float | None = None
) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file while creating the file; a process that has to wait prints a line.

    The operating system frees the lock of a process that dies.

    Args:
        path: the file; the lock is a file beside it.
        doing: "encoding wiki_sample, train", as in "another process is encoding wiki_sample, train".
        setting: key of the folder, for errors.
        stalled_seconds: time without a heartbeat of the holder after which waiting processes give up; None if they
            wait without end.

    Yields:
        A function to call as a heartbeat.

    Raises:
        SettingError: the folder does not support locks, or the holder has stalled.
    """
    marker = path.with_suffix(".lock")
    lock = FileLock(marker, fallback_to_soft=False)  # a marker file would outlive a process that is killed
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            line = f"another process is {doing}; waiting for it"
            Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
            wait(lock, marker, doing, setting, stalled_seconds)
    except (OSError, NotImplementedError) as error:
        raise SettingError(setting, f"no file can be locked in {path.parent} ({error}); give another folder") from error
    try:
        yield lambda: os.utime(marker)
    finally:
        lock.release()


def wait(lock: FileLock, marker: Path, doing: str, setting: str, stalled_seconds: float | None) -> None:
    """Wait until the lock is free. Times of heartbeats are compared with each other, as a clock may jump."""
    seen, since = marker.stat().st_mtime_ns, time.monotonic()
    while True:
        with suppress(Timeout):
            lock.acquire(timeout=POLL_SECONDS)
            return
        if (latest := marker.stat().st_mtime_ns) != seen:
            seen, since = latest, time.monotonic()
        elif stalled_seconds is not None and time.monotonic() - since > stalled_seconds:
            problem = f"the process that is {doing} has sent no heartbeat for {stalled_seconds:g} s"
            raise SettingError(setting, f"{problem}; end it (its lock is {marker}) and run this again")
