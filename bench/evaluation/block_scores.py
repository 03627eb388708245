"""Measure a block of scores by a calibration and a rank model fitted on validation. n positions, V vocabulary size."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import Diverged
from bench.evaluation.calibration import Calibration, cached_rows
from bench.evaluation.ranks import RankCounts, RankModel, count_ranks

SLAB = 64  # words S of a slab, consecutive in the vocabulary, of a distribution that is drawn from


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
            Rank, calibrated rank, nats, raw nats, rank nats, Brier gain 2 p(y) − Σ p², and two drawn words.

        Raises:
            Diverged: scores that are not finite (a NaN would give a rank of one half).
        """
        passes = [self._read(*rows) for rows in cached_rows(scores, words)]
        raw_nats, nats, squares, highest, up_to, *counts = map(torch.cat, zip(*passes, strict=True))
        if not raw_nats.isfinite().all():
            raise Diverged("scores that are not finite")
        raw, calibrated = RankCounts(*counts[:3]), RankCounts(*counts[3:])
        uniform = torch.rand(len(scores), 2, generator=self.random, device=scores.device)
        draws = self._words_at(scores, highest, up_to, uniform).T  # [2, n]
        brier = torch.where(raw.known, 2 * (-nats).exp(), 0) - squares
        rank_nats = self.rank_model.nats(raw)  # float64, and so is the stack
        return torch.stack([raw.rank, calibrated.rank, nats, raw_nats, rank_nats, brier, *draws])

    def _read(self, scores: Tensor, words: Tensor) -> tuple[Tensor, ...]:
        """Compute from a few rows everything that needs all scores of a row. [n, V], [n]

        Returns:
            Raw nats, nats, Σ p² over words except `<unk>`, highest logits and `masses` of the calibrated distribution,
            and both `RankCounts`. [n], [n], [n], [n, 1], [n, K], [n] each
        """
        true = words[:, None]
        raw_counts = count_ranks(scores, words, self.unk)
        highest, p = exponentiate(scores, out=torch.empty_like(scores))
        raw_nats = p.sum(1).log() + (highest - scores.gather(1, true))[:, 0]
        logits = self.calibration.logits(scores, self.log_unigram, out=p)
        counts, true_logits = count_ranks(logits, words, self.unk), logits.gather(1, true)
        highest, p = exponentiate(logits, out=p)
        up_to = masses(p)
        mass = up_to[:, -1]
        nats = mass.log() + (highest - true_logits)[:, 0]
        squares = torch.linalg.vector_norm(p, dim=1).square() - p[:, self.unk].square()
        return raw_nats, nats, squares / mass.square(), highest, up_to, *raw_counts, *counts

    def draw(self, scores: Tensor, uniform: Tensor) -> Tensor:
        """Draw words from the calibrated distribution of each row. [n, V], [n, count] -> ids [n, count]"""
        highest, up_to = [], []
        for (rows,) in cached_rows(scores):
            logits = self.calibration.logits(rows, self.log_unigram)
            most, p = exponentiate(logits, out=logits)
            highest.append(most)
            up_to.append(masses(p))
        return self._words_at(scores, torch.cat(highest), torch.cat(up_to), uniform)

    def _words_at(self, scores: Tensor, highest: Tensor, up_to: Tensor, uniform: Tensor) -> Tensor:
        """Return the words at shares of the calibrated distributions; computes again the logits of chosen slabs."""

        def weights(words: Tensor) -> Tensor:
            return (self.calibration.logits(scores.gather(1, words), self.log_unigram[words]) - highest).exp()

        return words_at(up_to, uniform, scores.shape[1], weights)


def exponentiate(logits: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Write exp(logits − the highest of the row) to `out`; these passes take less time than a softmax.

    Returns:
        The highest of each row, and `out`. [n, 1], [n, V]
    """
    highest = logits.amax(1, keepdim=True)
    return highest, torch.sub(logits, highest, out=out).exp_()


def draw(p: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` words per row with replacement. [n, V] -> ids [n, count]"""
    uniform = torch.rand(len(p), count, generator=generator, device=p.device)
    return words_at(masses(p), uniform, p.shape[1], lambda words: p.gather(1, words))


def masses(p: Tensor) -> Tensor:
    """Return the mass of each row up to the end of each of its K slabs. [n, V] -> [n, K]"""
    whole = p.shape[1] - p.shape[1] % SLAB  # words in whole slabs; the last slab is shorter
    slabs = p[:, :whole].unflatten(1, (-1, SLAB)).sum(2)
    return torch.cat([slabs, p[:, whole:].sum(1, keepdim=True)], 1).cumsum(1)


def words_at(up_to: Tensor, uniform: Tensor, size: int, weights: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the words at shares of the cumulative distribution of each row. [n, K], [n, count] -> ids [n, count]

    The slab of words is found first, then the word within the slab: only sums over slabs read the whole row,
    several times faster than `torch.multinomial`.

    Args:
        up_to: `masses` of the distribution.
        uniform: shares in [0, 1).
        size: V.
        weights: words of each row -> their probabilities, up to the factor of `up_to`. [n, m] -> [n, m]
    """
    level = uniform * up_to[:, -1:]
    slab = first_above(up_to, level)  # [n, count]
    level = level - F.pad(up_to, (1, 0)).gather(1, slab)
    words = slab[..., None] * SLAB + torch.arange(SLAB, device=slab.device)  # [n, count, S]
    p = weights(words.clamp_max(size - 1).flatten(1)).view_as(words).masked_fill(words >= size, 0)
    return words[..., 0] + first_above(p.cumsum(2), level[..., None])[..., 0]


def first_above(cumulative: Tensor, level: Tensor) -> Tensor:
    """Return the index of the first sum above each level; its share is positive. [..., K], [..., m] -> [..., m]

    A level that is not below the last sum, by a rounding error, is lowered.
    """
    highest = cumulative[..., -1:]
    level = torch.minimum(level, torch.nextafter(highest, torch.zeros_like(highest)))
    return torch.searchsorted(cumulative, level, right=True)
