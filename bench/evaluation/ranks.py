"""Ranks of true words among all candidates, and a distribution that is made from ranks only.

n positions, V vocabulary size, B buckets of ranks.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class RankCounts(NamedTuple):
    """Numbers of candidates that score higher than, and equal to, the true word. [n] each"""

    higher: Tensor
    equal: Tensor  # equal scores; the true word counts
    known: Tensor  # bool; False: the true word is `<unk>`, which is not a candidate

    @property
    def rank(self) -> Tensor:
        """1 + higher + half the other ties, so that a constant head has the mean rank; inf for `<unk>`. [n]"""
        return torch.where(self.known, 1 + self.higher + (self.equal - 1) / 2, torch.inf)


def count_ranks(scores: Tensor, words: Tensor, unk: int) -> RankCounts:
    """Compare the score of each true word with all others; `<unk>` is not a candidate. [n, V], [n] -> [n]"""
    true = scores.gather(1, words[:, None])  # [n, 1]
    # comparisons summed as floats: several times faster than as booleans, and exact up to 2^24
    comparison = torch.empty_like(scores)
    higher = torch.gt(scores, true, out=comparison).sum(1) - comparison[:, unk]
    equal = torch.eq(scores, true, out=comparison).sum(1) - comparison[:, unk]
    return RankCounts(higher, equal, words != unk)


class RankModel:
    """Distribution p(w) = q(bucket of the rank of w) / (words in the bucket), which depends on ranks only.

    Buckets double in size (1, 2, 3–4, 5–8, …); `<unk>` has a separate bucket. q is fitted on validation, with half a
    count added to each bucket (Krichevsky & Trofimov 1981). Words with equal scores share the mass of the ranks that
    these words fill, so Σ p = 1.

    Args:
        counts: rank counts of the positions to fit on.
        size: vocabulary size, V.
    """

    def __init__(self, counts: RankCounts, size: int):
        # the last bucket ends with the last rank
        edges = [0, *(2**i for i in range((size - 2).bit_length())), size - 1]
        self.edges = torch.tensor(edges, dtype=torch.float64, device=counts.higher.device)  # [B + 1]
        low, ties = counts.higher.double()[:, None], counts.equal.double()[:, None]
        overlap = torch.minimum(low + ties, self.edges[1:]) - torch.maximum(low, self.edges[:-1])  # [n, B]
        in_bucket = torch.where(counts.known[:, None], overlap.clamp_min(0) / ties, 0).sum(0) + 0.5  # [B]
        unk = (~counts.known).sum() + 0.5
        total = in_bucket.sum() + unk
        self.unk_nats = -torch.log(unk / total)
        self.mass = (
            torch.cat([in_bucket.new_zeros(1), in_bucket.cumsum(0)]) / total
        )  # of ranks up to each edge. [B + 1]

    def nats(self, counts: RankCounts) -> Tensor:
        """Return −log p of the true words. [n] float64"""
        low, ties = counts.higher.double(), counts.equal.double().clamp_min(1)
        p = (self.mass_up_to(low + ties) - self.mass_up_to(low)) / ties
        return torch.where(counts.known, -p.log(), self.unk_nats)

    def mass_up_to(self, rank: Tensor) -> Tensor:
        """Return the mass of all ranks up to a rank; linear within a bucket. [n] -> [n]"""
        bucket = torch.searchsorted(self.edges, rank.contiguous(), right=True).clamp(1, len(self.edges) - 1)
        low, high = self.edges[bucket - 1], self.edges[bucket]
        return self.mass[bucket - 1] + (self.mass[bucket] - self.mass[bucket - 1]) * (rank - low) / (high - low)
