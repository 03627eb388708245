"""Sampled softmax: trained on the target and k shared log-uniform draws with log-q correction; scored by full softmax.

Jean et al. 2015, "On Using Very Large Target Vocabulary for Neural Machine Translation". The sampler draws until k
ids are distinct, so the expected count of an id after m tries is 1 − (1 − q)^m.
N positions, H hidden size, V vocabulary size, k samples.
"""

import math

import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.core.settings import Count
from bench.data.vocabulary import Vocabulary
from bench.heads.kernels.sampled_cross_entropy import sampled_cross_entropy
from bench.heads.softmax import SoftmaxHead


class SampledSoftmaxHead(SoftmaxHead):
    """Minimise the cross-entropy of the target among k + 1 words; full softmax at test time.

    A step reads and writes only the rows of its k negatives and N targets. The optimiser does the same if gradients
    are row-sparse.

    Args:
        samples: k, distinct negatives per step, shared by the positions of the step; less than V.

    Raises:
        SettingError: k is not in 1 … V − 1.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, samples: Count):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        if not 1 <= samples < len(vocabulary):
            raise SettingError(
                "system.head.samples",
                f"{samples} draws without replacement need 1 <= samples < {len(vocabulary)} = V; lower it",
            )
        self.samples = samples

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        negatives, tries = draw(self.samples, self.vocabulary_size, hidden.device)
        corrections = [-expected_count(ids, self.vocabulary_size, tries).log() for ids in (words, negatives)]
        layer = self.words.weight, self.words.bias
        return sampled_cross_entropy(hidden, *layer, words, negatives, *corrections, row_sparse=self.row_sparse)


def draw(samples: int, size: int, device: torch.device) -> tuple[Tensor, int]:
    """Draw log-uniform ids until `samples` are distinct; return these ids [samples] and the number of tries."""
    drawn = torch.empty(0, dtype=torch.long, device=device)
    while True:
        uniform = torch.rand(2 * samples, device=device, dtype=torch.float64)
        drawn = torch.cat([drawn, (torch.exp(uniform * math.log(size + 1)) - 1).long().clamp_(max=size - 1)])
        ids, inverse = torch.unique(drawn, return_inverse=True)
        if len(ids) >= samples:
            tries = torch.arange(len(drawn), device=device)
            first = torch.full_like(ids, len(drawn)).scatter_reduce_(0, inverse, tries, "amin")
            order = first.argsort()[:samples]
            return ids[order], int(first[order[-1]]) + 1


def expected_count(ids: Tensor, size: int, tries: int) -> Tensor:
    """Return the probability that an id is among the distinct ids of `tries` log-uniform draws. [N] -> [N] in (0, 1]"""
    ids = ids.double()
    log_q = torch.log(torch.log1p(1 / (ids + 1)) / math.log(size + 1))
    return -torch.expm1(tries * torch.log1p(-log_q.exp()))
