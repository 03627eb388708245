"""Against interpolated Kneser-Ney written with dictionaries, symbol by symbol."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from factories.references import kneser_ney

from bench.models.kneser_ney import KneserNey


def code(history: Sequence[int], base: int) -> int:
    """A context as `NGram` numbers it."""
    value = 0
    for symbol in history:
        value = value * base + symbol
    return value


def histories(alphabet: int, length: int) -> list[tuple[int, ...]]:
    """All contexts of so many symbols, those at a start too."""
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
def test_every_context_agrees_with_the_formula(sequences, order):
    model, p = KneserNey(sequences, 6, order), kneser_ney([s.tolist() for s in sequences], 6, order)
    contexts = histories(6, order - 1)
    rows = model.probabilities(np.array([code(history, 7) for history in contexts]))
    expected = [[p(symbol, history) for symbol in range(6)] for history in contexts]
    np.testing.assert_allclose(rows, expected, atol=1e-12)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-9)
    assert rows.min() > 0


def test_a_bigram_by_hand():
    # grams <s>0, 00, 01: each once, so d = 1; below, 0 has the left neighbours <s> and 0, and 1 has 0: d = 1 / (1 + 2)
    rows = KneserNey([np.array([0, 0, 1])], 2, 2).probabilities(np.array([2, 0, 1]))
    uniform, discount = 1 / 2, 1 / 3
    lower = np.array([2 - discount, 1 - discount]) / 3 + discount * 2 / 3 * uniform
    np.testing.assert_allclose(rows, [lower, lower, lower], atol=1e-15)


def test_without_grams_seen_once_the_discount_is_one_half():
    row = KneserNey([np.array([0, 0, 1, 1, 1])], 4, 1).probabilities(np.array([0]))[0]
    np.testing.assert_allclose(row, np.array([1.5, 2.5, 0, 0]) / 5 + 0.5 * 2 / 5 / 4, atol=1e-15)


def test_a_sequence_starts_from_a_context_of_its_own():
    sequences = [np.array([0, 1, 1, 1])] * 3 + [np.array([1, 1, 1])]
    model = KneserNey(sequences, 2, 3)
    assert model.context_codes(np.array([0, 1, 1]), 2).tolist() == [code(h, 3) for h in ((2, 2), (2, 0), (0, 1))]
    start, inside = model.probabilities(np.array([code((2, 2), 3), code((1, 1), 3)]))
    assert start[0] > 0.5 > inside[0]


def test_one_sequence_does_not_run_into_the_next():
    apart = KneserNey([np.array([0, 1]), np.array([2, 0])], 3, 2)
    assert apart.levels[1].index.keys() == {3, 0, 2}  # <s>, 0 and 2; nothing follows 1


def test_codes_that_do_not_fit_are_refused():
    KneserNey([np.array([0])], 2**21 - 2, 3)
    with pytest.raises(ValueError, match="order 3 over 2097151 symbols does not fit 63 bits"):
        KneserNey([np.array([0])], 2**21 - 1, 3)


def test_a_whole_vocabulary_sums_to_one(vocabulary):
    documents = [vocabulary.encode(words).astype(np.int64) for words in vocabulary.corpus.train.documents()]
    model = KneserNey(documents, len(vocabulary), 3)
    seen = model.context_codes(vocabulary.encode(vocabulary.corpus.test.words[:100]), 2)
    unseen = np.random.default_rng(0).integers(0, model.base**2, 100)
    np.testing.assert_allclose(model.probabilities(np.concatenate([seen, unseen])).sum(1), 1, atol=1e-9)
