"""Where the true word stands among all candidates, and what its rank alone would price it at.

n positions, V vocabulary size, B buckets of ranks.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class RankCounts(NamedTuple):
    """How many candidates score higher than the true word, and how many level with it, itself among them. [n] each"""

    higher: Tensor
    level: Tensor
    known: Tensor  # bool; False: the true word is `<unk>`, which is no candidate

    @property
    def rank(self) -> Tensor:
        """1 + higher + half the other ties, so that a constant head gets the mean rank; inf: a miss. [n]"""
        return torch.where(self.known, 1 + self.higher + (self.level - 1) / 2, torch.inf)


def count_ranks(scores: Tensor, words: Tensor, unk: int) -> RankCounts:
    """Compare each true word's score with all others; `<unk>` never answers. [n, V], [n] -> [n]"""
    true = scores.gather(1, words[:, None])  # [n, 1]
    # comparisons summed as floats: several times faster than as booleans, exact to 2^24
    answer = torch.empty_like(scores)
    higher = torch.gt(scores, true, out=answer).sum(1) - answer[:, unk]
    level = torch.eq(scores, true, out=answer).sum(1) - answer[:, unk]
    return RankCounts(higher, level, words != unk)


class RankModel:
    """p(w) = q(bucket of w's rank) / words in the bucket: a distribution of any scorer's ranking, whatever its scores.

    Buckets double (1, 2, 3–4, 5–8, …) and `<unk>` has one of its own; q is fitted on validation with half a count added
    to each (Krichevsky & Trofimov 1981). Words that tie share the mass of the ranks that they fill, so Σ p = 1.

    Args:
        standing: of the positions to fit on.
        size: V.
    """

    def __init__(self, standing: RankCounts, size: int):
        edges = [
            0,
            *(2**i for i in range((size - 2).bit_length())),
            size - 1,
        ]  # the last bucket ends with the last rank
        self.edges = torch.tensor(edges, dtype=torch.float64, device=standing.higher.device)  # [B + 1]
        low, ties = standing.higher.double()[:, None], standing.level.double()[:, None]
        inside = (torch.minimum(low + ties, self.edges[1:]) - torch.maximum(low, self.edges[:-1])).clamp_min(
            0
        )  # [n, B]
        counts = torch.where(standing.known[:, None], inside / ties, 0).sum(0) + 0.5
        unk = (~standing.known).sum() + 0.5
        total = counts.sum() + unk
        self.unk_nats = -torch.log(unk / total)
        self.mass = torch.cat([counts.new_zeros(1), counts.cumsum(0)]) / total  # [B + 1] of all ranks up to each edge

    def nats(self, standing: RankCounts) -> Tensor:
        """−log p of the true words. [n] float64"""
        low, ties = standing.higher.double(), standing.level.double().clamp_min(1)
        p = (self.up_to(low + ties) - self.up_to(low)) / ties
        return torch.where(standing.known, -p.log(), self.unk_nats)

    def up_to(self, rank: Tensor) -> Tensor:
        """Mass of the ranks up to each, linear within a bucket. [n] -> [n]"""
        bucket = torch.searchsorted(self.edges, rank.contiguous(), right=True).clamp(1, len(self.edges) - 1)
        low, high = self.edges[bucket - 1], self.edges[bucket]
        return self.mass[bucket - 1] + (self.mass[bucket] - self.mass[bucket - 1]) * (rank - low) / (high - low)
