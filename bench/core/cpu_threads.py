"""Threads of OpenMP (torch's matrix products): how many this process may use, and how long an idle thread spins.

`limit_spinning` must run before torch is imported; `bench/__init__.py` calls it, so this module imports no library.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Iterations that an idle thread of libgomp spins before it sleeps; its default is 300,000, about 3 ms. Beside other
# work a spinning thread takes the processor from the thread that it waits for. Figures: docs/reliability.md.
SPIN_COUNT = 2_000

USER_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # either one chooses the number of threads

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

TOPOLOGY = Path("/sys/devices/system/cpu")


def limit_spinning() -> None:
    """Set GOMP_SPINCOUNT for this process and its children, unless the user chose a policy or torch is imported."""
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))


def limit_threads() -> None:
    """Give torch at most one thread per processor core that this process may use, unless the user chose a number."""
    import torch

    if not user_chose_threads():
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def user_chose_threads() -> bool:
    """True if the environment gives a number of threads per process."""
    return any(each in os.environ for each in USER_SETTINGS)


def usable_cores() -> int:
    """Return the least of physical cores under the affinity mask, control-group quotas and Slurm's CPUs per task."""
    limits = [affinity_cores(), *group_quotas()]
    if (of_task := os.environ.get("SLURM_CPUS_PER_TASK", "")).isdigit():
        limits.append(int(of_task))
    return max(1, min(limits))


def affinity_cores() -> int:
    """Count physical cores that the affinity mask allows; hardware threads of one core count once."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        cores.add(siblings.read_text() if siblings.is_file() else cpu)
    return len(cores)


def group_quotas() -> Iterator[int]:
    """Yield the CPU quotas of this process's control groups, in whole processors."""
    for folder, version in control_groups("cpu"):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if version == 1 else ("cpu.max",)
        files = [folder / name for name in names]
        if not all(file.is_file() for file in files):
            continue
        quota, period = " ".join(file.read_text() for file in files).split()
        if quota.isdigit():  # "max" and -1 mean no limit
            yield max(1, int(quota) // int(period))


def control_groups(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield folder and version (1 or 2) of the control groups of this process that a controller limits, up to the root.

    Args:
        controller: `cpu` or `memory`.
    """
    for line in OWN.read_text().splitlines() if OWN.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            yield folder, 1 if controllers else 2
