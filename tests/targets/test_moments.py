"""Moments summed while the encoder runs, against sums over the vectors of all occurrences."""

from pathlib import Path

import numpy as np
import pytest
import torch
from factories.encoder import tiny_corpus, tiny_encoder

from bench.core import disk_cache
from bench.data.vocabulary import Vocabulary
from bench.targets import moments, tables
from bench.targets.encoder import Encoder
from bench.targets.moments import add_up, in_blocks, training_moments


def test_moments_equal_sums_over_all_vectors(monkeypatch):
    random = np.random.default_rng(0)
    vectors, words = random.normal(size=(20, 3)).astype(np.float16), random.integers(0, 4, 20).astype(np.int32)
    monkeypatch.setattr(moments, "BLOCK", 7)
    sums = np.zeros((5, 3))
    squares = add_up(in_blocks(vectors), words, sums)
    exact = vectors.astype(np.float64)
    np.testing.assert_allclose(sums, np.eye(5)[words].T @ exact, atol=1e-12)
    np.testing.assert_allclose(squares, exact.T @ exact, atol=1e-12)


def test_moments_of_the_encoder_equal_those_of_cached_vectors(encoder, folder, tmp_path):
    corpus, other = tiny_corpus(), tiny_encoder(folder, tmp_path / "other")
    streamed = training_moments(encoder(), corpus)
    assert streamed.seconds > 0
    assert not list((tmp_path / "vectors").glob("*"))  # no vectors of occurrences on disk
    encoded = other.encode(corpus, "train")
    from_vectors = training_moments(other, corpus)
    assert from_vectors.seconds == encoded.seconds
    np.testing.assert_allclose(streamed.sums, from_vectors.sums, rtol=2**-23)
    np.testing.assert_allclose(streamed.squares, from_vectors.squares, rtol=1e-12, atol=1e-12)
    exact = np.array(encoded.vectors, np.float64)
    for word in range(len(corpus.lexicon)):
        at = corpus.train.words == word
        np.testing.assert_allclose(streamed.sums[word], exact[at].sum(0), rtol=2**-23, atol=1e-12)


def test_cached_moments_need_neither_model_nor_vectors(encoder, monkeypatch):
    first = training_moments(encoder(), tiny_corpus())
    monkeypatch.setattr(Encoder, "_model", None)
    second = training_moments(encoder(), tiny_corpus())
    np.testing.assert_array_equal(first.sums, second.sums)
    assert first.seconds == second.seconds


def test_damaged_moments_are_computed_again_with_one_line(encoder, tmp_path, caplog, monkeypatch):
    expected = np.array(training_moments(encoder(), tiny_corpus()).sums)
    (file,) = (tmp_path / "moments").glob("*/sums.npy")
    file.write_bytes(file.read_bytes()[:-1])
    monkeypatch.setattr(disk_cache, "CHECKED", set())  # as in another process
    np.testing.assert_array_equal(training_moments(encoder(), tiny_corpus()).sums, expected)
    assert caplog.messages == [f"{file.parent} is damaged; encoding tiny, train again"]
    assert {path.name for path in file.parent.iterdir()} == {"contents.json", "squares.npy", "sums.npy"}


@pytest.mark.parametrize("size", [2, 5, 9])
def test_one_cache_serves_every_vocabulary_size(encoder, monkeypatch, size):
    corpus = tiny_corpus()
    vectors = np.array(encoder().encode(corpus, "train").vectors, np.float64)
    found = training_moments(encoder(), corpus)
    monkeypatch.setattr(tables, "BLOCK", 3)
    vocabulary = Vocabulary(corpus, size)
    ids = vocabulary.encode(corpus.train.words)
    expected = [vectors[ids == word].sum(0) for word in range(size)]
    torch.testing.assert_close(
        tables.sums_by_id(found.sums, vocabulary), torch.tensor(np.array(expected)).float(), rtol=1e-6, atol=1e-6
    )


def test_level_type_keeps_no_vectors_on_disk(folder: Path, tmp_path):
    settings = {"context": "causal", "window": 8, "layer": -1, "pooling": "mean", "special_tokens": "cls"}
    switches = {"centre": True, "whiten": True, "normalise": True, "precision": "fp32"}
    given = {"name": "bert", "vocabulary": Vocabulary(tiny_corpus(), 5), "encoder": str(folder)}
    made = {
        level: tables.bert(**given, cache_dir=str(tmp_path / level), level=level, **settings, **switches)
        for level in ("type", "token")
    }
    assert not (tmp_path / "type" / "vectors").exists()
    assert (tmp_path / "token" / "vectors").exists()
    torch.testing.assert_close(made["type"].table, made["token"].table, rtol=0, atol=2**-14)
