"""Processes that start at once, die in the middle or run out of disk: what a shared array says then."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import Timeout

from bench.core import array_cache, file_lock
from bench.core.array_cache import cached_array, checked, checksum, make
from bench.core.errors import SettingError

# Forks share the imports. A worker that computes stops at row 5 until the file `released` exists.
WORKERS = """
import logging, os, sys, time
from pathlib import Path
from bench.core.array_cache import cached_array
logging.basicConfig(format="%(message)s")
folder, count = Path(sys.argv[1]), int(sys.argv[2])
def fill(out):
    with (folder / "made").open("a") as made:
        made.write(f"{os.getpid()}\\n")
    for i in range(len(out)):
        while i == 5 and not (folder / "released").exists():
            time.sleep(0.01)
        out[i] = i
        yield
for number in range(count):
    if os.fork() == 0:
        os.dup2(os.open(folder / f"err{number}", os.O_WRONLY | os.O_CREAT), 2)
        found = cached_array(folder / "arrays", {"name": 1}, shape=(20, 3), what="counting", fill=fill)
        inode = os.stat(found.array.filename).st_ino
        line = f"{found.array.filename} {found.array.mode} {found.array.sum(dtype=int)} {inode}\\n"
        os.write(1, line.encode())  # at once: lines of several processes must not mix
        os._exit(0)
sys.exit(any(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(count)))
"""
SUM = 3 * sum(range(20))
WAITING = "another process is counting; waiting for it\n"


def workers(folder: Path, count: int = 1) -> subprocess.Popen:
    """Start processes that each ask for the array; a line of stdout says what each has found."""
    command = [sys.executable, "-c", WORKERS, str(folder), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for other processes, a minute at most."""
    for _ in range(6000):
        if is_so():
            return
        time.sleep(0.01)
    raise TimeoutError


def messages(folder: Path) -> list[str]:
    """Return what each worker has printed on stderr."""
    return [path.read_text() for path in sorted(folder.glob("err*"))]


def computing(folder: Path) -> list[int]:
    """Return the process ids of the workers that have begun to compute."""
    path = folder / "made"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def count(out: np.memmap):
    """Fills as a worker does."""
    for i in range(len(out)):
        out[i] = i
        yield


def counted(folder: Path, **more) -> array_cache.CachedArray:
    return cached_array(folder / "arrays", {"name": 1}, **{"shape": (20, 3), "what": "counting", "fill": count} | more)


def test_processes_compute_an_array_once_and_map_one_file(tmp_path):
    with workers(tmp_path, 8) as group:
        wait_until(lambda: messages(tmp_path).count(WAITING) == 7)
        (tmp_path / "released").touch()
        found = group.communicate(timeout=120)[0].splitlines()
    assert group.returncode == 0 and len(found) == 8
    assert len(computing(tmp_path)) == 1
    [line] = set(found)
    assert line.split()[1:3] == ["r", str(SUM)]
    assert sorted(messages(tmp_path)) == ["", *[WAITING] * 7]


def test_process_killed_while_writing_leaves_no_array_and_no_lock(tmp_path):
    with workers(tmp_path, 2) as group:
        wait_until(lambda: WAITING in messages(tmp_path) and len(computing(tmp_path)) == 1)
        os.kill(computing(tmp_path)[0], signal.SIGKILL)
        (tmp_path / "released").touch()
        [found] = group.communicate(timeout=60)[0].splitlines()
    assert sorted(messages(tmp_path)) == ["", WAITING]
    assert found.split()[2] == str(SUM)
    assert len(computing(tmp_path)) == 2
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


def test_wait_ends_when_the_holder_sends_no_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(array_cache, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(file_lock, "POLL_SECONDS", 0.1)
    with workers(tmp_path) as group:
        wait_until(lambda: computing(tmp_path))
        with pytest.raises(SettingError, match=r"^cache_dir: the process that is counting has sent no heartbeat"):
            counted(tmp_path)
        os.kill(computing(tmp_path)[0], signal.SIGKILL)
        group.communicate(timeout=60)


def test_wait_continues_while_a_slow_holder_sends_heartbeats(tmp_path, monkeypatch):
    """The holder sends twenty heartbeats, one every 0.9 s of a clock of the test's own."""
    clock, marker = [0.0], tmp_path / "x.lock"
    monkeypatch.setattr(file_lock, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    marker.touch()

    class Lock:
        signs = 0

        def acquire(self, timeout: float) -> None:
            self.signs += 1
            if self.signs <= 20:
                clock[0] += 0.9
                os.utime(marker, ns=(0, self.signs))
                raise Timeout(str(marker))

    lock = Lock()
    file_lock.wait(lock, marker, "counting", "cache_dir", stalled_seconds=1.0)
    assert lock.signs == 21


def test_every_row_of_an_array_is_a_heartbeat(tmp_path):
    seen = []

    def fill(out: np.memmap) -> Iterator[None]:
        [marker] = (tmp_path / "arrays").glob("*.lock")
        for i in range(len(out)):
            out[i] = i
            os.utime(marker, ns=(0, 0))
            yield
            seen.append(marker.stat().st_mtime_ns)

    assert counted(tmp_path, fill=fill).array.sum() == SUM
    assert len(seen) == 20 and min(seen) > 0


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
