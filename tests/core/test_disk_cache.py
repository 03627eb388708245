"""Cached folders: processes that start at once, die in the middle, run out of disk, or find a damaged file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import Timeout

from bench.core import disk_cache, file_lock
from bench.core.disk_cache import CachedFolder, cached_folder, checksum, key_of
from bench.core.errors import SettingError
from bench.core.reserved_array import reserved

# Forks share the imports. A worker that computes stops at row 5 until the file `released` exists.
WORKERS = """
import logging, os, sys, time
from pathlib import Path
from bench.core.disk_cache import cached_folder
from bench.core.reserved_array import reserved
logging.basicConfig(format="%(message)s")
folder, count = Path(sys.argv[1]), int(sys.argv[2])
def fill(to, heartbeat):
    with (folder / "made").open("a") as made:
        made.write(f"{os.getpid()}\\n")
    out = reserved(to / "numbers.npy", (20, 3))
    for i in range(len(out)):
        while i == 5 and not (folder / "released").exists():
            time.sleep(0.01)
        out[i] = i
        heartbeat()
    return {}
for number in range(count):
    if os.fork() == 0:
        os.dup2(os.open(folder / f"err{number}", os.O_WRONLY | os.O_CREAT), 2)
        found = cached_folder(folder / "cache", {"name": 1}, what="counting", fill=fill).array("numbers")
        line = f"{found.filename} {found.mode} {found.sum(dtype=int)} {os.stat(found.filename).st_ino}\\n"
        os.write(1, line.encode())  # at once: lines of several processes must not mix
        os._exit(0)
sys.exit(any(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(count)))
"""
SETTINGS = {"name": 1}
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


def count(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
    """Fills as a worker does."""
    out = reserved(folder / "numbers.npy", (20, 3))
    (folder / "scratch.tmp").write_text("not kept")
    for i in range(len(out)):
        out[i] = i
        heartbeat()
    return {"total": SUM}


def counted(folder: Path, fill: Callable[..., dict[str, Any]] = count) -> CachedFolder:
    return cached_folder(folder / "cache", SETTINGS, what="counting", fill=fill)


def refused(*_: object) -> dict[str, Any]:
    raise AssertionError("made again")


def names(folder: Path) -> set[str]:
    """Return the names of what the cache holds, the hash of the settings left out."""
    return {path.name.removeprefix(key_of(SETTINGS)) for path in (folder / "cache").iterdir()}


def test_folder_is_made_once_and_keeps_its_figures(tmp_path):
    first, second = counted(tmp_path), counted(tmp_path, refused)
    assert first.path == second.path == tmp_path / "cache" / key_of(SETTINGS)
    assert second.figures == {"total": SUM}
    assert second.array("numbers").tolist() == [[i] * 3 for i in range(20)]
    assert second.array("numbers").mode == "r"
    assert {path.name for path in first.path.iterdir()} == {"numbers.npy", "contents.json"}
    assert json.loads((first.path / "contents.json").read_text()) == {
        "settings": SETTINGS,
        "figures": {"total": SUM},
        "xxh3": {"numbers.npy": checksum(first.path / "numbers.npy")},
    }


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


def test_process_killed_while_writing_leaves_no_half_filled_folder_and_no_lock(tmp_path):
    with workers(tmp_path, 2) as group:
        wait_until(lambda: WAITING in messages(tmp_path) and len(computing(tmp_path)) == 1)
        os.kill(computing(tmp_path)[0], signal.SIGKILL)
        (tmp_path / "released").touch()
        [found] = group.communicate(timeout=60)[0].splitlines()
    assert sorted(messages(tmp_path)) == ["", WAITING]
    assert found.split()[2] == str(SUM)
    assert len(computing(tmp_path)) == 2
    assert names(tmp_path) == {"", ".lock"}


def test_wait_ends_when_the_holder_sends_no_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_cache, "STALLED_SECONDS", 0.2)
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


def test_heartbeat_changes_the_times_of_the_lock_and_the_temporary_folder(tmp_path):
    seen = []

    def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        [marker] = (tmp_path / "cache").glob("*.lock")
        for _ in range(20):
            for path in (marker, folder):
                os.utime(path, ns=(0, 0))
            heartbeat()
            seen.extend(path.stat().st_mtime_ns for path in (marker, folder))
        return {}

    counted(tmp_path, fill)
    assert len(seen) == 40 and min(seen) > 0


def test_checksum_is_compared_once_per_process(tmp_path, monkeypatch):
    summed = []
    monkeypatch.setattr(disk_cache, "CHECKED", set())
    monkeypatch.setattr(disk_cache, "checksum", lambda path: summed.append(path) or checksum(path))
    for _ in range(3):
        counted(tmp_path)
    assert len(summed) == 2  # when it was written, and when it was first read


def test_damaged_file_is_made_again_with_one_line(tmp_path, monkeypatch, caplog):
    folder = counted(tmp_path).path
    content = (folder / "numbers.npy").read_bytes()
    (folder / "numbers.npy").write_bytes(content[:-1] + b"x")
    monkeypatch.setattr(disk_cache, "CHECKED", set())  # as in another process
    assert counted(tmp_path).array("numbers").sum() == SUM
    assert counted(tmp_path, refused).figures == {"total": SUM}
    assert caplog.messages == [f"{folder} is damaged; counting again"]


def test_array_that_does_not_fit_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(119))
    with pytest.raises(SettingError, match=r"^cache_dir: 0 MiB do not fit .*; give another folder$"):
        counted(tmp_path)
    assert names(tmp_path) == {".lock"}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no place on a disk")
def test_disk_that_fills_up_is_an_error_and_no_bus_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SettingError, match=r"^cache_dir: .* do not fit .*No space left on device"):
        counted(tmp_path)
    assert names(tmp_path) == {".lock"}


def test_cache_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SettingError, match=r"^cache_dir: no file can be locked in .*cache .*; give another folder$"):
        counted(tmp_path)


def test_error_while_filling_is_raised_and_leaves_no_folder(tmp_path):
    def torn(folder: Path, _: object) -> dict[str, Any]:
        (folder / "half.npy").write_bytes(b"half")
        raise SettingError("targets.encoder", "is broken")

    with pytest.raises(SettingError, match=r"^targets.encoder: is broken$"):
        counted(tmp_path, torn)
    assert names(tmp_path) == {".lock"}
    assert counted(tmp_path).array("numbers").sum() == SUM


@pytest.mark.parametrize(
    ("key", "machine", "hours", "stays"),
    [
        ("this", "this", 0, False),
        ("this", "another", 23, True),
        ("this", "another", 25, False),
        ("another", "this", 23, True),
        ("another", "this", 25, False),
    ],
)
def test_temporary_folder_of_another_writer_stays_while_the_writer_may_live(tmp_path, key, machine, hours, stays):
    name = key_of(SETTINGS if key == "this" else {})
    place = {"this": disk_cache.machine(), "another": f"another.{disk_cache.machine()}"}[machine]
    rest = tmp_path / "cache" / f"{name}.{place}.0123.making"
    rest.mkdir(parents=True)
    (rest / "half.npy").write_bytes(b"half")
    changed = time.time() - 3600 * hours
    os.utime(rest, (changed, changed))
    assert counted(tmp_path).figures == {"total": SUM}
    assert rest.exists() == stays


def test_writers_that_no_lock_keeps_apart_fill_separate_folders_and_the_first_stays(tmp_path, monkeypatch, caplog):
    """Another machine makes the whole folder while this one fills its own."""
    numbers, first = tmp_path / "cache" / key_of(SETTINGS) / "numbers.npy", []

    def fill(folder: Path, _: object) -> dict[str, Any]:
        (folder / "numbers.npy").write_bytes(b"other bytes")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(disk_cache, "machine", lambda: "elsewhere")
            disk_cache.make_folder(numbers.parent, SETTINGS, count, lambda: None)
        assert (folder / "numbers.npy").read_bytes() == b"other bytes"
        first.append(numbers.stat().st_ino)
        return {"total": -1}

    found = counted(tmp_path, fill)
    assert found.figures == {"total": SUM} and found.array("numbers").sum() == SUM
    assert [numbers.stat().st_ino] == first
    assert names(tmp_path) == {"", ".lock"}
    assert not caplog.messages
