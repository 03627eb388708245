"""Tokenisation by cases, splits by counting, and what a user's text can get wrong."""

import zlib

import numpy as np
import pytest

from bench.core.errors import SettingError
from bench.core.files import content_sha256
from bench.data.corpus import build_corpus
from bench.data.sources.files import text
from bench.data.sources.synthetic import synthetic
from bench.data.sources.wikipedia import wiki_sample
from bench.data.splits import split_by_document
from bench.data.text import LEAST_OF_A_DOCUMENT, Text, concatenate
from bench.data.words import tokenize


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ("Don't stop", ["don't", "stop"]),
        ("rock’n’roll", ["rock’n’roll"]),
        ("'tis the dogs' o''clock", ["'", "tis", "the", "dogs", "'", "o", "'", "'", "clock"]),
        ("3.5 per-cent, no?!", ["3", ".", "5", "per", "-", "cent", ",", "no", "?", "!"]),
        ("snake_case __init__", ["snake", "_", "case", "_", "_", "init", "_", "_"]),
        ("Ünïcode 東京 Ελλάς", ["ünïcode", "東", "京", "ελλάς"]),
        (" \t\n\u00a0\u2003", []),
        ("a…b “c” №5 ½", ["a", "…", "b", "“", "c", "”", "№", "5", "½"]),
    ],
)
def test_words_of_a_string(string, words):
    assert tokenize(string) == words


def test_case_is_kept_on_demand():
    assert tokenize("The End", lowercase=False) == ["The", "End"]


def test_text_is_its_documents_end_to_end():
    documents = [np.array([3, 1]), np.array([4]), np.array([1, 5, 9])]
    laid = concatenate(documents)
    assert laid.words.tolist() == [3, 1, 4, 1, 5, 9]
    assert laid.starts.tolist() == [0, 2, 3, 6]
    assert [document.tolist() for document in laid.documents()] == [[3, 1], [4], [1, 5, 9]]


def test_built_corpus_equals_one_made_by_hand():
    splits = {"train": [["b", "a", "b"], [], ["c"]], "validation": [["z", "b"]], "test": [["y"], ["c", "y"]]}
    made = build_corpus("by hand", splits)
    assert made.lexicon == ["b", "c", "a", "z", "y"]  # equal counts: by hash
    assert made.counts.tolist() == [2, 1, 1, 0, 0]
    assert (made.train.words.tolist(), made.train.starts.tolist()) == ([0, 2, 0, 1], [0, 3, 4])
    assert (made.validation.words.tolist(), made.test.words.tolist()) == ([3, 0], [4, 1, 4])
    assert made.words_of(made.test.words) == ["y", "c", "y"]


def test_lexicon_is_sorted_by_training_count_then_hash(corpus):
    seen = corpus.words_of(corpus.train.words)
    keys = [(-seen.count(word), zlib.crc32(word.encode())) for word in corpus.lexicon]
    assert keys == sorted(keys)
    assert corpus.counts.tolist() == [-key[0] for key in keys]
    assert corpus.counts[-1] == 0
    assert len(set(corpus.lexicon)) == len(corpus.lexicon)


def test_splits_take_each_document_once_and_are_repeatable():
    documents = [[f"{d}"] * (100 + d) for d in range(40)]
    splits = split_by_document(documents)
    assert splits == split_by_document(documents)
    whole = [document for split in splits.values() for document in split]
    assert sorted(whole) == sorted(documents)
    total = sum(map(len, documents))
    for split, share in {"validation": 0.05, "test": 0.20}.items():
        words = [len(document) for document in splits[split]]
        assert sum(words[:-1]) < share * total <= sum(words)


@pytest.mark.parametrize("lengths", [(1, 1, 1000), (1000, 1, 1), (1, 1000, 1), (1, 1, 1, 1, 1000)])
def test_three_documents_of_any_lengths_can_be_split(lengths):
    splits = split_by_document([[f"{d}"] * length for d, length in enumerate(lengths)])
    assert all(splits.values())
    assert sum(map(len, splits.values())) == len(lengths)


@pytest.mark.parametrize("place", range(20))
def test_document_larger_than_all_others_is_for_training(place):
    splits = split_by_document([[f"{d}"] * (500_000 if d == place else 5_000) for d in range(20)])
    words = {split: sum(map(len, documents)) for split, documents in splits.items()}
    assert words == {"validation": 30_000, "test": 65_000, "train": 500_000}


def test_two_documents_cannot_be_split():
    with pytest.raises(SettingError, match=r"^corpus.path: 2 documents cannot be split"):
        split_by_document([["a"], [], ["b"]])


def test_an_empty_split_is_refused():
    with pytest.raises(SettingError, match=r"^corpus: tiny has no words in its test split"):
        build_corpus("tiny", {"train": [["a"]], "validation": [["b"]], "test": [[]]})


def test_limits_cut_every_document_alike_and_no_training_text(corpus):
    limit = 3 * LEAST_OF_A_DOCUMENT + 10
    limited = corpus.limited(validation=None, test=limit)
    assert limited.train is corpus.train
    assert limited.validation is corpus.validation
    assert len(limited.test.documents()) == len(corpus.test.documents()) == 3
    for cut, whole in zip(limited.test.documents(), corpus.test.documents(), strict=True):
        assert len(cut) == int(len(whole) * limit / len(corpus.test))
        assert cut.tolist() == whole[: len(cut)].tolist()
    assert corpus.limited(validation=10**9, test=None).validation is corpus.validation


def test_types_of_fewer_training_words_are_counted_and_sorted_again(corpus):
    shorter = corpus.trained_on(900)
    assert len(shorter.train) == pytest.approx(900, abs=len(corpus.train.documents()))
    documents = {
        split: [corpus.words_of(document) for document in text.documents()]
        for split, text in {
            "train": corpus.train.head(900),
            "validation": corpus.validation,
            "test": corpus.test,
        }.items()
    }
    anew = build_corpus(corpus.name, documents)
    assert (shorter.lexicon, shorter.digest) == (anew.lexicon, anew.digest)
    assert shorter.counts.tolist() == anew.counts.tolist()
    assert shorter.digest != corpus.digest
    assert corpus.trained_on(None) is corpus
    assert corpus.trained_on(10**9) is corpus


def test_language_is_kept_when_the_text_is_shortened():
    whole = synthetic(types=50, words=4000, classes=4, concentration=1.0, seed=0, document_words=200)
    shorter = whole.trained_on(600)
    assert shorter.language is whole.language
    assert len(shorter.train) == 600
    assert shorter.words_of(shorter.test.words) == whole.words_of(whole.test.words)
    assert [shorter.language.words_of(np.array([word]))[0] for word in shorter.language_words] == shorter.lexicon


def test_limit_takes_whole_documents_if_these_are_short():
    text = concatenate([np.full(10, i) for i in range(1000)])
    cut = text.head(2000)
    assert [document.tolist() for document in cut.documents()] == [
        [i] * 10 for i in np.linspace(0, 999, 200).astype(int)
    ]


def test_limit_is_met_where_one_document_holds_most_words():
    text = concatenate([np.full(10, 0)] * 5000 + [np.full(900_000, 1)] + [np.full(10, 2)] * 4000)
    assert 0.98 * 25_000 <= len(text.head(25_000)) <= 25_000


@pytest.mark.parametrize("limit", [5_000, 25_000, 100_000])
@pytest.mark.parametrize("kind", ["heavy-tailed", "short"])
def test_limit_keeps_nearly_all_of_its_words_of_short_and_uneven_documents(kind, limit):
    random = np.random.default_rng(0)
    uneven, short = 1 + (20 * random.pareto(1.1, 20_000)).astype(int), random.integers(3, 25, 20_000)
    starts = np.concatenate([[0], np.cumsum(uneven if kind == "heavy-tailed" else short)])
    cut = Text(np.arange(starts[-1], dtype=np.int32), starts).head(limit)
    assert 0.98 * limit <= len(cut) <= 1.02 * limit
    begins = cut.words[cut.starts[:-1]]
    assert np.isin(begins, starts).all() and (np.diff(cut.starts) > 0).all()  # beginnings of documents


def test_fingerprint_depends_on_one_split_and_its_spellings(corpus):
    limited = corpus.limited(validation=None, test=100)
    assert limited.fingerprint("train") == corpus.fingerprint("train")
    assert limited.fingerprint("test") != corpus.fingerprint("test")
    one, other = (build_corpus("x", {"train": [[word]], "validation": [["a"]], "test": [["a"]]}) for word in "bc")
    assert one.train.words.tolist() == other.train.words.tolist()
    assert one.fingerprint("train") != other.fingerprint("train")
    assert one.digest != other.digest


def test_a_file_is_split_at_blank_lines(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("\ufeffOne two.\nthree\n\n\nFour\n \t\nfive, 5", encoding="utf-8")
    made = text(str(file))
    assert made.name == "mine"
    found = [
        made.words_of(document) for split in (made.train, made.validation, made.test) for document in split.documents()
    ]
    assert sorted(found) == [["five", ",", "5"], ["four"], ["one", "two", ".", "three"]]


def test_in_a_folder_a_file_is_a_document(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.txt", "b", "deep/c.md"):
        (tmp_path / name).write_text(f"{name[-1]} one\n\nDocument")
    made = text(str(tmp_path), lowercase=False)
    found = [
        made.words_of(document) for split in (made.train, made.validation, made.test) for document in split.documents()
    ]
    assert sorted(found) == [[letter, "one", "Document"] for letter in "bdt"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no words"),
        (b" \n\n \t", "holds no words"),
        (b"one\n\ntwo", "2 documents cannot be split"),
        ("über".encode("latin-1"), r"is not UTF-8 \(byte 0\)"),
    ],
)
def test_text_without_words_or_documents_is_refused(tmp_path, content, problem):
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    with pytest.raises(SettingError, match=f"^corpus.path: .*{problem}"):
        text(str(file))


def test_missing_text_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"^corpus.path: corpus=text needs"):
        text(None)
    with pytest.raises(SettingError, match=r"^corpus.path: .*/missing.txt does not exist"):
        text(str(tmp_path / "missing.txt"))
    with pytest.raises(SettingError, match=r"^corpus.path: .* holds no words"):
        text(str(tmp_path))


def test_wiki_sample_has_its_articles_and_words():
    made = wiki_sample()
    texts = (made.train, made.validation, made.test)
    assert sum(len(each) for each in texts) > 550_000
    assert sum(len(each.documents()) for each in texts) == 106
    assert made.counts.sum() == len(made.train)
    assert made.lexicon[0] == "the"
    assert wiki_sample() is made


def test_content_hash_changes_when_a_text_is_edited(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("one")
    before = content_sha256(str(tmp_path))
    content_sha256.cache_clear()
    file.write_text("two")
    assert content_sha256(str(tmp_path)) != before
    assert content_sha256(str(tmp_path / "nowhere")) is None
