"""Noise of the contrastive heads: draws from the unigram distribution, with replacement.

V words, k draws, d distinct draws.
"""

import torch
from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary


class Noise(nn.Module):
    """Sampler of q(w), the share of word w in the training text.

    Of all distributions that do not depend on the context, q is the closest to that of the true words. A draw is a
    binary search in the cumulative distribution: O(log V).
    """

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        counts = torch.from_numpy(vocabulary.counts).double()
        self.register_buffer("cumulative", counts.cumsum(0) / counts.sum(), persistent=False)  # q(id ≤ i) [V]
        self.register_buffer("log_share", torch.from_numpy(vocabulary.log_unigram), persistent=False)  # log q(i) [V]

    def draw(self, draws: int) -> tuple[Tensor, Tensor]:
        """Draw k ids; return the distinct ids and the number of draws of each. -> [d], [d]"""
        uniform = torch.rand(draws, dtype=self.cumulative.dtype, device=self.cumulative.device)
        ids = torch.searchsorted(self.cumulative, uniform, right=True).clamp_(max=len(self.cumulative) - 1)
        return torch.unique(ids, return_counts=True)
