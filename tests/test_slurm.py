"""Sweeps through a real Slurm: each cell a job, jobs that die, jobs whose time is up."""

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

THROUGH = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2", "logger=none"]


def answering() -> bool:
    """Whether there is a cluster that would take a job now."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return False
    told = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=60)
    return told.returncode == 0 and any(state in told.stdout for state in ("idle", "mixed", "alloc"))


pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not answering(), reason="no Slurm: sbatch and sinfo are missing or do not answer"),
]


def test_a_sweep_of_six_cells(place, tmp_path):
    run = bench(tmp_path, *settings("softmax", "mse", "unigram"), f"corpus.path={place}/text.txt", "seed=0,1", *THROUGH)
    assert run.returncode == 0, run.stdout + run.stderr
    folder = tmp_path / "results" / "smoke"
    records = [record for _, record in read_records([folder])]
    assert sorted((record.system, record.seed) for record in records) == [
        (system, seed) for system in ("mse", "softmax", "unigram") for seed in (0, 1)
    ]
    assert {record.status for record in records} == {"ok"}
    said = [path.read_text().splitlines()[-1] for path in folder.glob("hydra/*/slurm/*/*_log.err")]
    assert sorted(line.split()[0] for line in said) == [f"[{number}/6]" for number in range(1, 7)]
    assert {record.device.split(", ")[-1] for record in records} == {"1 threads"}
    assert "softmax" in (folder / "leaderboard.md").read_text()


def test_what_sbatch_refuses_is_said_without_a_traceback(place, tmp_path):
    run = bench(
        tmp_path,
        *settings("unigram", "softmax"),
        f"corpus.path={place}/text.txt",
        *THROUGH,
        "hydra.launcher.partition=no",
    )
    assert run.returncode == 2
    *sbatch, line = run.stderr.splitlines()
    assert sbatch and all(each.startswith("sbatch: error: ") for each in sbatch)
    assert line.startswith("hydra.launcher: Slurm takes no such job; ")
    assert not list(tmp_path.rglob("*.json"))


@contextmanager
def sweeping(folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """A sweep of two cells while it waits for its jobs."""
    command = [sys.executable, "-m", "bench", *arguments, *THROUGH]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # a test that fails must not wait for its sweep


def first(folder: Path, pattern: str) -> Path:
    """The first file of this name, as soon as there is one."""
    for _ in range(1200):
        for found in folder.glob(f"results/smoke/{pattern}"):
            return found
        time.sleep(0.1)
    raise TimeoutError(f"no {pattern} in {folder}")


def test_a_job_that_is_cancelled_costs_its_own_cell(place, tmp_path):
    """The launcher waits for the other, reports, and ends with 1, within POLL_SECONDS and what submitit waits."""
    arguments = [*settings("unigram", "softmax"), "budget.words=100000000", f"corpus.path={place}/text.txt"]
    with sweeping(tmp_path, *arguments) as sweep:
        record = first(tmp_path, "unigram*.json")
        job = first(tmp_path, "hydra/*/slurm/*_1").name
        subprocess.run(["scancel", job], check=True)
        begin = time.monotonic()
        out, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 1, out
    assert time.monotonic() - begin < 90
    assert f"job {job} " in out and "ended without a result: " in out
    assert [path for path, _ in read_records([tmp_path / "results" / "smoke"])] == [record]
    assert "unigram" in (tmp_path / "results" / "smoke" / "leaderboard.md").read_text()


@pytest.mark.slow
def test_a_job_whose_time_is_up_goes_on_to_the_same_figures(place, tmp_path):
    """Slurm signals shortly before the end of the time; we do not wait for that, and send the signal ourselves."""
    arguments = [*settings("softmax"), "budget.words=40000", "checkpoint.seconds=0"]
    with sweeping(tmp_path, *arguments, f"corpus.path={place}/text.txt", "hydra.launcher.timeout_min=10") as sweep:
        checkpoint = first(tmp_path, "weights/*.ckpt")
        job = first(tmp_path, "hydra/*/slurm/*/*_submitted.pkl").parent.name
        subprocess.run(["scancel", "--signal=USR2", job], check=True)
        while state(job, "Reason") != "BeginTime":  # back in the queue
            assert sweep.poll() is None
            time.sleep(0.1)
        assert checkpoint.is_file() and not list(tmp_path.glob("results/smoke/softmax*.json"))
        subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)  # else in two minutes
        out, _ = sweep.communicate(timeout=400)
    assert sweep.returncode == 0, out
    assert state(job, "Restarts") == "1"
    assert not checkpoint.exists()
    again = bench(tmp_path, str(first(tmp_path, "softmax*.json")), module="bench.verify")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "all figures agree"), again.stdout + again.stderr


def state(job: str, field: str) -> str:
    """What Slurm says of a job."""
    told = subprocess.run(["scontrol", "--oneliner", "show", "job", job], capture_output=True, text=True, check=True)
    return dict(each.split("=", 1) for each in told.stdout.split() if "=" in each)[field]
