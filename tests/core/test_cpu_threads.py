"""OpenMP's settings are made before torch is imported, and give way to the user's."""

import os
import subprocess
import sys

import pytest

from bench.core import cpu_threads

SCRIPT = "import os, sys; {}; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


def spin_count(imports: str, **environment: str) -> list[str]:
    """GOMP_SPINCOUNT of a process after its imports, and whether torch was imported."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GOMP", "OMP"))}
    command = [sys.executable, "-c", SCRIPT.format(imports)]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("imports", "environment", "expected"),
    [
        ("import bench", {}, [str(cpu_threads.SPIN_COUNT), "False"]),
        ("import bench", {"GOMP_SPINCOUNT": "7"}, ["7", "False"]),
        ("import bench", {"OMP_WAIT_POLICY": "ACTIVE"}, ["None", "False"]),
        ("sys.modules['torch'] = None; import bench", {}, ["None", "True"]),
    ],
)
def test_spin_count_is_set_before_torch_unless_the_user_set_it(imports, environment, expected):
    assert spin_count(imports, **environment) == expected


@pytest.mark.parametrize(
    ("quota", "slurm", "expected"),
    [
        ("max 100000", "", 4),
        ("250000 100000", "", 2),
        ("max 100000", "3", 3),
        ("1 9", "", 1),
    ],
)
def test_cores_follow_quota_and_slurm(tmp_path, monkeypatch, quota, slurm, expected):
    (tmp_path / "own").write_text("0::/job\n")
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "cpu.max").write_text(quota)
    monkeypatch.setattr(cpu_threads, "OWN", tmp_path / "own")
    monkeypatch.setattr(cpu_threads, "CGROUPS", tmp_path)
    monkeypatch.setattr(cpu_threads, "TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", slurm)
    assert cpu_threads.usable_cores() == expected


def test_hardware_threads_of_one_core_count_once(tmp_path, monkeypatch):
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    monkeypatch.setattr(cpu_threads, "TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert cpu_threads.affinity_cores() == 2
