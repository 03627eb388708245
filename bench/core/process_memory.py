"""Memory of this process: what the C library keeps after tensors are freed, and the limit of all allocations."""

import ctypes
import os
from collections.abc import Iterator

from bench.core.cpu_threads import control_groups

# Bytes of free memory that stay with the process, and size up to which an allocation can reuse it. By default glibc
# returns freed tensors above 32 MiB to the kernel, and each page of the next such tensor costs a fault: in a training
# step of a GPT-2 that held the logits of 16,384 pieces, a quarter of the time.
KEPT_BYTES = 256 << 20

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # parameters of glibc's mallopt

USER_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next allocation, unless the user chose its thresholds.

    No effect with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or any(each in os.environ for each in USER_SETTINGS):
        return
    if not mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):  # versions that allow at most 32 MiB
        mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def limit_memory() -> None:
    """Make an allocation beyond the available memory fail, before the kernel kills the process.

    So one cell ends as `oom` and the sweep continues. A lower limit that exists is kept.
    """
    try:
        import resource
    except ImportError:  # not a Unix
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [each for each in (available(), soft, hard) if each != resource.RLIM_INFINITY]
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
