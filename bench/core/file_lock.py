"""One process at a time, where several start at once and need the same thing made."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from bench.core.errors import SettingError

POLL_SECONDS = 2.0


@contextmanager
def exclusive(
    path: Path, doing: str, *, setting: str = "results_dir", stalled_seconds: float | None = None
) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file that is about to be made; who has to wait says for what.

    The operating system frees the lock of a process that dies.

    Args:
        path: the file; its lock lies beside it.
        doing: "encoding wiki_sample, train", as in "another process is encoding wiki_sample, train".
        setting: names the folder, should it not do.
        stalled_seconds: without a sign of life from the holder, after which the others give up; None: never.

    Yields:
        What to call as a sign of life.

    Raises:
        SettingError: no lock can be had there, or its holder has stalled.
    """
    marker = path.with_suffix(".lock")
    lock = FileLock(marker)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            said = f"another process is {doing}; waiting for it"
            Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
            wait(lock, marker, doing, setting, stalled_seconds)
    except (OSError, NotImplementedError) as error:
        raise SettingError(setting, f"no file can be locked in {path.parent} ({error}); give another folder") from error
    try:
        yield lambda: os.utime(marker)
    finally:
        lock.release()


def wait(lock: FileLock, marker: Path, doing: str, setting: str, stalled_seconds: float | None) -> None:
    """Until the lock is free. Signs of life are compared with one another, never with a clock that may jump."""
    seen, since = marker.stat().st_mtime_ns, time.monotonic()
    while True:
        with suppress(Timeout):
            lock.acquire(timeout=POLL_SECONDS)
            return
        if (latest := marker.stat().st_mtime_ns) != seen:
            seen, since = latest, time.monotonic()
        elif stalled_seconds is not None and time.monotonic() - since > stalled_seconds:
            problem = f"the process that is {doing} has shown no sign of life for {stalled_seconds:g} s"
            raise SettingError(setting, f"{problem}; end it (its lock is {marker}) and run this again")
