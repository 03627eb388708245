"""Folders of cached files: whole or not there, made by one process, checked file by file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core import array_cache
from bench.core.array_cache import key_of
from bench.core.errors import SettingError
from bench.core.folder_cache import CachedFolder, cached_folder

SETTINGS = {"name": 1}


def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
    np.save(folder / "numbers.npy", np.arange(5))
    (folder / "scratch.tmp").write_text("not kept")
    heartbeat()
    return {"total": 10}


def opened(parent: Path, work: Callable[..., dict[str, Any]] = fill) -> CachedFolder:
    return cached_folder(parent, SETTINGS, what="counting", fill=work)


def refused(*_: object) -> dict[str, Any]:
    raise AssertionError("made again")


def test_folder_is_made_once_and_keeps_its_figures(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path, refused)
    assert first.path == second.path == tmp_path / key_of(SETTINGS)
    assert second.figures == {"total": 10}
    assert second.array("numbers").tolist() == [0, 1, 2, 3, 4]
    assert second.array("numbers").mode == "r"
    assert {path.name for path in first.path.iterdir()} == {"numbers.npy", "contents.json"}


def test_rest_of_a_killed_process_is_removed(tmp_path):
    rest = tmp_path / f"{key_of(SETTINGS)}.making"
    rest.mkdir()
    (rest / "half.npy").write_bytes(b"half")
    assert opened(tmp_path).figures == {"total": 10}
    assert not rest.exists()


def test_error_while_filling_is_raised_and_leaves_no_folder(tmp_path):
    def torn(folder: Path, _: object) -> dict[str, Any]:
        (folder / "half.npy").write_bytes(b"half")
        raise SettingError("corpus.path", "is broken")

    with pytest.raises(SettingError, match=r"^corpus.path: is broken$"):
        opened(tmp_path, torn)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_files_are_checked_once_per_process(tmp_path, monkeypatch, caplog):
    folder = opened(tmp_path).path
    content = (folder / "numbers.npy").read_bytes()
    (folder / "numbers.npy").write_bytes(content[:-1] + b"x")
    monkeypatch.setattr(array_cache, "CHECKED", set())  # as in another process
    assert opened(tmp_path).array("numbers").tolist() == [0, 1, 2, 3, 4]
    assert caplog.messages == [f"{folder} is damaged; counting again"]
    with monkeypatch.context() as without:
        without.setattr("bench.core.folder_cache.checksum", refused)
        opened(tmp_path)
