"""Sweeps on a real Slurm cluster: one job per cell, cancelled jobs, jobs at their time limit."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories.commands import bench, settings

from bench.core.record import read_records

LAUNCHER = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2", "logger=none"]


def slurm_is_available() -> bool:
    """Return True if a cluster would accept a job now."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return False
    nodes = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=60)
    return nodes.returncode == 0 and any(state in nodes.stdout for state in ("idle", "mixed", "alloc"))


pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not slurm_is_available(), reason="no Slurm: sbatch and sinfo are missing or do not answer"),
]


def test_sweep_runs_each_cell_as_a_job(place, tmp_path):
    run = bench(
        tmp_path, *settings("softmax", "mse", "unigram"), f"corpus.path={place}/text.txt", "seed=0,1", *LAUNCHER
    )
    assert run.returncode == 0, run.stdout + run.stderr
    folder = tmp_path / "results" / "smoke"
    records = [record for _, record in read_records([folder])]
    assert sorted((record.system, record.seed) for record in records) == [
        (system, seed) for system in ("mse", "softmax", "unigram") for seed in (0, 1)
    ]
    assert {record.status for record in records} == {"ok"}
    last_lines = [path.read_text().splitlines()[-1] for path in folder.glob("hydra/*/slurm/*/*_log.err")]
    assert sorted(line.split()[0] for line in last_lines) == [f"[{number}/6]" for number in range(1, 7)]
    assert {record.device.split(", ")[-1] for record in records} == {"1 threads"}
    assert "softmax" in (folder / "leaderboard.md").read_text()


def test_sweep_reports_refusal_by_sbatch_without_traceback(place, tmp_path):
    run = bench(
        tmp_path,
        *settings("unigram", "softmax"),
        f"corpus.path={place}/text.txt",
        *LAUNCHER,
        "hydra.launcher.partition=no",
    )
    assert run.returncode == 2
    *sbatch, line = run.stderr.splitlines()
    assert sbatch and all(message.startswith("sbatch: error: ") for message in sbatch)
    assert line.startswith("hydra.launcher: Slurm refuses this job; ")
    assert not list(tmp_path.rglob("*.json"))


@contextmanager
def running_sweep(folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """Start a sweep, yield its process while it waits for its jobs, and kill the process at the end."""
    command = [sys.executable, "-m", "bench", *arguments, *LAUNCHER]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # a failed test must not wait for its sweep


def wait_for_file(folder: Path, pattern: str) -> Path:
    """Wait until a file matches the pattern; return the first match.

    Raises:
        TimeoutError: no file within two minutes.
    """
    for _ in range(1200):
        for path in folder.glob(f"results/smoke/{pattern}"):
            return path
        time.sleep(0.1)
    raise TimeoutError(f"no {pattern} in {folder}")


def test_cancelled_job_loses_only_its_own_cell(place, tmp_path):
    """The launcher waits for the other job, reports, and ends with status 1, all within its poll interval."""
    arguments = [*settings("unigram", "softmax"), "budget.words=100000000", f"corpus.path={place}/text.txt"]
    with running_sweep(tmp_path, *arguments) as sweep:
        record = wait_for_file(tmp_path, "unigram*.json")
        job = wait_for_file(tmp_path, "hydra/*/slurm/*_1").name
        subprocess.run(["scancel", job], check=True)
        begin = time.monotonic()
        out, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 1, out
    assert time.monotonic() - begin < 90
    assert f"job {job} " in out and "ended without a result: " in out
    assert [path for path, _ in read_records([tmp_path / "results" / "smoke"])] == [record]
    assert "unigram" in (tmp_path / "results" / "smoke" / "leaderboard.md").read_text()


@pytest.mark.slow
def test_job_at_time_limit_is_requeued_and_gives_identical_figures(place, tmp_path):
    """Slurm sends a signal shortly before the time limit; the test sends the signal itself, to save time."""
    arguments = [*settings("softmax"), "budget.words=40000", "checkpoint.seconds=0"]
    with running_sweep(tmp_path, *arguments, f"corpus.path={place}/text.txt", "hydra.launcher.timeout_min=10") as sweep:
        checkpoint = wait_for_file(tmp_path, "weights/*.ckpt")
        job = wait_for_file(tmp_path, "hydra/*/slurm/*/*_submitted.pkl").parent.name
        subprocess.run(["scancel", "--signal=USR2", job], check=True)
        while state(job, "Reason") != "BeginTime":  # requeued
            assert sweep.poll() is None
            time.sleep(0.1)
        assert checkpoint.is_file() and not list(tmp_path.glob("results/smoke/softmax*.json"))
        # Without a start time Slurm waits two minutes. It refuses a start within the second of the requeue, since the
        # node has just revoked the job's credential.
        subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+5"], check=True)
        out, _ = sweep.communicate(timeout=400)
    assert sweep.returncode == 0, out
    assert state(job, "Restarts") == "1"
    assert not checkpoint.exists()
    again = bench(tmp_path, str(wait_for_file(tmp_path, "softmax*.json")), module="bench.verify")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "all figures agree"), again.stdout + again.stderr


def state(job: str, field: str) -> str:
    """Return a field of `scontrol show job`."""
    shown = subprocess.run(["scontrol", "--oneliner", "show", "job", job], capture_output=True, text=True, check=True)
    return dict(item.split("=", 1) for item in shown.stdout.split() if "=" in item)[field]
