"""Interpolated Kneser-Ney n-grams over any alphabet: the n-gram over words, and the byte model of the speller.

p_n(w | h) = max(c(hw) - d, 0) / c(h) + d · T(h) / c(h) · p_{n-1}(w | h'); the lowest order backs off to the uniform
distribution. c = number of occurrences at the highest order, and number of distinct left neighbours at lower orders;
T(h) = number of distinct symbols after h; d = n1 / (n1 + 2 n2), one discount per order (Kneser & Ney 1995;
Chen & Goodman 1999). A = alphabet size; N = positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Level:
    """n-grams of one order, grouped by context; n-grams of context i have the indices `offsets[i]:offsets[i + 1]`."""

    index: dict[int, int]  # context code -> i
    offsets: np.ndarray  # [contexts + 1]
    symbols: np.ndarray  # [n-grams]
    shares: np.ndarray  # [n-grams], (c(hw) - d) / c(h)
    backoff: np.ndarray  # [contexts], d · T(h) / c(h)

    def interpolate(self, rows: np.ndarray, contexts: np.ndarray) -> None:
        """Interpolate this order into `rows` [N, A] in place; a row keeps the lower order if its context is unseen."""
        for row, context in zip(rows, contexts.tolist(), strict=True):
            i = self.index.get(context)
            if i is not None:
                span = slice(self.offsets[i], self.offsets[i + 1])
                row *= self.backoff[i]
                row[self.symbols[span]] += self.shares[span]


class KneserNey:
    """Interpolated Kneser-Ney model of symbols.

    The probabilities after any context sum to one over the alphabet. The start of a sequence is a separate context.

    Args:
        sequences: sequences of symbols in [0, alphabet), [length] each.
        alphabet: number of symbols, A.
        order: n; a context has n - 1 symbols. (A + 1) ** n must be below 2 ** 63.
        weights: number of occurrences of each sequence; None: one per sequence. [sequences]

    Raises:
        ValueError: the codes of n-grams do not fit 63 bits.
    """

    def __init__(
        self, sequences: Sequence[np.ndarray], alphabet: int, order: int, *, weights: np.ndarray | None = None
    ):
        self.alphabet, self.order = alphabet, order
        self.base = alphabet + 1  # the extra symbol pads the start of a sequence
        if self.base**order >= 2**63:
            raise ValueError(f"order {order} over {alphabet} symbols does not fit 63 bits")
        codes = [self.context_codes(sequence, order - 1) * self.base + sequence for sequence in sequences]
        occurrences = np.repeat(np.ones(len(codes)) if weights is None else weights, [len(code) for code in codes])
        grams, gram_of = np.unique(np.concatenate(codes), return_inverse=True)
        counts = np.bincount(gram_of, occurrences).astype(np.int64)
        levels = []
        for length in range(order, 0, -1):
            levels.append(self._level(grams, counts))
            grams, counts = np.unique(grams % self.base ** (length - 1), return_counts=True)
        self.levels = levels[::-1]  # of context lengths 0 .. n - 1

    def context_codes(self, sequence: np.ndarray, length: int) -> np.ndarray:
        """Return the code of the `length` symbols before each position. [N] -> [N] int64"""
        padded = np.concatenate([np.full(length, self.alphabet), sequence]).astype(np.int64)
        code = np.zeros(len(sequence), np.int64)
        for offset in range(length):
            code = code * self.base + padded[offset : offset + len(sequence)]
        return code

    def _level(self, grams: np.ndarray, counts: np.ndarray) -> Level:
        """Discount the counts of the sorted n-grams of one order. [n-grams] each"""
        contexts, starts = np.unique(grams // self.base, return_index=True)
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        discount = once / (once + 2 * twice) if once else 0.5
        totals, types = np.add.reduceat(counts, starts), np.diff([*starts, len(grams)])
        shares = (counts - discount) / np.repeat(totals, types)
        index = {int(context): i for i, context in enumerate(contexts)}
        return Level(index, np.append(starts, len(grams)), grams % self.base, shares, discount * types / totals)

    def probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """Return the distribution after each context of n - 1 symbols, given as a code. [N] -> [N, A] float64"""
        uniform = np.full((1, self.alphabet), 1 / self.alphabet)
        self.levels[0].interpolate(uniform, np.zeros(1, np.int64))
        rows = np.repeat(uniform, len(contexts), axis=0)
        for length, level in enumerate(self.levels[1:], 1):
            level.interpolate(rows, contexts % self.base**length)
        return rows
