"""Regress the direction of the next word's embedding: `CosineEmbeddingLoss` with every pair positive."""

import torch.nn.functional as F
from torch import Tensor

from bench.heads.regressor import Regressor
from bench.targets import Targets
from bench.vocabulary import Vocabulary


class CosineHead(Regressor):
    """Descends 1 − cos(p, e); ranks by cos(p, e_w)."""

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        self.table = F.normalize(self.table, dim=-1)  # once, and not at every decoding

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        predicted = F.normalize(self.projection(hidden), dim=-1)  # [N, D]
        return 1 - (predicted * F.normalize(self.aim(words, vectors), dim=-1)).sum(-1).mean()

    def scores(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.projection(hidden), dim=-1) @ self.table.T  # [N, V]

    def rows(self) -> tuple[Tensor, None]:
        return self.table, None

    def queries(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.projection(hidden), dim=-1)
