"""Speller: a distribution over all strings, fitted to the occurrences of words without an id."""

import itertools

import numpy as np
import pytest
from factories.references import kneser_ney

from bench.data.corpus import build_corpus
from bench.data.vocabulary import Vocabulary
from bench.models.spelling import END, ORDER, Speller, symbols

HIDDEN = {"aba": 30, "abc": 4, "cab": 2, "bcb": 1}


@pytest.fixture(scope="module")
def speller() -> Speller:
    train = ["the"] * 50 + [word for word, count in HIDDEN.items() for _ in range(count)]
    made = build_corpus("letters", {"train": [train], "validation": [["the", "new"]], "test": [["aba"]]})
    return Speller(Vocabulary(made, 2))


def rows_after(speller: Speller, prefix: str) -> np.ndarray:
    """Return the distribution of the symbol after a prefix. [257]"""
    spelling = symbols(prefix)
    return speller.model.probabilities(speller.model.context_codes(spelling, ORDER - 1))[-1]


def test_symbols_of_word_are_bytes_and_end_mark():
    assert symbols("né").tolist() == [0x6E, 0xC3, 0xA9, END]
    assert symbols("").tolist() == [END]


def test_nats_equal_chain_of_kneser_ney_formula(speller):
    p = kneser_ney([symbols(word).tolist() for word, count in HIDDEN.items() for _ in range(count)], END + 1, ORDER)
    for word in ("aba", "cab", "ba", "", "the", "abcabcabc", "zé"):
        padded = [END + 1] * (ORDER - 1) + symbols(word).tolist()
        steps = [p(padded[t], tuple(padded[t - ORDER + 1 : t])) for t in range(ORDER - 1, len(padded))]
        assert speller.nats(word) == pytest.approx(-np.log(steps).sum(), abs=1e-9)


def test_prices_of_all_strings_sum_to_one(speller):
    letters = "abct"
    inside = [ord(letter) for letter in letters]
    words = ["".join(word) for n in range(4) for word in itertools.product(letters, repeat=n)]
    reached = {"": 1.0}
    missed = 0.0  # mass of strings with other letters or with more than three letters
    for prefix in words:
        row = rows_after(speller, prefix)
        assert row.sum() == pytest.approx(1, abs=1e-9)
        continued = row[inside]
        reached |= {prefix + letter: reached[prefix] * p for letter, p in zip(letters, continued, strict=True)}
        missed += reached[prefix] * (1 - row[END] - (continued.sum() if len(prefix) < 3 else 0))
    total = sum(np.exp(-speller.nats(word)) for word in words)
    assert total == pytest.approx(1 - missed, abs=1e-9)
    assert 0.8 < total < 1


def test_words_of_the_lexicon_cost_together_what_each_costs_alone(speller, monkeypatch):
    lexicon = speller.vocabulary.corpus.lexicon
    words = np.array([3, 1, 3, 5, 0])
    expected = [speller.nats(lexicon[word]) for word in words]
    np.testing.assert_allclose(speller.nats_of(words), expected, rtol=1e-12)
    monkeypatch.setattr(speller, "_nats", None)
    np.testing.assert_allclose(speller.nats_of(words[::-1]), expected[::-1], rtol=1e-12)  # no word is priced again
    assert speller.nats_of(words[:0]).shape == (0,)


@pytest.mark.parametrize("word", ["", "x" * 200, "東京", "\U0001f600", "\udc80", "\x00", "don’t"])
def test_nats_are_finite_for_any_string(speller, word):
    assert 0 < speller.nats(word) < np.inf


def test_frequent_spellings_cost_less(speller):
    prices = [speller.nats(word) for word in HIDDEN]
    assert prices == sorted(prices)
    assert prices[0] < np.log(37 / 30) + 0.1  # near its share of the hidden words
    assert speller.nats("the") > prices[-1]  # `<unk>` never hides it
