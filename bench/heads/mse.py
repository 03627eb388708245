"""Squared-error regressor. N positions, H hidden size, V vocabulary size, D columns."""

import torch
from torch import Tensor

from bench.data.vocabulary import Vocabulary
from bench.heads._regressor import Regressor
from bench.targets.tables import Targets


class MSEHead(Regressor):
    """Minimise ‖p − e‖², e the vector of the next word; rank words by −‖p − e_w‖².

    The loss is D times the mean squared error. Scores leave out ‖p‖², which is the same for all words.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        self.register_buffer("squares", torch.linalg.vector_norm(self.table, dim=-1).square(), persistent=False)  # [V]

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        return self.squared_error(self.predictions(hidden), words, vectors)

    def scores(self, hidden: Tensor) -> Tensor:
        return torch.addmm(-self.squares, self.predictions(hidden), self.table.T, alpha=2)  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.table, -self.squares

    def queries(self, hidden: Tensor) -> Tensor:
        return 2 * self.predictions(hidden)

    def minimiser(self, mean: Tensor) -> Tensor:
        return 2 * mean
