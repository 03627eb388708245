"""BrierLM: quality of a model's *draws*, for models without a likelihood too.

Source: Shao et al. 2025, "Continuous Autoregressive Language Models".
Brier-n = P(x = y) + P(x' = y) − P(x = x') for two independent draws x, x' of the next n words and the true next n words
y. Its expectation is 2 p(y) − Σ p². M positions, n = 1 … 4 words.
"""

import logging

import numpy as np

log = logging.getLogger(__name__)

MOST_WORDS = 4  # largest n of Brier-n

SEED = 20251031  # of the draws; the same for all runs, whatever their own seed


def start_positions(document: np.ndarray) -> np.ndarray:
    """Return the positions whose next `MOST_WORDS` words are in one document. [N] -> [M] int64"""
    last = np.minimum(np.arange(len(document)) + MOST_WORDS - 1, len(document) - 1)
    inside = np.arange(len(document)) + MOST_WORDS <= len(document)
    return np.flatnonzero((document[last] == document) & inside)


def estimates_of(with_true: np.ndarray, other_with_true: np.ndarray, with_each_other: np.ndarray) -> np.ndarray:
    """Return one estimate of Brier-1 … Brier-4 per position. -> [M, 4] float32

    NaN if the two draws never differ: a deterministic decoder has no distribution to estimate.

    Args:
        with_true: number of words at the beginning of the first draw that equal the true words. [M]
        other_with_true: the corresponding number for the second draw. [M]
        with_each_other: number of words at the beginning of both draws that are equal. [M]
    """
    if len(with_true) > 1 and (with_each_other > 0).all():
        log.warning("BrierLM is undefined: two draws at a position never differ, as if decoding were greedy")
        return np.full((len(with_true), MOST_WORDS), np.nan, np.float32)
    one, other, both = (
        (equal_words[:, None] > np.arange(MOST_WORDS)).astype(np.float32)
        for equal_words in (with_true, other_with_true, with_each_other)
    )
    return one + other - both


def at_positions(estimates: np.ndarray, positions: np.ndarray, length: int) -> np.ndarray:
    """Return the estimates at their positions, NaN at all others. [M, 4], [M] -> [N, 4] float32"""
    values = np.full((length, MOST_WORDS), np.nan, np.float32)
    values[positions] = estimates
    return values
