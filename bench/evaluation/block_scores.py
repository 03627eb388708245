"""Measurement of a block of scores, with what was fitted on validation. n positions, V vocabulary size."""

from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.errors import Diverged
from bench.evaluation.calibration import Calibration
from bench.evaluation.ranks import RankModel, count_ranks


class BlockScorer(NamedTuple):
    """Calibration, rank model and random numbers that turn a block of scores into values per position."""

    calibration: Calibration
    rank_model: RankModel
    log_unigram: Tensor  # [V]
    unk: int  # id of `<unk>`
    random: torch.Generator  # of the drawn words

    def measure(self, scores: Tensor, words: Tensor) -> Tensor:
        """Measure the true words of a block of positions. [n, V], [n] -> [8, n] float64

        Returns:
            Rank, calibrated rank, nats, raw nats, rank nats, Brier score, and two drawn words.

        Raises:
            Diverged: scores that are not finite (a NaN would give a rank of one half).
        """
        raw_nats = -scores.log_softmax(1).gather(1, words[:, None])[:, 0]
        if not raw_nats.isfinite().all():
            raise Diverged("scores that are not finite")
        counts = count_ranks(scores, words, self.unk)
        logits = self.calibration.logits(scores, self.log_unigram)
        calibrated = count_ranks(logits, words, self.unk).rank
        log_p = logits.log_softmax(1)
        nats = -log_p.gather(1, words[:, None])[:, 0]
        p = log_p.exp_()
        draws = torch.multinomial(p, 2, replacement=True, generator=self.random).T  # [2, n]
        hit = torch.where(counts.known, 2 * (-nats).exp(), 0)
        brier = hit - (p.square().sum(1) - p[:, self.unk].square())
        rank_nats = self.rank_model.nats(counts)  # float64, and so is the stack
        return torch.stack([counts.rank, calibrated, nats, raw_nats, rank_nats, brier, *draws])

    def draw(self, scores: Tensor) -> Tensor:
        """Draw one word per row from the calibrated distribution. [n, V] -> ids [n]"""
        p = self.calibration.logits(scores, self.log_unigram).softmax(1)
        return torch.multinomial(p, 1, generator=self.random)[:, 0]
