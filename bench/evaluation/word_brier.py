"""Brier-n of models over a closed vocabulary, from two draws of the next four words at each position.

N test positions, M positions with four words to come, V vocabulary size.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.evaluation import brier_lm
from bench.evaluation.block_scores import BlockScorer
from bench.models.language_model import ClosedVocabularyModel, rows_of


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

    drawn = brier_lm.continue_draws(
        rows_of(states, at), first[at], true, scorer.unk, model.proceed, draw, scorer.random
    )
    one, other = drawn.cpu().numpy().swapaxes(0, 1)
    truth = true.cpu().numpy()
    counts = (brier_lm.shared_words(*pair) for pair in ((one, truth), (other, truth), (one, other)))
    return brier_lm.at_positions(brier_lm.estimates_of(*counts), starts, len(document))
