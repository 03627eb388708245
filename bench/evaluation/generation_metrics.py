"""Metrics of generated texts that need no model: distinct and repeated n-grams, and copies from the training text.

A text is a list of words; n-grams never cross two texts. R texts, N training words, n length of an n-gram.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from bench.data.text import Text

COPIED = 8  # words of an n-gram that counts as copied

CHUNK = 2**22  # training n-grams hashed at once; bounds memory

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, with irregular bits: hashes are polynomials modulo 2^64


def ngrams(text: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    """Return all n-grams of a text; none if the text is shorter than n."""
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def distinct(texts: Sequence[Sequence[Hashable]], n: int) -> float | None:
    """Return distinct n-grams over all n-grams of all texts together (distinct-n, Li et al. 2016); None without any."""
    every = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(every)) / len(every) if every else None


def repeated(texts: Sequence[Sequence[Hashable]], n: int) -> float | None:
    """Return the mean over texts of 1 − distinct / all n-grams of the text (seq-rep-n, Welleck et al. 2020)."""
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := ngrams(text, n))]
    return sum(shares) / len(shares) if shares else None


def copied(texts: Sequence[np.ndarray], train: Text, n: int = COPIED) -> float | None:
    """Return the share of n-grams of the texts that occur in a training document. [length] each

    Args:
        texts: lexicon indices; −1 for a word that the lexicon lacks.
    """
    hashes = np.concatenate([hashed(text, n) for text in texts] or [np.empty(0, np.uint64)])
    known = np.concatenate([windows(text, n).min(1) >= 0 for text in texts] or [np.empty(0, bool)])
    if not len(hashes):
        return None
    copies, wanted = np.zeros(len(hashes), bool), np.unique(hashes)
    for start in range(0, max(0, len(train) - n + 1), CHUNK):
        block = hashed(train.words[start : start + CHUNK + n - 1], n)
        at = np.searchsorted(wanted, block).clip(max=len(wanted) - 1)
        hits = np.flatnonzero(wanted[at] == block)
        first, last = (np.searchsorted(train.starts, start + hits + shift, side="right") for shift in (0, n - 1))
        copies |= np.isin(hashes, block[hits[first == last]])  # both ends are in one document
    return float((copies & known).mean())


def windows(words: np.ndarray, n: int) -> np.ndarray:
    """Return a view of all n-grams. [length] -> [length − n + 1, n]; none if the text is shorter than n"""
    if len(words) < n:
        return np.empty((0, n), np.int64)
    return np.lib.stride_tricks.sliding_window_view(words, n)


def hashed(words: np.ndarray, n: int) -> np.ndarray:
    """Return a 64-bit hash of each n-gram; two n-grams share a hash by chance with probability 2^−64. -> uint64"""
    values = mixed(np.asarray(words).astype(np.int64).view(np.uint64) + np.uint64(2))
    total = np.zeros(max(0, len(values) - n + 1), np.uint64)
    for offset in range(n):
        total = total * MULTIPLIER + values[offset : offset + len(total)]
    return total


def mixed(values: np.ndarray) -> np.ndarray:
    """Return well-mixed 64-bit numbers, so that small word indices fill all bits (splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
