"""Regress the direction of the next word's embedding: `CosineEmbeddingLoss` with every pair positive."""

import torch.nn.functional as F
from torch import Tensor

from bench.heads._regressor import DirectionRegressor


class CosineHead(DirectionRegressor):
    """Descends 1 − cos(p, e); ranks by cos(p, e_w)."""

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        return 1 - (self.queries(hidden) * self.aim(words, vectors)).sum(-1).mean()

    def queries(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.projection(hidden), dim=-1)
