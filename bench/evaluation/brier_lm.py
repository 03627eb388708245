"""BrierLM: quality of a model's *draws*, for models without a likelihood too.

Source: Shao et al. 2025, "Continuous Autoregressive Language Models".
Brier-n = P(x = y) + P(x' = y) − P(x = x') for two independent draws x, x' of the next n words and the true next n words
y. Its expectation is 2 p(y) − Σ p². M positions, n = 1 … 4 words.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.models.language_model import rows_of

log = logging.getLogger(__name__)

MOST_WORDS = 4  # largest n of Brier-n

SEED = 20251031  # of the draws; the same for all runs, whatever their own seed

NO_WORD = -1  # id that equals no word: `<unk>`, or a draw that was not made since nothing could match


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


def shared_words(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Count the equal words at the beginning of two rows of ids; NO_WORD equals nothing. [M, 4] each -> [M]"""
    return np.logical_and.accumulate((one == other) & (one != NO_WORD), axis=1).sum(1)


def continue_draws(
    states: Any,
    first: Tensor,
    true: Tensor,
    unk: int,
    proceed: Callable[[Any, Tensor], Any],
    draw: Callable[[Any, Tensor], Tensor],
    random: torch.Generator,
) -> Tensor:
    """Continue two draws of the first word to `MOST_WORDS` words each.

    A draw ends as soon as it differs from the true words and from the other draw. Two equal draws share one state.

    Args:
        states: states of a model before each position; leaves [M, …].
        first: two draws of the first word. [M, 2]
        true: ids of the true words. [M, MOST_WORDS]
        unk: id of `<unk>`, which equals nothing.
        proceed: states and the next words -> the states after them.
        draw: states and two random numbers per state, uniform in [0, 1) -> two words per state. [S, 2] -> [S, 2]
        random: generator of these numbers.

    Returns:
        Ids; NO_WORD if no word or `<unk>` was drawn. [M, 2, MOST_WORDS]
    """
    drawn = torch.full((*first.shape, MOST_WORDS), NO_WORD, device=first.device)
    drawn[..., 0] = first
    rows = torch.arange(len(first), device=first.device)  # positions at which a draw has not ended, [m]
    state = torch.stack([rows, rows], 1)  # index of the state of each draw, [m, 2]
    for n in range(1, MOST_WORDS):
        so_far = drawn[rows, :, :n]  # [m, 2, n]
        hit = (so_far == true[rows, None, :n]).all(-1) & (true[rows, None, :n] != unk).all(-1)
        level = (so_far[:, 0] == so_far[:, 1]).all(-1) & (so_far[:, 0] != unk).all(-1)
        goes_on = hit | level[:, None]  # [m, 2]
        alive = goes_on.any(1)
        rows, goes_on, level, state = rows[alive], goes_on[alive], level[alive], state[alive]
        if not len(rows):
            break
        own = goes_on.clone()  # draws with a state of their own
        own[level, 1] = False
        states = proceed(rows_of(states, state[own]), drawn[rows, :, n - 1][own])
        state = own.flatten().cumsum(0).view_as(own) - 1
        state[level, 1] = state[level, 0]
        uniform = torch.rand(2, len(rows), generator=random, device=first.device).T  # [m, 2]
        words = draw(states, uniform[own.nonzero()[:, 0]])
        drawn[rows, :, n] = torch.where(goes_on, words.gather(0, state.clamp_min(0)), NO_WORD)
    return drawn.masked_fill(drawn == unk, NO_WORD)
