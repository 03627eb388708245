"""Limit this process to the machine's memory, so that an allocation fails before the kernel kills the process."""

import os
from collections.abc import Iterator

from bench.core.cpu_threads import control_groups


def limit_memory(limit: int | None = None) -> None:
    """Make an allocation beyond the limit fail, so that one cell ends as `oom` and the sweep continues.

    Args:
        limit: bytes; None for the memory available to this process. A lower limit that exists is kept.
    """
    try:
        import resource
    except ImportError:  # not a Unix
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [each for each in (available() if limit is None else limit, soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))


def available() -> int:
    """Return the smallest of the machine's memory and the limits of this process's control groups, bytes."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *group_limits()])


def group_limits() -> Iterator[int]:
    """Yield the memory limits of this process's control groups, bytes."""
    for folder, version in control_groups("memory"):
        file = folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")
        if file.is_file() and (text := file.read_text().strip()).isdigit():
            yield int(text)
