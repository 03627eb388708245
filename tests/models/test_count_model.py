"""Our n-grams against nltk's: it has one discount for all orders and no uniform below the unigrams.

With both matched all probabilities agree; where neither can show, nltk's class is used as it stands. KenLM counts
n-grams at a sequence's start as often as they occur; ours and nltk's count, below the highest order, their one pad.
"""

import numpy as np
import pytest
from nltk.lm import KneserNeyInterpolated
from nltk.lm.smoothing import KneserNey as NltkKneserNey
from numpy.testing import assert_allclose

from bench.models.kneser_ney import KneserNey

SYMBOLS = "abcdefg"
PAD = "_"


class Discounted(NltkKneserNey):
    """A discount an order, as Chen and Goodman have it; the unigrams are discounted too, down to the uniform."""

    def __init__(self, model: KneserNeyInterpolated, discounts: dict[int, float]):
        super().__init__(model.vocab, model.counts, model.order)
        self.discounts = discounts

    def alpha_gamma(self, word: str, context: tuple[str, ...]) -> tuple[float, float]:
        self.discount = self.discounts[len(context) + 1]
        return super().alpha_gamma(word, context)

    def unigram_score(self, word: str) -> float:
        count, total = self._continuation_counts(word)
        kinds = len({symbol for seen in self.counts[2].values() for symbol in seen})
        return (max(count - self.discounts[1], 0) + self.discounts[1] * kinds / len(SYMBOLS)) / total


def grams(sequences: list[str], order: int) -> list[list[tuple[str, ...]]]:
    """The n-grams of each sequence up to an order. Its start is n - 1 pads, which nothing is asked to predict."""
    lines = [PAD * (order - 1) + sequence for sequence in sequences]
    return [[tuple(line[t - n : t + 1]) for t in range(order - 1, len(line)) for n in range(order)] for line in lines]


def nltks(sequences: list[str], order: int, **settings: float) -> KneserNeyInterpolated:
    model = KneserNeyInterpolated(order, **settings)
    model.fit(grams(sequences, order), vocabulary_text=SYMBOLS + PAD)
    return model


def ours(sequences: list[str], order: int, contexts: list[tuple[str, ...]]) -> np.ndarray:
    """Distributions after contexts. [contexts, symbols]"""
    numbers = {symbol: i for i, symbol in enumerate(SYMBOLS + PAD)}
    model = KneserNey([np.array([numbers[symbol] for symbol in each]) for each in sequences], len(SYMBOLS), order)
    places = model.base ** np.arange(order - 1)[::-1]
    return model.probabilities(np.array([[numbers[symbol] for symbol in context] for context in contexts]) @ places)


def discount(counts: list[int]) -> float:
    """n1 / (n1 + 2 n2), of Ney, Essen and Kneser (1994); ours is one half where nothing is counted once."""
    once, twice = counts.count(1), counts.count(2)
    return once / (once + 2 * twice) if once else 0.5


@pytest.mark.parametrize("order", [2, 3, 4])
def test_probabilities_are_nltks_with_the_discounts_matched(order):
    random = np.random.default_rng(3)
    share = 1 / np.arange(1, len(SYMBOLS)) ** 1.5  # the last symbol is never seen
    sequences = ["".join(random.choice(list(SYMBOLS[:-1]), n, p=share / share.sum())) for n in (60, 45, 3, 20)]
    theirs = nltks(sequences, order)
    kinds = {n: {gram for line in grams(sequences, order) for gram in line if len(gram) == n} for n in range(1, 5)}
    counts = {order: [theirs.counts[gram[:-1]][gram[-1]] for gram in kinds[order]]}
    for n in range(1, order):
        below = [gram[1:] for gram in kinds[n + 1]]
        counts[n] = [below.count(gram) for gram in kinds[n]]
    theirs.estimator = Discounted(theirs, {n: discount(counts[n]) for n in counts})
    unseen = {(symbol,) * (order - 1) for symbol in SYMBOLS}
    contexts = sorted({gram[:-1] for gram in kinds[order]} | unseen)
    expected = [[theirs.unmasked_score(symbol, context) for symbol in SYMBOLS] for context in contexts]
    assert_allclose(ours(sequences, order, contexts), expected, atol=1e-12)


def test_where_unigrams_are_uniform_they_are_nltks_as_it_stands():
    """Every symbol follows as many others as any other does, so that no discount of the unigrams shows."""
    random = np.random.default_rng(0)
    pairs = [SYMBOLS[i] + SYMBOLS[(i + step) % len(SYMBOLS)] for i in range(len(SYMBOLS)) for step in (1, 2, 4)]
    sequences = [pair for pair in pairs for _ in range(random.integers(1, 5))]
    bigrams = [gram for line in grams(sequences, 2) for gram in line if len(gram) == 2]
    theirs = nltks(sequences, 2, discount=discount([bigrams.count(gram) for gram in set(bigrams)]))
    contexts = [(before,) for before in SYMBOLS + PAD]
    expected = [[theirs.unmasked_score(symbol, context) for symbol in SYMBOLS] for context in contexts]
    rows = ours(sequences, 2, contexts)
    assert_allclose(rows, expected, atol=1e-12)
    assert rows.std() > 0.05
