"""Texts that no author meant: each is read as one would expect, or refused in one line that names the file."""

import itertools
import os
import resource
import shutil
import time
from pathlib import Path

import pytest
from factories.configurations import composed

from bench.core.environment import silence_libraries
from bench.core.errors import SettingError
from bench.core.files import content_sha256
from bench.core.paths import record_stem, resolved_config
from bench.data.sources.files import LONGEST_WORD, text
from bench.data.words import tokenize
from bench.run import run
from bench.training.build import build_cell

MEGABYTE = 1_000_000


def folder(tmp_path: Path, *contents: str | bytes) -> Path:
    """A file a document."""
    place = tmp_path / "texts"
    place.mkdir()
    for i, content in enumerate(contents):
        (place / f"{i}.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    return place


def words(made) -> list[list[str]]:
    """The documents of all splits, sorted."""
    splits = (made.train, made.validation, made.test)
    return sorted(made.words_of(document) for split in splits for document in split.documents())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("é one\0two".encode(), r"holds a NUL \(byte 6\): no text, or UTF-16"),
        ("one two".encode("utf-16"), r"is not UTF-8 \(byte 0\)"),
        ("one two".encode("utf-16-le"), r"holds a NUL \(byte 1\)"),
        (b"one \xc3(two", r"is not UTF-8 \(byte 4\)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", r"is not UTF-8 \(byte 0\)"),
        ("\ud800".encode("utf-8", "surrogatepass"), r"is not UTF-8 \(byte 0\)"),
        ("a" * (LONGEST_WORD + 1), r"has a word of 10,001 characters, aaaaaaaaaaaaaaaaaaaa…"),
    ],
)
def test_file_that_is_no_text_is_refused_by_file_and_byte(tmp_path, content, problem):
    place = folder(tmp_path, "one two", "three", content)
    with pytest.raises(SettingError, match=rf"^corpus\.path: {place}(/2\.txt)? {problem}") as raised:
        text(str(place))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\ufeffone", ["one"]),
        ("one\r\ntwo\rthree", ["one", "two", "three"]),
        ("שלום, עולם", ["שלום", ",", "עולם"]),
        ("مرحبا\u202bبك", ["مرحبابك"]),
        ("𝔸𝒷 𐍈 😀😀", ["𝔸𝒷", "𐍈", "😀", "😀"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("İ", ["i\u0307"]),
        ("東京タワー", ["東", "京", "タワー"]),
        ("a\x1cb\x85c\u2028d\u3000e", ["a", "b", "c", "d", "e"]),
        ("one\x01two", ["one", "\x01", "two"]),
    ],
)
def test_words_of_unusual_letters(tmp_path, content, expected):
    made = text(str(folder(tmp_path, content, content, content)))
    assert words(made) == [expected] * 3


def test_a_file_of_windows_line_ends_has_documents(tmp_path):
    file = tmp_path / "dos.txt"
    file.write_bytes(b"one\r\n\r\ntwo\r\n \r\nthree\r\n")
    assert words(text(str(file))) == [["one"], ["three"], ["two"]]


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["word ", "w, ", "\n\t ", "x' ", "x'", "\u0301 ", "東", "😀"])
def test_one_line_of_three_megabytes_takes_seconds(tmp_path, unit):
    line = unit * (3 * MEGABYTE // len(unit.encode())) + "end"
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    made = text(str(folder(tmp_path, line, "one two", "three")))
    assert time.process_time() - begin < 9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_200_000  # KiB
    assert sum(map(len, words(made))) == len(tokenize(line)) + 3


def test_one_line_alone_and_one_word_alone_are_refused(tmp_path):
    file = tmp_path / "line.txt"
    file.write_text("word " * (MEGABYTE // 5))
    with pytest.raises(SettingError, match=r"^corpus.path: 1 documents cannot be split"):
        text(str(file))
    file.write_text("a" * 10 * MEGABYTE)
    text.cache_clear()
    with pytest.raises(SettingError, match=r"^corpus.path: .* has a word of 10,000,000 characters"):
        text(str(file))


def test_files_of_a_linked_folder_are_read(tmp_path):
    for name in ("big/train/a.txt", "my/valid/b.txt", "my/test/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {Path(name).stem}")
    (tmp_path / "my/train").symlink_to(tmp_path / "big/train")
    corpus = text(str(tmp_path / "my"))
    assert corpus.origin == "train, validation, test as the user's files are named"
    assert words(corpus) == [["content", "of", "a"], ["content", "of", "b"], ["content", "of", "c"]]
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "my", copy)  # copies what links lead to
    assert content_sha256(str(tmp_path / "my")) == content_sha256(str(copy))


def test_links_that_form_a_loop_are_not_followed(tmp_path):
    place = folder(tmp_path, "one", "two", "three")
    (place / "round").symlink_to(place)
    (place / "self").symlink_to(place / "self")
    (place / "gone").symlink_to(tmp_path / "nothing")
    (place / "again.txt").symlink_to(place / "0.txt")
    assert words(text(str(place))) == [["one"], ["one"], ["three"], ["two"]]
    assert len(content_sha256(str(place))) == 64


@pytest.mark.parametrize("path", ["/dev/zero", "x" * 5000, "~nobody-of-this-name/x"])
def test_path_that_is_no_text_is_refused(path):
    for read in (text, content_sha256):
        with pytest.raises(SettingError, match=r"^corpus.path: .*; give (one|another)$"):
            read(path)


def test_pipe_is_refused_without_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingError, match="is neither a file nor a folder"):
        text(str(tmp_path / "pipe"))


@pytest.mark.parametrize("what", ["0.txt", "deep"])
def test_file_or_folder_without_access_is_named(tmp_path, monkeypatch, what):
    place = folder(tmp_path, "one", "two", "three")
    (place / "deep").mkdir()
    refuse(monkeypatch, place / what)
    for read in (text, content_sha256):
        with pytest.raises(SettingError, match=rf"^corpus.path: {place / what} cannot be read \(Permission denied\)"):
            read(str(place))


def refuse(monkeypatch, path: Path) -> None:
    """Take away what root always may."""
    scandir, opened = os.scandir, Path.open

    def denied(given):
        return PermissionError(13, "Permission denied", str(given))

    def guarded_scandir(given):
        if Path(given) == path:
            raise denied(given)
        return scandir(given)

    def guarded_open(self, *arguments, **named):
        if self == path:
            raise denied(self)
        return opened(self, *arguments, **named)

    monkeypatch.setattr(os, "scandir", guarded_scandir)
    monkeypatch.setattr(Path, "open", guarded_open)


def test_text_is_the_same_cell_under_every_path(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n\nthree")
    monkeypatch.chdir(tmp_path)
    paths = ("a.txt", "./a.txt", str(tmp_path / "a.txt"))
    assert (
        len({record_stem(resolved_config(composed("corpus=text", f"corpus.path={path}"))).name for path in paths}) == 1
    )
    (tmp_path / "b.txt").write_text("one\n\ntwo\n\nfour")
    assert (
        len({record_stem(resolved_config(composed("corpus=text", f"corpus.path={path}.txt"))).name for path in "ab"})
        == 2
    )


ODD = {
    "from right to left": ["שלום עולם, מה שלומך היום?", "مرحبا بالعالم كيف حالك اليوم؟", "שלום، مرحبا"],
    "beyond the basic plane": ["𝔸𝒷𝒸 😀 𐍈𐌰 𝔸𝒷𝒸 😀😀 cafe\u0301", "𐍈𐌰 x \x01 \u202e 👩‍👩‍👧", "😀 𝔸𝒷𝒸"],
    "without spaces": ["東京タワーは、高い。東京、高い。" * 3, "京都は、古い。", "、。東京タワー"],
    "of long words": [f"{letter * LONGEST_WORD} {letter} ab" for letter in "abc"],
}
SMALL = [
    "corpus=text", "vocabulary.size=6", "batch.streams=2", "batch.steps=8", "budget.words=200",
    "corpus.train_words=null", "targets=random", "targets.dimension=4",
    "backbone.trunk.hidden_size=8", "logger=none", "trainer=cpu", "generation.words=2",
    "evaluation.calibration_words=64", "evaluation.search_words=8", "evaluation.test_words=60",
]  # fmt: skip
PIECES = ["system.model.pieces=300", "system.model.width=8", "system.model.layers=1", "system.model.context=16"]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["softmax", "mse", "gpt2"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_text_trains_and_is_evaluated(tmp_path, monkeypatch, odd, system):
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    lines = list(itertools.islice(itertools.cycle(ODD[odd]), 24))
    where = folder(tmp_path, *(f"{line} " * (2 if "long" in odd else 12) for line in lines))
    prompt = ODD[odd][0].split()[-1]
    settings = [f"system={system}", f"corpus.path={where}", *SMALL, f"generation.prompts=['{prompt}']"]
    record = run(composed(*settings, *(PIECES if system == "gpt2" else [])))
    assert record.status == "ok", record.reason
    assert 0 < record.bits_per_byte < 16
    assert record.generations[0]["greedy"]


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (["word " * 50] * 3, "texts trains on 1 distinct words; give a longer text, or raise corpus.train_words"),
        (["a b"] * 3, "texts has 2 words in its validation split, 1 of them in the vocabulary; give a longer text"),
        (["a a b " * 9, "a b c" * 9, "d e " * 9], "texts has 18 words in its test split, 0 of them in the vocabulary"),
    ],
)
def test_text_of_a_few_words_is_refused(tmp_path, monkeypatch, contents, problem):
    monkeypatch.chdir(tmp_path)
    where = folder(tmp_path, *contents)
    silence_libraries()
    with pytest.raises(SettingError, match=f"^corpus: {problem}"):
        build_cell(
            composed("system=softmax", f"corpus.path={where}", *SMALL, "vocabulary.size=2", "generation.prompts=[]")
        )


@pytest.mark.parametrize("name", ["train.jsonl", "0.JSON", "a.csv", "page.html"])
def test_file_with_markup_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text('{"text": "one two"}')
    with pytest.raises(SettingError, match=rf"{name} is \w+, whose markup would count as words; write its texts"):
        text(str(tmp_path))
