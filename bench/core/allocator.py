"""Memory that the C library keeps after tensors are freed."""

import ctypes
import os

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
