"""What a block of scores is measured with, once validation has said how. n positions, V vocabulary size."""

from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.errors import Diverged
from bench.evaluation.calibration import Calibration
from bench.evaluation.ranks import RankModel, count_ranks


class BlockScorer(NamedTuple):
    """Calibration, the worth of each rank, the unigram, and the draws' random numbers."""

    calibration: Calibration
    ranks: RankModel
    log_unigram: Tensor  # [V]
    unk: int
    random: torch.Generator

    def measure(self, scores: Tensor, words: Tensor) -> Tensor:
        """Rank, calibrated rank, nats, raw nats, rank nats, Brier, two drawn words. [n, V], [n] -> [8, n] float64

        Raises:
            Diverged: scores that are not finite (a NaN would pass for a rank of one half).
        """
        raw_nats = -scores.log_softmax(1).gather(1, words[:, None])[:, 0]
        if not raw_nats.isfinite().all():
            raise Diverged("scores that are not finite")
        standing = count_ranks(scores, words, self.unk)
        logits = self.calibration.logits(scores, self.log_unigram)
        calibrated = count_ranks(logits, words, self.unk).rank
        log_p = logits.log_softmax(1)
        nats = -log_p.gather(1, words[:, None])[:, 0]
        p = log_p.exp_()
        draws = torch.multinomial(p, 2, replacement=True, generator=self.random).T  # [2, n]
        hit = torch.where(standing.known, 2 * (-nats).exp(), 0)
        score = hit - (p.square().sum(1) - p[:, self.unk].square())
        return torch.stack(
            [standing.rank, calibrated, nats, raw_nats, self.ranks.nats(standing), score, *draws]
        )  # float64, for the ranks' model gives that

    def draw(self, scores: Tensor) -> Tensor:
        """A word each from the calibrated distribution. [n, V] -> [n]"""
        p = self.calibration.logits(scores, self.log_unigram).softmax(1)
        return torch.multinomial(p, 1, generator=self.random)[:, 0]
