"""Trains on the target and k shared log-uniform draws, log-q corrected; scored by the exact softmax.

Jean et al. 2015, "On Using Very Large Target Vocabulary for Neural Machine Translation"; the sampler draws until k
distinct ids are found, so an id's expected count after m tries is 1 - (1 - q)^m.
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
    """Full softmax at test time, k + 1 classes a step in training.

    A step reads and writes the rows of its k + N words alone; so does its optimiser, where gradients are row-sparse.

    Args:
        samples: k, distinct negatives a step, shared by its positions; below V.

    Raises:
        SettingError: k is not in 1 .. V - 1.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, samples: Count):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        if not 1 <= samples < len(vocabulary):
            raise SettingError(
                "system.head.samples",
                f"{samples} draws without replacement need 1 <= samples < {len(vocabulary)} = V",
            )
        self.samples = samples

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        negatives, tries = draw(self.samples, self.vocabulary_size, hidden.device)
        return sampled_loss(
            hidden,
            words,
            negatives,
            self.words.weight,
            self.words.bias,
            expected_count(words, self.vocabulary_size, tries),
            expected_count(negatives, self.vocabulary_size, tries),
            row_sparse=self.row_sparse,
        )


def draw(samples: int, size: int, device: torch.device) -> tuple[Tensor, int]:
    """Log-uniform ids until `samples` are distinct: the ids [samples] and the tries that it took."""
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
    """How often `tries` log-uniform draws, distinct ones kept, are expected to hold each id. [N] -> [N] in (0, 1]"""
    ids = ids.double()
    log_q = torch.log(torch.log1p(1 / (ids + 1)) / math.log(size + 1))
    return -torch.expm1(tries * torch.log1p(-log_q.exp()))


def sampled_loss(
    hidden: Tensor,
    words: Tensor,
    negatives: Tensor,
    weight: Tensor,
    bias: Tensor,
    true_count: Tensor,
    count: Tensor,
    *,
    row_sparse: bool = False,
) -> Tensor:
    """Cross-entropy of the target among itself and the negatives, both corrected by −log(expected count).

    Shapes: [N, H], [N], [k], [V, H], [V], [N], [k] -> []. A negative that is the target does not count in that row.
    """
    corrections = -true_count.log(), -count.log()
    return sampled_cross_entropy(hidden, weight, bias, words, negatives, *corrections, row_sparse=row_sparse)
