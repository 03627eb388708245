"""Whole runs in separate processes under faults of the machine: a run continues, or stops before training."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factories.commands import bench, settings

from bench.core.record import Record
from bench.verify import CIRCUMSTANCES, TIMES

pytestmark = pytest.mark.slow
TINY = ["hydra.mode=RUN", "corpus.path=text.txt", "budget.words=1000", "evaluation.test_words=500"]


@pytest.fixture
def run(forked) -> Callable[..., subprocess.CompletedProcess]:
    """Function that runs one small cell in a folder, with further environment variables."""
    return lambda folder, *more, **environment: forked(folder, *settings("softmax"), *TINY, *more, **environment)


def records(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*.json") if not path.name.startswith(".")]


@pytest.fixture
def disk(tmp_path):
    """Function that mounts a disk of a given size in MiB and returns its folder."""
    mounted = []

    def mount(size_mib: int, *options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        mount_options = ",".join([f"size={size_mib}M", *options])
        command = ["mount", "-t", "tmpfs", "-o", mount_options, "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("only root may mount a disk")
        mounted.append(folder)
        return folder

    try:
        yield mount
    finally:
        for folder in mounted:
            subprocess.run(["umount", folder], check=True)


def assert_refused(done: subprocess.CompletedProcess, beginning: str) -> None:
    """Assert that a command ended with status 2 and a single line on stderr."""
    assert done.returncode == 2, done.stdout + done.stderr
    [line] = done.stderr.strip().splitlines()
    assert line.startswith(beginning), line


@pytest.mark.parametrize("mode", ["hydra.mode=RUN", "hydra.mode=MULTIRUN"])
def test_read_only_results_folder_is_reported_before_training(run, place, disk, mode):
    folder = disk(100, "ro")
    assert_refused(run(place, f"results_dir={folder}", "logger=none", mode), "results_dir: ")


def test_results_folder_without_free_space_is_reported_before_training(run, place, disk):
    folder = disk(10)
    assert_refused(run(place, f"results_dir={folder}", "logger=none"), f"results_dir: {folder}/smoke has 10 MiB free")
    assert not [path for path in folder.rglob("*") if path.is_file()]


FILLED = """
import os, sys
import bench.run
from bench.cli import main
filler, quality = sys.argv.pop(1), bench.run.quality
def filling(*arguments, **options):
    with open(filler, "wb", 0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return quality(*arguments, **options)
bench.run.quality = filling
sys.argv[0] = "bench"
main()
"""


def test_weights_are_kept_when_disk_is_full_after_training(forked, place, disk):
    folder = disk(80)
    arguments = [*settings("softmax"), *TINY, f"results_dir={folder}", "logger=none"]
    command = [sys.executable, "-c", FILLED, str(folder / "filler"), *arguments]
    full = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=200, check=False)
    assert full.returncode == 2, full.stdout + full.stderr
    *before, line = full.stderr.strip().splitlines()
    # Before the refusal: the sizes of the splits and, beside other work, waits and a slow training.
    assert all(": " in report and not report.startswith(("results_dir", "Traceback")) for report in before), full.stderr
    assert line.startswith("results_dir: ") and "No space left on device" in line, full.stderr
    assert not records(folder)
    (folder / "filler").unlink()
    [weights] = folder.rglob("*.safetensors")
    kept = weights.stat().st_mtime_ns
    again = forked(place, *arguments)
    assert again.returncode == 0, again.stderr
    [path] = records(folder)
    assert Record.read(path).status == "ok" and weights.stat().st_mtime_ns == kept


JUMPING = """
import time
real, calls = time.time, 0
def jumping():
    global calls
    calls += 1
    return real() + (0, -86400, 3e9, -1e9)[calls % 4]
time.time = jumping
"""


def test_figures_do_not_change_when_clock_jumps(forked, place, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])]))
    done = {
        name: start(place, *settings("softmax"), *TINY, f"results_dir={tmp_path}/{name}", "logger=wandb")
        for name, start in {"straight": forked, "jumping": bench}.items()
    }
    figures = []
    for name, process in done.items():
        assert process.returncode == 0, process.stdout + process.stderr
        [record] = records(tmp_path / name)
        figures.append(dataclasses.asdict(Record.read(record)))
    for fields in figures:
        for name in (*TIMES, *CIRCUMSTANCES):
            assert (fields.pop(name) is None) == (name == "encode_seconds")
        for row in fields["curve"]:
            assert 0 < row.pop("seconds") < 100
        fields.pop("peak_mib")  # of the whole process
    assert figures[0] == figures[1]


SECRETS = {
    "WANDB_API_KEY": "0123456789" * 4,
    "HF_TOKEN": "hf_madeUpToken123",
    "AWS_SECRET_ACCESS_KEY": "made/Up+99secret",
}


def test_secrets_of_the_environment_are_written_to_no_file(run, place, tmp_path):
    done = run(place, f"results_dir={tmp_path}/r", "logger=wandb", **SECRETS)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [path for path in (tmp_path / "r").rglob("*") if path.is_file()]
    assert {".wandb", ".json", ".yaml", ".log", ".safetensors"} <= {path.suffix for path in files}
    for path in files:
        content = path.read_bytes()
        assert not [name for name, secret in SECRETS.items() if secret.encode() in content], path
    assert not [name for name, secret in SECRETS.items() if secret in done.stdout + done.stderr]


@pytest.mark.parametrize("mode", ["hydra.mode=RUN", "hydra.mode=MULTIRUN"])
@pytest.mark.parametrize("value", ["${oc.env:WANDB_API_KEY}", SECRETS["WANDB_API_KEY"]])
def test_secret_in_a_setting_is_refused_before_any_file_is_written(run, place, tmp_path, mode, value):
    done = run(place, f"results_dir={tmp_path}/r", "logger=wandb", f"logger.entity={value}", mode, **SECRETS)
    assert_refused(done, "logger.entity: the secret WANDB_API_KEY would appear in records and logs")
    assert SECRETS["WANDB_API_KEY"] not in done.stdout + done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("mode", ["hydra.mode=RUN", "hydra.mode=MULTIRUN"])
def test_experiment_name_outside_results_folder_is_refused(run, place, tmp_path, mode):
    done = run(place, f"results_dir={tmp_path}/a/b", "logger=none", "experiment_name=../../x", mode)
    assert_refused(done, "experiment_name: it names a folder")
    assert not list(tmp_path.iterdir())


def test_experiment_name_outside_results_folder_is_refused_on_an_axis_before_any_job_runs(run, place, tmp_path):
    axes = ("hydra.mode=MULTIRUN", "experiment_name=x,../../y", "batch.streams=0")
    done = run(place, f"results_dir={tmp_path}/a/b", "logger=none", *axes)
    assert_refused(done, "experiment_name: it names a folder")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
