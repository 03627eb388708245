"""BrierLM: how good a model's *draws* are, likelihood or none (Shao et al. 2025, "Continuous Autoregressive Language
Models").

Brier-n = P(x = y) + P(x' = y) − P(x = x') for two independent draws x, x' of the next n words and the true ones y,
which has the expectation 2 p(y) − Σ p². M positions, n = 1 … 4 words.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

MOST_WORDS = 4  # of an n-gram at most

SEED = 20251031  # of the draws, the same for runs of every seed

NO_WORD = -1  # no word, equal to none: `<unk>`, or a draw that was not made because nothing could match any more


def start_positions(document: np.ndarray) -> np.ndarray:
    """Positions whose next `WORDS` words lie in one document. [N] -> [M] int64"""
    last = np.minimum(np.arange(len(document)) + MOST_WORDS - 1, len(document) - 1)
    inside = np.arange(len(document)) + MOST_WORDS <= len(document)
    return np.flatnonzero((document[last] == document) & inside)


def estimates_of(with_true: np.ndarray, other_with_true: np.ndarray, with_each_other: np.ndarray) -> np.ndarray:
    """One estimate of Brier-1 … Brier-4 a position, from how many words two draws share. [M] each -> [M, 4] float32

    Raises:
        ValueError: the two draws never differ: a deterministic decoder has no distribution to estimate.
    """
    if len(with_true) > 1 and (with_each_other > 0).all():
        raise ValueError(
            "BrierLM needs two independent draws a position; these never differ, as if decoding were greedy"
        )
    one, other, both = (
        (shared[:, None] > np.arange(MOST_WORDS)).astype(np.float32)
        for shared in (with_true, other_with_true, with_each_other)
    )
    return one + other - both


def at_positions(estimates: np.ndarray, positions: np.ndarray, length: int) -> np.ndarray:
    """Estimates where they were drawn, NaN elsewhere. [M, 4], [M] -> [N, 4] float32"""
    found = np.full((length, MOST_WORDS), np.nan, np.float32)
    found[positions] = estimates
    return found


def shared_words(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many words two rows of ids begin with in common; NONE equals nothing. [M, 4] each -> [M]"""
    return np.logical_and.accumulate((one == other) & (one != NO_WORD), axis=1).sum(1)


def continue_draws(
    states: Any,
    first: Tensor,
    true: Tensor,
    unk: int,
    proceed: Callable[[Any, Tensor], Any],
    draw: Callable[[Any], Tensor],
) -> Tensor:
    """Continue two draws of the first word; positions where neither can still match anything are left.

    Args:
        states: of a model before each position; leaves [M, …].
        first: two draws of the first word. [M, 2]
        true: ids of the words that stand there. [M, WORDS]
        unk: the id that equals nothing.
        proceed: states and the next words -> the states after them.
        draw: states -> a word each.

    Returns:
        Ids, NONE where nothing was drawn or `<unk>` was. [M, 2, WORDS]
    """
    drawn = torch.full((*first.shape, MOST_WORDS), NO_WORD, device=first.device)
    drawn[..., 0] = first
    rows, branches = torch.arange(len(first), device=first.device), [states, states]
    for n in range(1, MOST_WORDS):
        so_far = drawn[rows, :, :n]  # [m, 2, n]
        hit = (so_far == true[rows, None, :n]).all(-1) & (true[rows, None, :n] != unk).all(-1)
        level = (so_far[:, 0] == so_far[:, 1]).all(-1) & (so_far[:, 0] != unk).all(-1)
        alive = hit.any(1) | level
        rows = rows[alive]
        if not len(rows):
            break
        for branch in (0, 1):
            branches[branch] = proceed(rows_of(branches[branch], alive), drawn[rows, branch, n - 1])
            drawn[rows, branch, n] = draw(branches[branch])
    return drawn.masked_fill(drawn == unk, NO_WORD)


def rows_of(states: Any, chosen: Tensor) -> Any:
    """Some rows of every leaf."""
    return tree_map(lambda leaf: leaf[chosen], states)
