"""Processes that start at once, die in the middle or run out of disk: what a shared array says then."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from bench.core import array_cache, file_lock
from bench.core.array_cache import cached_array, checked, checksum, make
from bench.core.errors import SettingError

WORKER = """
import logging, os, sys, time
from pathlib import Path
from bench.core.array_cache import cached_array
logging.basicConfig(format="%(message)s")
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
def fill(out):
    with (folder / "made").open("a") as made:
        made.write(f"{os.getpid()}\\n")
    for i in range(len(out)):
        out[i] = i
        print("row", i, flush=True)
        time.sleep(pause)
        yield
while not (folder / "go").exists():
    time.sleep(0.01)
found = cached_array(folder / "arrays", {"name": 1}, shape=(20, 3), what="counting", fill=fill)
print(found.array.filename, found.array.mode, found.array.sum(dtype=int), os.stat(found.array.filename).st_ino)
"""
SUM = 3 * sum(range(20))


def worker(folder: Path, pause: float = 0.05) -> subprocess.Popen:
    command = [sys.executable, "-c", WORKER, str(folder), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count(out: np.memmap):
    """Fills as a worker does."""
    for i in range(len(out)):
        out[i] = i
        yield


def counted(folder: Path, **more) -> array_cache.CachedArray:
    return cached_array(folder / "arrays", {"name": 1}, **{"shape": (20, 3), "what": "counting", "fill": count} | more)


def test_eight_processes_compute_an_array_once_and_map_one_file(tmp_path):
    workers = [worker(tmp_path) for _ in range(8)]
    time.sleep(1)
    (tmp_path / "go").touch()
    said = [each.communicate(timeout=120) for each in workers]
    assert [each.returncode for each in workers] == [0] * 8
    assert len((tmp_path / "made").read_text().splitlines()) == 1
    assert len({out.splitlines()[-1] for out, _ in said}) == 1
    assert said[0][0].splitlines()[-1].split()[1:3] == ["r", str(SUM)]
    waited = [err for _, err in said if err]
    assert set(waited) == {"another process is counting; waiting for it\n"}
    assert len(waited) >= 6  # who comes when it is made need not wait


def test_process_killed_while_writing_leaves_no_array_and_no_lock(tmp_path):
    (tmp_path / "go").touch()
    with worker(tmp_path, pause=0.2) as first:
        while first.stdout.readline() != "row 5\n":
            pass
        with worker(tmp_path, pause=0.0) as second:
            time.sleep(1)
            assert second.poll() is None  # it waits
            first.send_signal(signal.SIGKILL)
            out, err = second.communicate(timeout=60)
    assert err == "another process is counting; waiting for it\n"
    assert out.splitlines()[-1].split()[2] == str(SUM)
    assert len((tmp_path / "made").read_text().splitlines()) == 2
    assert {path.suffix for path in (tmp_path / "arrays").iterdir()} == {".npy", ".json", ".lock"}


@pytest.mark.parametrize("last", ["figures", "array"])
def test_array_is_sound_after_a_kill_between_its_two_files(tmp_path, last, caplog):
    """The figures of a new array beside an old one, or beside none."""
    path = Path(counted(tmp_path).array.filename)
    old = path.read_bytes()
    make(path, {}, (20, 3), lambda out: iter([out.fill(7)]), lambda: None)
    assert checked(path, (20, 3)).array.sum() == 420
    path.unlink() if last == "figures" else path.write_bytes(old)
    assert counted(tmp_path).array.sum() == SUM
    assert len(caplog.records) == (last == "array")


def test_wait_ends_when_the_holder_shows_no_sign_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(array_cache, "STALLED_SECONDS", 1.0)
    monkeypatch.setattr(file_lock, "POLL_SECONDS", 0.1)
    (tmp_path / "go").touch()
    with worker(tmp_path, pause=1000) as stuck:
        while stuck.stdout.readline() != "row 0\n":
            pass
        with pytest.raises(SettingError, match=r"^cache_dir: the process that is counting has shown no sign of life"):
            counted(tmp_path)
        stuck.kill()


def test_wait_continues_while_a_slow_holder_shows_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(array_cache, "STALLED_SECONDS", 1.0)
    monkeypatch.setattr(file_lock, "POLL_SECONDS", 0.1)
    (tmp_path / "go").touch()
    with worker(tmp_path, pause=0.2) as slow:  # four seconds in all
        while slow.stdout.readline() != "row 0\n":
            pass
        assert counted(tmp_path, fill=None).array.sum() == SUM


def test_checksum_is_compared_once_per_process(tmp_path, monkeypatch):
    summed = []
    monkeypatch.setattr(array_cache, "CHECKED", set())
    monkeypatch.setattr(array_cache, "checksum", lambda path: summed.append(path) or checksum(path))
    for _ in range(3):
        counted(tmp_path)
    assert len(summed) == 2  # when it was written, and when it was first read


def test_array_that_does_not_fit_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(119))
    with pytest.raises(SettingError, match=r"^cache_dir: 0 MiB do not fit .*; give another folder$"):
        counted(tmp_path)
    assert {path.suffix for path in (tmp_path / "arrays").iterdir()} == {".lock"}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no place on a disk")
def test_disk_that_fills_up_is_an_error_and_no_bus_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SettingError, match=r"^cache_dir: .* do not fit .*No space left on device"):
        counted(tmp_path)
    assert {path.suffix for path in (tmp_path / "arrays").iterdir()} == {".lock"}


def test_cache_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "arrays").write_text("a file")
    with pytest.raises(SettingError, match=r"^cache_dir: no file can be locked in .*arrays .*; give another folder$"):
        counted(tmp_path)


def test_error_while_filling_is_raised_and_leaves_no_array(tmp_path):
    def torn(out):
        yield
        raise SettingError("targets.encoder", "is broken")

    with pytest.raises(SettingError, match=r"^targets.encoder: is broken$"):
        counted(tmp_path, fill=torn)
    assert {path.suffix for path in (tmp_path / "arrays").iterdir()} == {".lock"}
    assert counted(tmp_path).array.sum() == SUM


def test_json_beside_an_array_holds_its_settings_and_checksum(tmp_path):
    found = counted(tmp_path)
    beside = json.loads(Path(found.array.filename).with_suffix(".json").read_text())
    assert beside == {
        "name": 1,
        "shape": [20, 3],
        "seconds": found.seconds,
        "xxh3": checksum(Path(found.array.filename)),
    }
