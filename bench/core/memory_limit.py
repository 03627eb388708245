"""Limit this process to the machine's memory: an allocation beyond the limit fails, before the kernel kills."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


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
    """Yield the memory limits of this process's control groups (v1 and v2) up to the root, bytes."""
    for line in OWN.read_text().splitlines() if OWN.is_file() else []:
        _, controllers, path = line.split(":", 2)
        root, name = (CGROUPS, "memory.max") if not controllers else (CGROUPS / "memory", "memory.limit_in_bytes")
        if controllers and "memory" not in controllers.split(","):
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            file = folder / name
            if file.is_file() and (text := file.read_text().strip()).isdigit():
                yield int(text)
