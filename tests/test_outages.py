"""Whole runs in processes of their own, on machines where something is amiss: they go on, or stop before they start."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories.commands import bench, settings

from bench.core.record import Record
from bench.verify import CIRCUMSTANCES, TIMES

pytestmark = pytest.mark.slow
TINY = ["hydra.mode=RUN", "corpus.path=text.txt", "budget.words=1000", "evaluation.test_words=500"]


def run(folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess:
    """One small cell."""
    kept = {name: os.environ.pop(name, None) for name in environment}
    os.environ.update(environment)
    try:
        return bench(folder, *settings("softmax"), *TINY, *more)
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def records(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*.json") if not path.name.startswith(".")]


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk of so many MiB."""
    mounted = []

    def mount(size_mib: int, *options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        how = ",".join([f"size={size_mib}M", *options])
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("only root may mount a disk")
        mounted.append(folder)
        return folder

    try:
        yield mount
    finally:
        for folder in mounted:
            subprocess.run(["umount", folder], check=True)


def refused(done: subprocess.CompletedProcess, beginning: str) -> None:
    """One line, before any training."""
    assert done.returncode == 2, done.stdout + done.stderr
    [line] = done.stderr.strip().splitlines()
    assert line.startswith(beginning), line


@pytest.mark.parametrize("mode", ["hydra.mode=RUN", "hydra.mode=MULTIRUN"])
def test_a_results_folder_that_is_read_only_is_named_before_training(place, disk, mode):
    folder = disk(100, "ro")
    refused(run(place, f"results_dir={folder}", "logger=none", mode), "results_dir: ")


def test_a_results_folder_without_room_is_named_before_training(place, disk):
    folder = disk(10)
    refused(run(place, f"results_dir={folder}", "logger=none"), f"results_dir: {folder}/smoke has 10 MiB free")
    assert not [path for path in folder.rglob("*") if path.is_file()]


FILLED = """
import os, sys
import bench.run
from bench.cli import main
filler, quality = sys.argv.pop(1), bench.run.quality
def filling(*given, **more):
    with open(filler, "wb", 0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return quality(*given, **more)
bench.run.quality = filling
sys.argv[0] = "bench"
main()
"""


def test_a_disk_that_is_full_when_training_has_ended_costs_no_training(place, disk):
    folder = disk(80)
    arguments = [*settings("softmax"), *TINY, f"results_dir={folder}", "logger=none"]
    command = [sys.executable, "-c", FILLED, str(folder / "filler"), *arguments]
    full = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=200, check=False)
    refused(full, "results_dir: ")
    assert "No space left on device" in full.stderr and not records(folder)
    (folder / "filler").unlink()
    [weights] = folder.rglob("*.safetensors")
    kept = weights.stat().st_mtime_ns
    again = bench(place, *arguments)
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


def test_a_clock_that_jumps_changes_no_figure(place, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    found = []
    for name, more in (("straight", {}), ("jumping", {"PYTHONPATH": path})):
        done = run(place, f"results_dir={tmp_path}/{name}", "logger=wandb", **more)
        assert done.returncode == 0, done.stdout + done.stderr
        [record] = records(tmp_path / name)
        found.append(dataclasses.asdict(Record.read(record)))
    for fields in found:
        for name in (*TIMES, *CIRCUMSTANCES):
            assert (fields.pop(name) is None) == (name == "encode_seconds")
        for row in fields["curve"]:
            assert 0 < row.pop("seconds") < 100
        fields.pop("peak_mib")  # of the whole process
    assert found[0] == found[1]


SECRETS = {
    "WANDB_API_KEY": "0123456789" * 4,
    "HF_TOKEN": "hf_madeUpToken123",
    "AWS_SECRET_ACCESS_KEY": "made/Up+99secret",
}


def test_no_secret_of_the_environment_is_written_anywhere(place, tmp_path):
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
def test_a_secret_in_a_setting_is_refused_before_anything_is_written(place, tmp_path, mode, value):
    done = run(place, f"results_dir={tmp_path}/r", "logger=wandb", f"logger.entity={value}", mode, **SECRETS)
    refused(done, "logger.entity: it would write the value of WANDB_API_KEY")
    assert SECRETS["WANDB_API_KEY"] not in done.stdout + done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("mode", ["hydra.mode=RUN", "hydra.mode=MULTIRUN"])
def test_an_experiment_cannot_leave_the_results_folder(place, tmp_path, mode):
    done = run(place, f"results_dir={tmp_path}/a/b", "logger=none", "experiment_name=../../x", mode)
    refused(done, "experiment_name: it names a folder")
    assert not list(tmp_path.iterdir())
