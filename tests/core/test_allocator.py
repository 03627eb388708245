"""Freed tensors are reused without page faults, unless the user chose the C library's thresholds."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, torch
from bench.core.process_memory import keep_freed_memory
keep_freed_memory()
torch.set_num_threads(1)
for nth in range(20):
    if nth == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12 << 20), torch.ones(10 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""  # 48 and 40 MiB: at least 44 huge pages of 2 MiB per round


def faults(**environment: str) -> int:
    """Count the page faults of the last ten rounds in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are those of glibc")
def test_memory_of_freed_tensors_is_reused():
    assert faults() < 50


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are those of glibc")
def test_thresholds_of_the_user_are_kept():
    assert faults(MALLOC_MMAP_THRESHOLD_="1000000") > 10 * 40  # 225,300 with pages of 4 KiB
