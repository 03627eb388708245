"""The order of ids, by hand and on a text, and which sizes exist."""

import numpy as np
import pytest

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, build_corpus
from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK

COUNTS = {"a": 9, "b": 5, "c": 3, "d": 1, "e": 1}


@pytest.fixture(scope="module")
def letters() -> Corpus:
    train = [letter for letter, count in COUNTS.items() for _ in range(count)]
    return build_corpus("letters", {"train": [train], "validation": [["a", "x"]], "test": [["x", "d", "a", "a"]]})


@pytest.mark.parametrize(
    ("size", "words", "counts"),
    [
        (2, [UNK, "a"], [10, 9]),  # the rest outweighs the most frequent word
        (3, ["a", UNK, "b"], [9, 5, 5]),  # a tie: <unk> first
        (4, ["a", "b", "c", UNK], [9, 5, 3, 2]),
        (5, ["a", "b", "c", UNK, "d"], [9, 5, 3, 1, 1]),
    ],
)
def test_id_of_unk_follows_from_its_count(letters, size, words, counts):
    vocabulary = Vocabulary(letters, size)
    assert len(vocabulary) == size
    assert vocabulary.words == words
    assert vocabulary.counts.tolist() == counts
    assert vocabulary.unk == words.index(UNK)


def test_size_of_none_is_every_type_of_the_training_split(letters, corpus):
    assert len(Vocabulary(letters, None)) == 5
    assert Vocabulary(letters, None).words == Vocabulary(letters, 5).words
    assert len(Vocabulary(corpus, None)) == (corpus.counts > 0).sum() < len(corpus.lexicon)


@pytest.mark.parametrize("size", [2, 3, 50, 200])
def test_ids_fall_by_training_count(corpus, size):
    vocabulary = Vocabulary(corpus, size)
    assert (np.diff(vocabulary.counts) <= 0).all()
    counted = np.bincount(vocabulary.encode(corpus.train.words), minlength=size)
    assert counted.tolist() == vocabulary.counts.tolist()


@pytest.mark.parametrize("size", [2, 3, 200])
def test_ids_and_words_round_trip(corpus, size):
    vocabulary = Vocabulary(corpus, size)
    known = [word for word in range(size) if word != vocabulary.unk]
    indices = [vocabulary.lexicon_index(word) for word in known]
    assert vocabulary.encode(np.array(indices)).tolist() == known
    assert corpus.words_of(indices) == [vocabulary.words[word] for word in known] == corpus.lexicon[: size - 1]
    assert set(vocabulary.encode(np.arange(size - 1, len(corpus.lexicon)))) == {vocabulary.unk}
    with pytest.raises(KeyError, match=UNK):
        vocabulary.lexicon_index(vocabulary.unk)


def test_the_unigram_is_a_distribution_over_the_training_words(letters, vocabulary):
    shares = np.exp(Vocabulary(letters, 4).log_unigram)
    np.testing.assert_allclose(shares, np.array([9, 5, 3, 2]) / 19, rtol=1e-6)
    assert np.exp(vocabulary.log_unigram.astype(np.float64)).sum() == pytest.approx(1, abs=1e-6)


def test_coverage_is_of_words_with_an_id_of_their_own(letters):
    assert Vocabulary(letters, 4).coverage(letters.test) == 0.5
    assert Vocabulary(letters, 5).coverage(letters.test) == 0.75


@pytest.mark.parametrize("size", [-1, 0, 1, 6, 7, 3.0, "5"])
def test_vocabulary_size_out_of_bounds_is_refused(letters, size):
    with pytest.raises(SettingError, match=rf"^vocabulary.size: {size} is not .* from 2 to 5, the types"):
        Vocabulary(letters, size)


def test_unknown_words_of_equal_count_are_no_end_of_the_alphabet():
    """The model of unknown spellings would otherwise expect their first letters in every unknown word."""
    words = [a + b for a in "abcdefghijklmnopqrstuvwxyz" for b in "aeiou"]
    corpus = build_corpus("pairs", {"train": [words], "validation": [words], "test": [words]})
    vocabulary = Vocabulary(corpus, len(words) // 2)
    unknown = {word[0] for word in words if word not in vocabulary.words}
    assert len(unknown) > 20
