"""A launcher without its plugin is one line; the presets compose; local parallelism shares out the cores."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from factories.commands import bench, settings
from factories.configurations import composed_with_hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from joblib import cpu_count
from submitit.slurm import slurm

from bench.core import command_line
from bench.core.command_line import PLUGINS, check_launcher
from bench.core.errors import SettingError
from bench.core.provenance import cells_at_once
from bench.slurm import CellSlurmJob, SlurmCallback, SqueueWatcher


def launcher(*overrides: str) -> dict:
    return composed_with_hydra(*overrides).hydra


@pytest.mark.parametrize("name", PLUGINS)
def test_missing_plugin_is_one_line_with_the_remedy(name, monkeypatch):
    monkeypatch.setitem(command_line.PLUGINS, name, ("no-such-package", PLUGINS[name][1]))
    with pytest.raises(SettingError) as raised:
        check_launcher([f"hydra/launcher={name}"])
    line = str(raised.value)
    assert line.startswith("hydra/launcher: ") and "\n" not in line
    assert line.endswith(f"pip install 'head-bench[{PLUGINS[name][1]}]'")


def test_single_cell_is_not_run_where_slurm_was_asked_for(capsys):
    with pytest.raises(SystemExit) as ended:
        SlurmCallback().on_run_start(None)
    assert ended.value.code == 2
    line = "hydra/launcher: slurm submits sweeps, and this is a single cell; add -m"
    assert capsys.readouterr().err.splitlines() == [line]


def test_sweep_through_slurm_without_sbatch_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        SlurmCallback().on_multirun_start(None)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("hydra/launcher: there is no sbatch on this machine; ")


def test_job_has_ended_when_squeue_says_so_or_twice_does_not_list_it(monkeypatch):
    queue = SqueueWatcher(delay_s=30)
    told = "CLUSTER: gpu\n7_0|RUNNING\n7_1|CONFIGURING\n7_2|CANCELLED\n7_3|SUSPENDED\n8|TIMEOUT\n9|PENDING\n"
    monkeypatch.setattr(subprocess, "check_output", lambda command, shell: told.encode())
    jobs = ["7_0", "7_1", "7_2", "7_3", "7_4", "8"]
    for job in jobs:
        queue.register_job(job)
    assert [job for job in jobs if queue.is_done(job)] == ["7_2", "8"]
    queue.update()
    assert [job for job in jobs if queue.is_done(job)] == ["7_2", "7_4", "8"]
    assert queue.get_state("7_4", mode="cache") == "FORGOTTEN"
    for told in ("", "7_0|RUNNING\n7_1|RUNNING\n7_3|RUNNING\n"):  # one empty answer, and then the jobs again
        monkeypatch.setattr(subprocess, "check_output", lambda command, shell, told=told: told.encode())
        queue.update()
        assert not queue.is_done("7_0", mode="cache")
    unanswered = SqueueWatcher(delay_s=30)
    monkeypatch.setattr(subprocess, "check_output", lambda command, shell: 1 / 0)  # no answer says nothing
    assert not unanswered.is_done("7_4")


def test_exception_that_a_job_returns_fails_its_own_cell_alone(monkeypatch, capsys, tmp_path):
    """The sweeper would raise it, and there would be no report of the others."""
    broken = JobReturn(_return_value=ImportError("no such name"), status=JobStatus.FAILED)
    monkeypatch.setattr(slurm.SlurmJob, "results", lambda self: [broken])
    monkeypatch.setattr(CellSlurmJob, "submission", lambda self: SimpleNamespace(args=(["system=mse"], 0)))
    [returned] = CellSlurmJob(tmp_path, "7_1").results()
    assert returned.return_value is None
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("job 7_1 (system=mse) failed: ImportError('no such name'); see ")


def test_interrupted_sweep_says_that_its_jobs_continue_and_how_to_cancel_them(monkeypatch, capsys, tmp_path):
    def interrupted(self: slurm.SlurmJob) -> list[JobReturn]:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm.SlurmJob, "results", interrupted)
    for job in ("7_1", "7"):  # of an array; of a sweep of one cell
        with pytest.raises(KeyboardInterrupt):
            CellSlurmJob(tmp_path, job).results()
        [line] = capsys.readouterr().err.splitlines()
        assert line == (
            "the Slurm jobs of this sweep continue: cancel them by `scancel 7`, or type the same command for the "
            "report when `squeue --jobs=7` lists none"
        )


def test_launcher_without_plugin_passes():
    check_launcher(["hydra/launcher=basic", "hydra.launcher.n_jobs=2", "system=softmax"])


def test_slurm_preset_takes_plain_keys_and_resumes_after_a_timeout():
    hydra = launcher("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=1")
    assert hydra.launcher._target_.endswith("submitit_launcher.SlurmLauncher")
    assert (hydra.launcher.partition, hydra.launcher.gpus_per_node) == ("gpu", 1)
    assert hydra.launcher.max_num_timeout > 0 and hydra.launcher.signal_delay_s < 60 * hydra.launcher.timeout_min
    assert set(hydra.callbacks) == {"slurm", "sweep"}


@pytest.mark.slow
def test_joblib_divides_the_cores_between_cells_and_prints_tables_and_the_time_left(place, monkeypatch, tmp_path):
    """Each cell takes half the cores, a table follows each V, and each cell but the last ends with the time left."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    text, parallel = f"corpus.path={place}/text.txt", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    run = bench(tmp_path, *settings("unigram", "softmax"), "vocabulary.size=200,300", text, "logger=none", *parallel)
    assert run.returncode == 0, run.stdout + run.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "smoke").glob("*.json")]
    assert sorted(record["system"] for record in records) == ["softmax", "softmax", "unigram", "unigram"]
    assert {record["device"].split(", ")[-1] for record in records} == {f"{max(1, cpu_count() // 2)} threads"}
    assert {record["cells_at_once"] for record in records} == {2}
    ends = {line.split()[0]: line for line in run.stderr.splitlines() if " bits per byte" in line}
    assert sorted(ends) == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert [" left" in ends[each] for each in sorted(ends)] == [True, True, True, False]
    assert [run.stdout.count(f"text, V = {size}") for size in (200, 300)] == [2, 1]


@pytest.mark.parametrize(
    ("overrides", "job", "expected"),
    [
        ([], "", 1),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"], "", 3),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=-1"], "", 4),
        (["hydra/launcher=slurm"], "17", None),
        (["hydra/launcher=submitit_local"], "", None),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"], "17", 3),
        ([], "17", None),
    ],
    ids=[
        "one at a time",
        "a number of processes",
        "all cores",
        "a cluster's choice",
        "all at once",
        "processes in a job",
        "in a job",
    ],
)
def test_record_says_how_many_cells_share_the_machine(overrides, job, expected, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    if job:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    else:
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    hydra = launcher("+experiment=smoke", *overrides)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    assert cells_at_once() == expected
