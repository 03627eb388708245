"""Regress the direction of the next word's embedding: `CosineEmbeddingLoss` with every pair positive."""

import torch.nn.functional as F
from torch import Tensor

from bench.heads.regressor import Regressor


class CosineHead(Regressor):
    """Descends 1 − cos(p, e); ranks by cos(p, e_w)."""

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        predicted = F.normalize(self.projection(hidden), dim=-1)  # [N, D]
        return 1 - (predicted * F.normalize(self.aim(words, vectors), dim=-1)).sum(-1).mean()

    def scores(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.projection(hidden), dim=-1) @ F.normalize(self.table, dim=-1).T  # [N, V]
