"""Kneser-Ney n-grams against nltk, which has one discount for all orders and no uniform distribution below unigrams.

If nltk's discounts and lowest order are replaced, all probabilities agree. If unigram counts are uniform, neither
difference has an effect, and nltk's class is used unchanged. KenLM counts n-grams at the start of a sequence by
occurrences; nltk and this project count one distinct left neighbour there, the pad, below the highest order.
"""

import numpy as np
import pytest
import torch
from nltk.lm import KneserNeyInterpolated
from nltk.lm.smoothing import KneserNey as NltkKneserNey
from numpy.testing import assert_allclose

from bench.core.errors import SettingError
from bench.models import count_model
from bench.models.count_model import CountModel
from bench.models.kneser_ney import KneserNey

SYMBOLS = "abcdefg"
PAD = "_"


class Discounted(NltkKneserNey):
    """nltk's Kneser-Ney with a discount per order (Chen and Goodman) and unigrams that back off to the uniform."""

    def __init__(self, model: KneserNeyInterpolated, discounts: dict[int, float]):
        super().__init__(model.vocab, model.counts, model.order)
        self.discounts = discounts

    def alpha_gamma(self, word: str, context: tuple[str, ...]) -> tuple[float, float]:
        self.discount = self.discounts[len(context) + 1]
        return super().alpha_gamma(word, context)

    def unigram_score(self, word: str) -> float:
        count, total = self._continuation_counts(word)
        types = len({symbol for followers in self.counts[2].values() for symbol in followers})
        return (max(count - self.discounts[1], 0) + self.discounts[1] * types / len(SYMBOLS)) / total


def grams(sequences: list[str], order: int) -> list[list[tuple[str, ...]]]:
    """Return the n-grams of each sequence up to an order; n - 1 pads start a sequence and are not predicted."""
    lines = [PAD * (order - 1) + sequence for sequence in sequences]
    return [[tuple(line[t - n : t + 1]) for t in range(order - 1, len(line)) for n in range(order)] for line in lines]


def nltk_model(sequences: list[str], order: int, **settings: float) -> KneserNeyInterpolated:
    """Fit nltk's model to sequences."""
    model = KneserNeyInterpolated(order, **settings)
    model.fit(grams(sequences, order), vocabulary_text=SYMBOLS + PAD)
    return model


def probabilities(sequences: list[str], order: int, contexts: list[tuple[str, ...]]) -> np.ndarray:
    """Fit this project's model; return its distributions after contexts. [contexts, symbols]"""
    numbers = {symbol: i for i, symbol in enumerate(SYMBOLS + PAD)}
    numbered = [np.array([numbers[symbol] for symbol in sequence]) for sequence in sequences]
    model = KneserNey(numbered, len(SYMBOLS), order)
    places = model.base ** np.arange(order - 1)[::-1]
    return model.probabilities(np.array([[numbers[symbol] for symbol in context] for context in contexts]) @ places)


def discount(counts: list[int]) -> float:
    """Return n1 / (n1 + 2 n2) (Ney, Essen and Kneser 1994), or one half if no count is 1."""
    once, twice = counts.count(1), counts.count(2)
    return once / (once + 2 * twice) if once else 0.5


@pytest.mark.parametrize("order", [2, 3, 4])
def test_probabilities_equal_nltk_with_one_discount_per_order(order):
    random = np.random.default_rng(3)
    share = 1 / np.arange(1, len(SYMBOLS)) ** 1.5  # the last symbol is never seen
    sequences = ["".join(random.choice(list(SYMBOLS[:-1]), n, p=share / share.sum())) for n in (60, 45, 3, 20)]
    theirs = nltk_model(sequences, order)
    types = {n: {gram for line in grams(sequences, order) for gram in line if len(gram) == n} for n in range(1, 5)}
    counts = {order: [theirs.counts[gram[:-1]][gram[-1]] for gram in types[order]]}
    for n in range(1, order):
        suffixes = [gram[1:] for gram in types[n + 1]]
        counts[n] = [suffixes.count(gram) for gram in types[n]]
    theirs.estimator = Discounted(theirs, {n: discount(counts[n]) for n in counts})
    unseen = {(symbol,) * (order - 1) for symbol in SYMBOLS}
    contexts = sorted({gram[:-1] for gram in types[order]} | unseen)
    expected = [[theirs.unmasked_score(symbol, context) for symbol in SYMBOLS] for context in contexts]
    assert_allclose(probabilities(sequences, order, contexts), expected, atol=1e-12)


def test_probabilities_equal_unchanged_nltk_when_unigrams_are_uniform():
    """All symbols have the same number of left neighbours, so that a discount of the unigrams has no effect."""
    random = np.random.default_rng(0)
    pairs = [SYMBOLS[i] + SYMBOLS[(i + step) % len(SYMBOLS)] for i in range(len(SYMBOLS)) for step in (1, 2, 4)]
    sequences = [pair for pair in pairs for _ in range(random.integers(1, 5))]
    bigrams = [gram for line in grams(sequences, 2) for gram in line if len(gram) == 2]
    theirs = nltk_model(sequences, 2, discount=discount([bigrams.count(gram) for gram in set(bigrams)]))
    contexts = [(before,) for before in SYMBOLS + PAD]
    expected = [[theirs.unmasked_score(symbol, context) for symbol in SYMBOLS] for context in contexts]
    rows = probabilities(sequences, 2, contexts)
    assert_allclose(rows, expected, atol=1e-12)
    assert rows.std() > 0.05


@pytest.mark.parametrize("cells", [1, 3 * 200 + 1, 2**20])
def test_scores_are_log_probabilities_when_contexts_repeat(corpus, vocabulary, cells, monkeypatch):
    monkeypatch.setattr(count_model, "CACHED_CELLS", cells)
    model = CountModel(corpus=corpus, vocabulary=vocabulary, order=3)
    features = model.features(corpus.test, "test")[[5, 9, 5, 0, 40, 9, 7]]
    scores = model.scores(features)
    assert scores.dtype == torch.float32
    assert_allclose(scores, np.log(model.model.probabilities(features[:, 0].numpy())), rtol=1e-6, atol=1e-6)
    assert torch.equal(scores[0], scores[2]) and not torch.equal(scores[0], scores[1])


def test_order_whose_contexts_need_more_than_63_bits_is_refused_with_the_highest(corpus, vocabulary, monkeypatch):
    monkeypatch.setattr(type(vocabulary), "__len__", lambda _: 75_000)
    with pytest.raises(SettingError, match=r"^system.model.order: 5 needs .* at V = 75,000; choose at most 4$"):
        CountModel(corpus=corpus, vocabulary=vocabulary, order=5)
