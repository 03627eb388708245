"""Regressors: predict the next word's embedding, and decode by the nearest row of the type table.

N positions, H hidden size, V vocabulary size, D embedding size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.targets.tables import Targets

UNIT = 1e-6  # rounding error of a length of 1 in float32: rows nearer than this to length 1 are not copied


class Regressor(Head):
    """A linear projection p = W h + b to D columns, and a fixed table of one target vector per word.

    The cost of a training step does not depend on V. The bias starts at the mean target vector, as the biases of a
    softmax start at the unigram.

    Args:
        targets: the table [V, D] that decoding ranks, and the level of the vectors that training predicts.
    """

    is_density = False

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.register_buffer("table", targets.table)  # [V, D]
        self.projection = nn.Linear(hidden_size, targets.table.shape[1])
        shares = torch.from_numpy(vocabulary.log_unigram).exp()
        with torch.no_grad():
            self.projection.bias.copy_(shares @ targets.table)

    def target_vectors(self, words: Tensor, vectors: Tensor | None) -> Tensor:
        """Return the vectors to predict: those of the occurrences, or the table's if None. [N], [N, D] -> [N, D]"""
        return self.table.index_select(0, words) if vectors is None else vectors


class DirectionRegressor(Regressor):
    """A regressor of directions: rows of the table and target vectors have length 1."""

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        lengths = self.table.norm(dim=-1)
        if ((lengths - 1).abs() > UNIT).any():  # unit rows stay shared with the targets
            self.table = F.normalize(self.table, dim=-1)  # once, not at each decoding

    def target_vectors(self, words: Tensor, vectors: Tensor | None) -> Tensor:
        return F.normalize(super().target_vectors(words, vectors), dim=-1)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.queries(hidden) @ self.table.T  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor | None]:
        return self.table, None
