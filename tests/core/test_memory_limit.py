"""What asks for more memory than there is ends as `oom`, and takes nothing else with it."""

import subprocess
import sys

import pytest

from bench.core import cpu_threads, process_memory

ASK = """
import resource
from bench.core import process_memory
from bench.core.errors import status_of
import numpy, torch
process_memory.available = lambda: 3 << 30
process_memory.limit_memory()
for ask in (lambda: torch.zeros(10**9), lambda: numpy.ones(10**9), lambda: bytearray(4 * 10**9)):
    try:
        ask()
    except Exception as error:
        print(status_of(error))
print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
"""
LOWER = """
import resource
from bench.core import process_memory
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, resource.RLIM_INFINITY))
process_memory.available = lambda: 3 << 30
process_memory.limit_memory()
print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
"""


def printed(script: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_too_large_an_allocation_is_oom_and_the_process_survives():
    assert printed(ASK) == ["oom", "oom", "oom", "3072"]


def test_lower_limit_is_kept():
    assert printed(LOWER) == ["2048"]


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/slurm/job_7/step_0\n", {"slurm/job_7/memory.max": "5000\n", "slurm/job_7/step_0/memory.max": "max\n"}),
        ("4:memory:/a/b\n3:cpuset:/\n0::/\n", {"memory/a/memory.limit_in_bytes": "5000\n"}),
    ],
)
def test_limits_of_both_versions_of_control_groups_are_found(monkeypatch, tmp_path, own, files):
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(cpu_threads, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(cpu_threads, "OWN", tmp_path / "own")
    assert list(process_memory.group_limits()) == [5000]
    assert process_memory.available() == 5000


def test_limit_without_control_groups_is_the_machine_s_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu_threads, "OWN", tmp_path / "none")
    assert 1 << 28 < process_memory.available() < 1 << 50
