"""Predict the next word's embedding instead of its id; decode by the nearest row of the type table."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.targets.tables import Targets

UNIT = 1e-6  # what rounding leaves of a length of 1


class Regressor(Head):
    """What the regressors share: a projection to D columns and a fixed table of target rows. Training costs no O(V).

    The projection's bias begins at the mean target, as a softmax's begins at the unigram.

    Args:
        targets: the table [V, D] that decoding ranks, and whether training aims at it or at token vectors.
    """

    is_density = False

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.register_buffer("table", targets.table)  # [V, D]
        self.projection = nn.Linear(hidden_size, targets.table.shape[1])
        shares = torch.from_numpy(vocabulary.log_unigram).exp()
        with torch.no_grad():
            self.projection.bias.copy_(shares @ targets.table)

    def aim(self, words: Tensor, vectors: Tensor | None) -> Tensor:
        """The vectors to predict: those of the occurrences where given, else the table's. [N], [N, D] -> [N, D]"""
        return self.table.index_select(0, words) if vectors is None else vectors


class DirectionRegressor(Regressor):
    """One to which only the directions of the targets count: rows and aims have length 1."""

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        lengths = self.table.norm(dim=-1)
        if ((lengths - 1).abs() > UNIT).any():  # targets that are so already share their memory
            self.table = F.normalize(self.table, dim=-1)  # once, and not at every decoding

    def aim(self, words: Tensor, vectors: Tensor | None) -> Tensor:
        return F.normalize(super().aim(words, vectors), dim=-1)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.queries(hidden) @ self.table.T  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor | None]:
        return self.table, None
