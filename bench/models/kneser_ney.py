"""Interpolated Kneser-Ney over any alphabet: the word-level floor of every table, and the speller's model of bytes.

p_n(w | h) = max(c(hw) - d, 0) / c(h) + d · T(h) / c(h) · p_{n-1}(w | h'), down to the uniform distribution, with
c = occurrences at the highest order and distinct left neighbours below it, T(h) = the distinct words after h and
d = n1 / (n1 + 2 n2) an order (Kneser & Ney 1995; Chen & Goodman 1999, interpolated, one discount an order).
A = alphabet size; N = positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Level:
    """The n-grams of one order, grouped by context: those of context i are `offsets[i]:offsets[i + 1]`."""

    index: dict[int, int]  # context code -> i
    offsets: np.ndarray  # [contexts + 1]
    symbols: np.ndarray  # [n-grams]
    shares: np.ndarray  # [n-grams], (c(hw) - d) / c(h)
    backoff: np.ndarray  # [contexts], d · T(h) / c(h)

    def mix(self, rows: np.ndarray, contexts: np.ndarray) -> None:
        """Interpolate this order into `rows` [N, A] in place; an unseen context keeps the lower order."""
        for row, context in zip(rows, contexts.tolist(), strict=True):
            i = self.index.get(context)
            if i is not None:
                span = slice(self.offsets[i], self.offsets[i + 1])
                row *= self.backoff[i]
                row[self.symbols[span]] += self.shares[span]


class KneserNey:
    """Sums to one over the alphabet after any context; a sequence's start is a context of its own.

    Args:
        sequences: of symbols in [0, alphabet).
        alphabet: A.
        order: n, the context being n - 1 symbols; (A + 1) ** n must fit 63 bits.
        weights: how often each sequence occurs; once each unless given.

    Raises:
        ValueError: the codes of n-grams would not fit.
    """

    def __init__(
        self, sequences: Sequence[np.ndarray], alphabet: int, order: int, *, weights: np.ndarray | None = None
    ):
        self.alphabet, self.order, self.base = (
            alphabet,
            order,
            alphabet + 1,
        )  # the extra symbol pads the start
        if self.base**order >= 2**63:
            raise ValueError(f"order {order} over {alphabet} symbols does not fit 63 bits")
        codes = [self.contexts(sequence, order - 1) * self.base + sequence for sequence in sequences]
        occurrences = np.repeat(np.ones(len(codes)) if weights is None else weights, [len(code) for code in codes])
        grams, which = np.unique(np.concatenate(codes), return_inverse=True)
        counts = np.bincount(which, occurrences).astype(np.int64)
        levels = []
        for length in range(order, 0, -1):
            levels.append(self._level(grams, counts))
            grams, counts = np.unique(grams % self.base ** (length - 1), return_counts=True)
        self.levels = levels[::-1]  # of context lengths 0 .. n - 1

    def contexts(self, sequence: np.ndarray, length: int) -> np.ndarray:
        """The code of the `length` symbols before each position. [N] -> [N] int64"""
        padded = np.concatenate([np.full(length, self.alphabet), sequence]).astype(np.int64)
        code = np.zeros(len(sequence), np.int64)
        for back in range(length):
            code = code * self.base + padded[back : back + len(sequence)]
        return code

    def _level(self, grams: np.ndarray, counts: np.ndarray) -> Level:
        contexts, starts = np.unique(grams // self.base, return_index=True)
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        discount = once / (once + 2 * twice) if once else 0.5
        totals, types = np.add.reduceat(counts, starts), np.diff([*starts, len(grams)])
        shares = (counts - discount) / np.repeat(totals, types)
        index = {int(context): i for i, context in enumerate(contexts)}
        return Level(index, np.append(starts, len(grams)), grams % self.base, shares, discount * types / totals)

    def probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """The distribution after each context of n - 1 symbols, by its code. [N] -> [N, A] float64"""
        uniform = np.full((1, self.alphabet), 1 / self.alphabet)
        self.levels[0].mix(uniform, np.zeros(1, np.int64))
        rows = np.repeat(uniform, len(contexts), axis=0)
        for length, level in enumerate(self.levels[1:], 1):
            level.mix(rows, contexts % self.base**length)
        return rows
