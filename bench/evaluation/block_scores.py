"""Measurement of a block of scores, with what was fitted on validation. n positions, V vocabulary size."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import Diverged
from bench.evaluation.calibration import Calibration
from bench.evaluation.ranks import RankModel, count_ranks

SEGMENT = 64  # words S of a segment of a distribution that is drawn from


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
        draws = draw(p, 2, self.random).T  # [2, n]
        hit = torch.where(counts.known, 2 * (-nats).exp(), 0)
        brier = hit - (torch.linalg.vector_norm(p, dim=1).square() - p[:, self.unk].square())
        rank_nats = self.rank_model.nats(counts)  # float64, and so is the stack
        return torch.stack([counts.rank, calibrated, nats, raw_nats, rank_nats, brier, *draws])

    def draw(self, scores: Tensor) -> Tensor:
        """Draw one word per row from the calibrated distribution. [n, V] -> ids [n]"""
        p = self.calibration.logits(scores, self.log_unigram).softmax(1)
        return draw(p, 1, self.random)[:, 0]


def draw(p: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` words per row with replacement, by the inverse of the cumulative distribution. [n, V] -> [n, count]

    The segment of words is drawn first, then the word within the segment: only sums over segments read the whole row,
    several times faster than `torch.multinomial`.
    """
    segments = F.pad(p, (0, -p.shape[1] % SEGMENT)).unflatten(1, (-1, SEGMENT))  # [n, K, S]
    up_to = segments.sum(2).cumsum(1)  # mass up to the end of each segment, [n, K]
    level = torch.rand(len(p), count, generator=generator, device=p.device) * up_to[:, -1:]
    segment = first_above(up_to, level)  # [n, count]
    level = level - F.pad(up_to, (1, 0)).gather(1, segment)
    within = segments[torch.arange(len(p), device=p.device)[:, None], segment].cumsum(2)  # [n, count, S]
    return segment * SEGMENT + first_above(within, level[..., None])[..., 0]


def first_above(cumulative: Tensor, level: Tensor) -> Tensor:
    """Return the index of the first sum above each level; it has a positive share. [..., K], [..., m] -> [..., m]

    A level that is not below the last sum, by a rounding error, is lowered.
    """
    highest = cumulative[..., -1:]
    level = torch.minimum(level, torch.nextafter(highest, torch.zeros_like(highest)))
    return torch.searchsorted(cumulative, level, right=True)
