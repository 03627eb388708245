"""Kneser-Ney n-grams against the formula, written with dictionaries, symbol by symbol."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from factories.references import kneser_ney

from bench.models.kneser_ney import KneserNey


def code_of(history: Sequence[int], base: int) -> int:
    """Return the code of a context, as `KneserNey.context_codes` defines it."""
    value = 0
    for symbol in history:
        value = value * base + symbol
    return value


def histories(alphabet: int, length: int) -> list[tuple[int, ...]]:
    """Return all contexts of a given length, with those at the start of a sequence."""
    return [
        (alphabet,) * pads + symbols
        for pads in range(length + 1)
        for symbols in itertools.product(range(alphabet), repeat=length - pads)
    ]


@pytest.fixture(scope="module")
def sequences() -> list[np.ndarray]:
    random = np.random.default_rng(3)
    drawn = [random.zipf(1.6, length).astype(np.int64) - 1 for length in (40, 25, 1, 9)]
    return [sequence[sequence < 5] for sequence in drawn]  # symbol 5 of the alphabet is never seen


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_equal_formula_after_every_context(sequences, order):
    model, p = KneserNey(sequences, 6, order), kneser_ney([s.tolist() for s in sequences], 6, order)
    contexts = histories(6, order - 1)
    rows = model.probabilities(np.array([code_of(history, 7) for history in contexts]))
    expected = [[p(symbol, history) for symbol in range(6)] for history in contexts]
    np.testing.assert_allclose(rows, expected, atol=1e-12)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-9)
    assert rows.min() > 0


@pytest.mark.parametrize("order", [1, 2, 4])
def test_symbol_probabilities_equal_those_of_whole_distributions(sequences, order):
    model = KneserNey(sequences, 6, order)
    contexts = np.repeat([code_of(history, 7) for history in histories(6, order - 1)], 6)  # unseen ones too
    symbols = np.tile(np.arange(6), len(contexts) // 6)
    expected = model.probabilities(contexts)[np.arange(len(contexts)), symbols]
    np.testing.assert_array_equal(model.symbol_probabilities(contexts, symbols), expected)


def test_bigram_probabilities_equal_hand_computed():
    # bigrams <s>0, 00, 01 occur once each: d = 1
    # unigrams: 0 has the left neighbours <s> and 0, and 1 has the left neighbour 0: d = 1 / (1 + 2)
    rows = KneserNey([np.array([0, 0, 1])], 2, 2).probabilities(np.array([2, 0, 1]))
    uniform, discount = 1 / 2, 1 / 3
    lower = np.array([2 - discount, 1 - discount]) / 3 + discount * 2 / 3 * uniform
    np.testing.assert_allclose(rows, [lower, lower, lower], atol=1e-15)


def test_discount_is_one_half_when_no_ngram_occurs_once():
    row = KneserNey([np.array([0, 0, 1, 1, 1])], 4, 1).probabilities(np.array([0]))[0]
    np.testing.assert_allclose(row, np.array([1.5, 2.5, 0, 0]) / 5 + 0.5 * 2 / 5 / 4, atol=1e-15)


def test_start_of_sequence_is_a_separate_context():
    sequences = [np.array([0, 1, 1, 1])] * 3 + [np.array([1, 1, 1])]
    model = KneserNey(sequences, 2, 3)
    assert model.context_codes(np.array([0, 1, 1]), 2).tolist() == [code_of(h, 3) for h in ((2, 2), (2, 0), (0, 1))]
    start, inside = model.probabilities(np.array([code_of((2, 2), 3), code_of((1, 1), 3)]))
    assert start[0] > 0.5 > inside[0]


def test_sequences_are_counted_separately():
    model = KneserNey([np.array([0, 1]), np.array([2, 0])], 3, 2)
    assert model.levels[1].contexts.tolist() == [0, 2, 3]  # 0, 2 and <s>; no symbol follows 1


def test_order_is_refused_when_codes_of_contexts_do_not_fit_63_bits():
    KneserNey([np.array([0])], 2**21 - 2, 4)
    with pytest.raises(ValueError, match="order 4 over 2097151 symbols does not fit 63 bits"):
        KneserNey([np.arange(3)], 2**21 - 1, 4)


@pytest.mark.parametrize("order", [3, 4, 5])
def test_model_is_the_same_when_the_codes_of_ngrams_exceed_63_bits(order):
    """Rare symbols with high numbers, and the same symbols with low numbers: probabilities agree symbol by symbol."""
    random = np.random.default_rng(order)
    large = int(2 ** (62 / (order - 1))) - 2  # contexts fit, n-grams do not
    high = np.sort(random.choice(large, 6, replace=False))
    sequences = [random.choice(6, length) for length in (30, 20, 1, 12)]
    small_model, model = KneserNey(sequences, 6, order), KneserNey([high[each] for each in sequences], large, order)
    text = random.choice(6, 200)
    pairs = [
        each.symbol_probabilities(each.context_codes(symbols, order - 1), symbols)
        for each, symbols in ((small_model, text), (model, high[text]))
    ]
    difference = small_model.levels[0].backoff[0] * (1 / 6 - 1 / large)  # of the uniform distribution below all orders
    for length in range(order):
        expected, found = small_model.levels[length], model.levels[length]
        np.testing.assert_array_equal(found.symbols, high[expected.symbols])
        np.testing.assert_array_equal(found.offsets, expected.offsets)
        np.testing.assert_allclose(found.shares, expected.shares, rtol=1e-15)
    assert np.all(pairs[0] - pairs[1] <= difference + 1e-15) and np.all(pairs[0] >= pairs[1])


def test_probabilities_over_whole_vocabulary_sum_to_one(vocabulary):
    documents = [vocabulary.encode(words).astype(np.int64) for words in vocabulary.corpus.train.documents()]
    model = KneserNey(documents, len(vocabulary), 3)
    seen = model.context_codes(vocabulary.encode(vocabulary.corpus.test.words[:100]), 2)
    unseen = np.random.default_rng(0).integers(0, model.base**2, 100)
    np.testing.assert_allclose(model.probabilities(np.concatenate([seen, unseen])).sum(1), 1, atol=1e-9)
