"""Brier-n of models over a closed vocabulary, from two draws of the next four words at each position.

N test positions, M positions with four words to come, V vocabulary size.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.evaluation import brier_lm
from bench.evaluation.block_scores import BlockScorer
from bench.models.language_model import ClosedVocabularyModel, rows_of

NO_WORD = -1  # id that equals no word: `<unk>`, or a draw that was not made since nothing could match


def brier_n(
    model: ClosedVocabularyModel,
    states: Any,
    first: Tensor,
    words: Tensor,
    document: np.ndarray,
    scorer: BlockScorer,
    *,
    rows_at_once: int,
) -> np.ndarray:
    """Estimate Brier-1 … Brier-4 at each position with four words to come in its document.

    Args:
        states: states of the model before each position, as `model.states` returns them.
        first: two draws of the first word from the calibrated scores. [N, 2]
        words: ids of the text. [N]
        document: number of the document of each position. [N]
        scorer: draws from calibrated scores; holds the random generator of all draws.
        rows_at_once: largest number of rows of scores in memory.

    Returns:
        [N, 4] float32; NaN at positions with fewer than four words to come.
    """
    starts = brier_lm.start_positions(document)
    at = torch.from_numpy(starts).to(words.device)
    true = torch.stack([words[at + n] for n in range(brier_lm.MOST_WORDS)], 1)  # [M, 4]

    def draw(states: Any, uniform: Tensor) -> Tensor:
        blocks = zip(states[0].split(rows_at_once), uniform.split(rows_at_once), strict=True)
        return torch.cat([scorer.draw(model.scores(features).float(), block) for features, block in blocks])

    drawn = continue_draws(rows_of(states, at), first[at], true, scorer.unk, model.proceed, draw, scorer.random)
    one, other = drawn.cpu().numpy().swapaxes(0, 1)
    truth = true.cpu().numpy()
    counts = (shared_words(*pair) for pair in ((one, truth), (other, truth), (one, other)))
    return brier_lm.at_positions(brier_lm.estimates_of(*counts), starts, len(document))


def continue_draws(
    states: Any,
    first: Tensor,
    true: Tensor,
    unk: int,
    proceed: Callable[[Any, Tensor], Any],
    draw: Callable[[Any, Tensor], Tensor],
    random: torch.Generator,
) -> Tensor:
    """Continue two draws of the first word to `brier_lm.MOST_WORDS` words each.

    A draw ends as soon as it differs from the true words and from the other draw. Two equal draws share one state.

    Args:
        states: states of a model before each position; leaves [M, …].
        first: two draws of the first word. [M, 2]
        true: ids of the true words. [M, 4]
        unk: id of `<unk>`, which equals nothing.
        proceed: states and the next words -> the states after them.
        draw: states and two random numbers per state, uniform in [0, 1) -> two words per state. [S, 2] -> [S, 2]
        random: generator of these numbers.

    Returns:
        Ids; NO_WORD if no word or `<unk>` was drawn. [M, 2, 4]
    """
    drawn = torch.full((*first.shape, brier_lm.MOST_WORDS), NO_WORD, device=first.device)
    drawn[..., 0] = first
    rows = torch.arange(len(first), device=first.device)  # positions at which a draw has not ended, [m]
    state = torch.stack([rows, rows], 1)  # index of the state of each draw, [m, 2]
    for n in range(1, brier_lm.MOST_WORDS):
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


def shared_words(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Count the equal words at the beginning of two rows of ids; NO_WORD equals nothing. [M, 4] each -> [M]"""
    return np.logical_and.accumulate((one == other) & (one != NO_WORD), axis=1).sum(1)
