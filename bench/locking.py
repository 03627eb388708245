"""One process at a time, where several start at once and need the same thing made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console


@contextmanager
def alone(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a file that is about to be made; who has to wait says for what.

    The operating system frees the lock of a process that dies.

    Args:
        path: the file; its lock lies beside it.
        doing: "encoding wiki_sample, train", as in "another process is encoding wiki_sample, train".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        Console(stderr=True).print(f"another process is {doing}; waiting for it", markup=False, highlight=False)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
