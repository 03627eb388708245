"""Interpolated Kneser-Ney n-grams over any alphabet: the n-gram over words, and the byte model of the speller.

p_n(w | h) = max(c(hw) - d, 0) / c(h) + d · T(h) / c(h) · p_{n-1}(w | h'); the lowest order backs off to the uniform
distribution. c = number of occurrences at the highest order, and number of distinct left neighbours at lower orders;
T(h) = number of distinct symbols after h; d = n1 / (n1 + 2 n2), one discount per order (Kneser & Ney 1995;
Chen & Goodman 1999). A = alphabet size; N = positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.data.text import ragged


@dataclass(frozen=True)
class Level:
    """n-grams of one order, grouped by context; n-grams of context i have the indices `offsets[i]:offsets[i + 1]`."""

    contexts: np.ndarray  # [contexts] int64, codes in rising order
    offsets: np.ndarray  # [contexts + 1]
    symbols: np.ndarray  # [n-grams] int32
    shares: np.ndarray  # [n-grams], (c(hw) - d) / c(h)
    backoff: np.ndarray  # [contexts], d · T(h) / c(h)

    @classmethod
    def of(cls, grams: np.ndarray, counts: np.ndarray, base: int) -> "Level":
        """Group the sorted n-grams of one order by context. [n-grams] each"""
        starts = boundaries(grams // base)
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        discount = once / (once + 2 * twice) if once else 0.5
        totals, types = np.add.reduceat(counts, starts), np.diff(starts, append=len(grams))
        return cls(
            contexts=grams[starts] // base,
            offsets=np.append(starts, len(grams)),
            symbols=(grams % base).astype(np.int32),
            shares=(counts - discount) / np.repeat(totals, types),
            backoff=discount * types / totals,
        )

    @cached_property
    def keys(self) -> np.ndarray:
        """Context index · 2**32 + symbol of each n-gram, in rising order; made by the first look-up. [n-grams] int64"""
        return (np.repeat(np.arange(len(self.contexts)), np.diff(self.offsets)) << 32) + self.symbols

    def interpolate(self, rows: np.ndarray, contexts: np.ndarray) -> None:
        """Interpolate this order into `rows` [N, A] in place; a row keeps the lower order if its context is unseen."""
        at, seen = find(self.contexts, contexts)
        for n, i in zip(np.flatnonzero(seen).tolist(), at[seen].tolist(), strict=True):
            row, span = rows[n], slice(self.offsets[i], self.offsets[i + 1])
            row *= self.backoff[i]
            row[self.symbols[span]] += self.shares[span]

    def interpolate_symbols(self, p: np.ndarray, contexts: np.ndarray, symbols: np.ndarray) -> None:
        """Interpolate this order into the probabilities of one symbol per context, in place. [N] each"""
        at, seen = find(self.contexts, contexts)
        p[seen] *= self.backoff[at[seen]]
        at, seen_before = find(self.keys, (at << 32) + symbols)
        seen &= seen_before
        p[seen] += self.shares[at[seen]]


class KneserNey:
    """Interpolated Kneser-Ney model of symbols.

    The probabilities after any context sum to one over the alphabet. The start of a sequence is a separate context.

    Args:
        sequences: sequences of symbols in [0, alphabet), [length] each.
        alphabet: number of symbols, A.
        order: n; a context has n - 1 symbols. (A + 1) ** (n - 1) must be below 2 ** 63.
        weights: number of occurrences of each sequence; None: one per sequence. [sequences]

    Raises:
        ValueError: the codes of contexts do not fit 63 bits.
    """

    def __init__(
        self, sequences: Sequence[np.ndarray], alphabet: int, order: int, *, weights: np.ndarray | None = None
    ):
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        symbols, depths = np.concatenate(sequences), ragged(np.zeros(len(lengths), np.int64), lengths)
        contexts = context_codes(symbols, depths, alphabet, order - 1)
        self._fit(contexts, symbols, alphabet, order, None if weights is None else np.repeat(weights, lengths))

    @classmethod
    def counted(cls, contexts: np.ndarray, symbols: np.ndarray, alphabet: int, order: int) -> "KneserNey":
        """Return the model of symbols after `context_codes`, which are overwritten instead of copied. [N], [N]"""
        model = cls.__new__(cls)
        model._fit(contexts, symbols, alphabet, order, None)
        return model

    def _fit(
        self, contexts: np.ndarray, symbols: np.ndarray, alphabet: int, order: int, occurrences: np.ndarray | None
    ) -> None:
        """Count n-grams of every order. [N] each; occurrences None: each position counts once"""
        self.alphabet, self.order = alphabet, order
        self.base = alphabet + 1  # the extra symbol pads the start of a sequence
        ranked = None
        if self.base**order >= 2**63:  # the ranks of the contexts stand for their codes at the highest order
            ranked, contexts = np.unique(contexts, return_inverse=True)
        codes = contexts
        codes *= self.base
        codes += symbols
        levels = []
        for length in range(order, 0, -1):
            if occurrences is None:
                codes.sort()
                starts = boundaries(codes)
                counts = np.diff(starts, append=len(codes))
            else:
                rising = np.argsort(codes, kind="stable")
                codes = codes[rising]
                starts = boundaries(codes)
                counts, occurrences = np.add.reduceat(occurrences[rising], starts), None
            codes = codes[starts]
            level = Level.of(codes, counts, self.base)
            if ranked is None:
                codes %= self.base ** (length - 1)  # n-grams of the next order: without the oldest symbol
            else:
                level = replace(level, contexts=ranked[level.contexts])
                codes = ranked[codes // self.base] % self.base ** (length - 2) * self.base + codes % self.base
                ranked = None
            levels.append(level)
        self.levels = levels[::-1]  # of context lengths 0 .. n - 1

    def context_codes(self, sequence: np.ndarray, length: int, depths: np.ndarray | None = None) -> np.ndarray:
        """Return the code of the `length` symbols before each position. [N] -> [N] int64

        Args:
            depths: symbols before each position in its own sequence, if `sequence` is several of them. [N]
        """
        depths = np.arange(len(sequence)) if depths is None else depths
        return context_codes(sequence, depths, self.alphabet, length)

    def probabilities(self, contexts: np.ndarray, dtype: type[np.floating] = np.float64) -> np.ndarray:
        """Return the distribution after each context of n - 1 symbols, given as a code. [N] -> [N, A]"""
        unigram = np.full((1, self.alphabet), 1 / self.alphabet)
        self.levels[0].interpolate(unigram, np.zeros(1, np.int64))
        rows = np.repeat(unigram.astype(dtype), len(contexts), axis=0)
        for length, level in enumerate(self.levels[1:], 1):
            level.interpolate(rows, contexts % self.base**length)
        return rows

    def symbol_probabilities(self, contexts: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Return the probability of one symbol after each context, as in `probabilities`. [N], [N] -> [N] float64"""
        p = np.full(len(symbols), 1 / self.alphabet)
        for length, level in enumerate(self.levels):
            level.interpolate_symbols(p, contexts % self.base**length, symbols)
        return p


def codes_fit(alphabet: int, length: int) -> bool:
    """True if the codes of contexts of `length` symbols, pads among them, have at most 63 bits."""
    return (alphabet + 1) ** length < 2**63


def context_codes(symbols: np.ndarray, depths: np.ndarray, alphabet: int, length: int) -> np.ndarray:
    """Return the code of the `length` symbols before each position; pads precede a sequence. [N], [N] -> [N] int64

    Args:
        depths: symbols before each position in its own sequence.

    Raises:
        ValueError: the codes do not fit 63 bits.
    """
    if not codes_fit(alphabet, length):
        raise ValueError(f"order {length + 1} over {alphabet} symbols does not fit 63 bits")
    codes = np.zeros(len(symbols), np.int64)
    for back in range(length, 0, -1):
        codes *= alphabet + 1
        codes[:back] += alphabet
        codes[back:] += np.where(depths[back:] < back, alphabet, symbols[: max(0, len(symbols) - back)])
    return codes


def find(rising: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each value's index in a sorted array, and whether the array has the value. [N] -> [N], [N] bool

    The index of a value that the array lacks has no meaning.
    """
    at = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
    return at, rising[at] == values


def boundaries(values: np.ndarray) -> np.ndarray:
    """Return the index of the first of each run of equal values. [N] -> [runs]"""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
