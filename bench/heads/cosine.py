"""Cosine regressor: `torch.nn.CosineEmbeddingLoss` with every pair positive. N positions, H hidden size, D columns."""

import torch.nn.functional as F
from torch import Tensor

from bench.heads._regressor import DirectionRegressor


class CosineHead(DirectionRegressor):
    """Minimise 1 − cos(p, e), e the vector of the next word; rank words by cos(p, e_w)."""

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        return 1 - (self.queries(hidden) * self.target_vectors(words, vectors)).sum(-1).mean()

    def queries(self, hidden: Tensor) -> Tensor:
        return self.predictions(hidden)

    def minimiser(self, mean: Tensor) -> Tensor:
        return F.normalize(mean, dim=-1)
