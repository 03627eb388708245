"""The noise that contrastive heads tell the true word from: draws from the unigram, with replacement."""

import torch
from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary


class Noise(nn.Module):
    """q(w) is the word's share of the training text, of all fixed choices the nearest to what is told from it.

    A draw costs O(log V), in a table that is made once. V words, k draws, d distinct ones.
    """

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        counts = torch.from_numpy(vocabulary.counts).double()
        self.register_buffer("below", counts.cumsum(0) / counts.sum(), persistent=False)  # [V], up to and with each id
        self.register_buffer("log_share", torch.from_numpy(vocabulary.log_unigram), persistent=False)  # log q [V]

    def draw(self, draws: int) -> tuple[Tensor, Tensor]:
        """Ids that were drawn and how often, k times in all. [d], [d]"""
        at = torch.rand(draws, dtype=self.below.dtype, device=self.below.device)
        ids = torch.searchsorted(self.below, at, right=True).clamp_(max=len(self.below) - 1)
        return torch.unique(ids, return_counts=True)
