"""Splits that the user's files name, the line that reports them, and documents that are in two of them."""

from pathlib import Path

import pytest

from bench.core import progress
from bench.core.errors import SettingError
from bench.data.corpus import Corpus, build_corpus
from bench.data.sources.files import text
from bench.data.splits import AT_RANDOM, report_splits


def write(folder: Path, files: dict[str, str]) -> str:
    """Files by path."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return str(folder)


def documents(corpus: Corpus) -> dict[str, list[str]]:
    """The documents of each split as text."""
    splits = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test}
    return {split: [" ".join(corpus.words_of(words)) for words in each.documents()] for split, each in splits.items()}


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("Train-00.txt", "dev-00.txt", "test-00.txt"),
        ("wiki.train.tokens", "wiki.validation.tokens", "wiki.test.tokens"),
    ],
)
def test_files_named_by_split_are_that_split(tmp_path, names):
    contents = ("one\n\ntwo", "three", "four\n\nfive")
    corpus = text(write(tmp_path, dict(zip(names, contents, strict=True))))
    assert documents(corpus) == {"train": ["one", "two"], "validation": ["three"], "test": ["four", "five"]}
    assert corpus.origin == "train, validation, test as the user's files are named"


def test_folders_named_by_split_hold_a_document_per_file(tmp_path):
    files = {"train/a.txt": "one\n\ntwo", "train/test.txt": "three", "val/b.txt": "four", "data/test/c.txt": "five"}
    corpus = text(write(tmp_path, files))
    assert documents(corpus) == {"train": ["one two", "three"], "validation": ["four"], "test": ["five"]}


def test_missing_validation_split_is_drawn_from_training_documents(tmp_path):
    train = "\n\n".join(f"word{i} again" for i in range(40))
    corpus = text(write(tmp_path, {"train.txt": train, "test.txt": "left alone"}))
    found = documents(corpus)
    assert found["test"] == ["left alone"]
    assert len(found["validation"]) == 2
    assert len(found["train"]) == 38
    assert corpus.origin == f"train, test as the user's files are named; validation from train, {AT_RANDOM}"


def test_missing_test_split_is_drawn_from_training_documents(tmp_path):
    train = "\n\n".join(f"word{i} again" for i in range(40))
    found = documents(text(write(tmp_path, {"train.txt": train, "dev.txt": "left alone"})))
    assert (len(found["train"]), found["validation"], len(found["test"])) == (32, ["left alone"], 8)


@pytest.mark.parametrize("names", [("flight-test.txt", "one.txt", "2.txt"), ("train.txt", "training.txt", "two.txt")])
def test_folder_without_training_and_another_split_is_split_at_random(tmp_path, names):
    corpus = text(write(tmp_path, {name: f"content{i}" for i, name in enumerate(names)}))
    assert [len(each) for each in documents(corpus).values()] == [1, 1, 1]
    assert corpus.origin == AT_RANDOM


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["train.txt", "test.txt", "README.md"], "holds test and train files, but README.md belong to no split"),
        (["train/a", "test/b", "c", "d"], "holds test and train files, but c and 1 more files belong to no split"),
        (["train/a", "valid/b", "dev/c"], "holds the validation split as dev and as valid; keep one of them"),
        (["a", "b", "test.txt"], "holds test.txt but no training split; name the training files train, or rename test"),
        (["a", "b", "Valid/c"], "holds Valid/c but no training split"),
    ],
)
def test_folder_that_names_its_splits_in_part_is_refused(tmp_path, files, problem):
    with pytest.raises(SettingError, match=f"^corpus.path: {tmp_path} {problem}"):
        text(write(tmp_path, dict.fromkeys(files, "content")))


@pytest.fixture
def lines(monkeypatch) -> list[str]:
    """The lines that the report prints."""
    printed: list[str] = []
    monkeypatch.setattr("bench.data.splits.print_line", printed.append)
    assert progress.print_line != printed.append
    return printed


def test_report_says_sizes_and_origin_once(lines):
    splits = {"train": [["a", "b"], ["c"]], "validation": [["d"]], "test": [["e"]] * 3}
    corpus = build_corpus("mine", splits, AT_RANDOM)
    report_splits(corpus)
    report_splits(corpus)
    sizes = "train 2 documents, 3 words; validation 1 document, 1 words; test 3 documents, 3 words"
    assert lines == [f"corpus mine: {sizes} (split by document at random, seed 20220708)"]


def test_report_warns_of_documents_in_two_splits(lines):
    splits = {"train": [["a", "b"], ["c"]], "validation": [["a", "b"]], "test": [["c"], ["c"], ["c", "c"], ["a", "b"]]}
    report_splits(build_corpus("mine", splits))
    assert [line.removeprefix("warning: corpus mine: ").split(",")[0] for line in lines[1:]] == [
        "3 documents of the test split also in the train split",
        "1 document of the test split also in the validation split",
        "1 document of the validation split also in the train split",
    ]
